"""Live views and progress bars on a pseudo-terminal."""

from __future__ import annotations

from uuid import uuid4

import pytest

from db import lifecycle, pauses
from db.database import rows
from settings import Settings
from tests.integration.rows import accepted, alive, claimed, failed, status
from tests.terminal import Terminal

LEFT = "\x1b[?1049l"  # the terminal shows what it did before


@pytest.fixture
def environ(store: Settings, redis_url: str) -> dict[str, str]:
    return {"DATABASE_URL": store.database.url, "REDIS_URL": redis_url}


def test_top_refreshes_adapts_to_the_window_and_ends_with_q(environ: dict[str, str]) -> None:
    alive(uuid4())
    with Terminal(["top", "--interval", "0.2"], environ, lines=30, columns=40) as terminal:
        assert "RESCUED" not in terminal.until("THREADS")
        # What was cut off: curses writes only what is not on the screen yet.
        terminal.resize(30, 100)
        assert "NO WORKER" not in terminal.until("RESCUED")
        failed(reason="rejected")
        terminal.until("rejected")
        pauses.pause("channel", "email")
        terminal.until("PAUSED")
        terminal.press("q")
        assert terminal.ended() == 0
        assert terminal.seen.count(LEFT) == 1


def test_top_ends_with_ctrl_c_and_leaves_the_terminal_as_it_was(environ: dict[str, str]) -> None:
    with Terminal(["top", "--interval", "0.2"], environ) as terminal:
        terminal.until("NO WORKER IS ALIVE")
        terminal.press("\x03")
        assert terminal.ended() == 0
        assert terminal.seen.count(LEFT) == 1


def test_top_says_that_a_table_is_missing_and_continues_when_it_is_back(environ: dict[str, str]) -> None:
    with Terminal(["top", "--interval", "0.2"], environ) as terminal:
        terminal.until("QUEUE")
        rows("ALTER TABLE workers RENAME TO gone")
        try:
            terminal.until('relation "workers" does not exist')
        finally:
            rows("ALTER TABLE gone RENAME TO workers")
        terminal.until("being sent")  # It draws again what had gone.
        terminal.press("q")
        assert terminal.ended() == 0
        assert terminal.seen.count(LEFT) == 1


@pytest.mark.parametrize("kind", ["dumb", "nobody-knows-it"])
def test_a_terminal_without_cursor_movement_gets_one_view(environ: dict[str, str], kind: str) -> None:
    with Terminal(["top", "--interval", "0.2"], {**environ, "TERM": kind}) as terminal:
        assert terminal.ended() == 0
        assert terminal.seen.startswith("notify top  2")
        assert "\x1b" not in terminal.seen


def test_a_bulk_retry_shows_its_progress(environ: dict[str, str]) -> None:
    ids = [failed() for _ in range(5)]
    words = ["retry", "--failed", "--all-clients"]
    with Terminal(words, {**environ, "RETRY_LIMIT": "1"}) as terminal:
        assert terminal.ended() == 0
    assert "Retrying" in terminal.seen
    assert "5/5" in terminal.seen
    assert "/s" in terminal.seen
    assert "Retried: 5" in terminal.seen
    assert {status(id) for id in ids} == {"pending"}


def test_ctrl_c_ends_a_drain_with_130_and_the_channels_stay_paused(environ: dict[str, str]) -> None:
    held = claimed()
    with Terminal(["drain"], environ) as terminal:
        terminal.until("0/1")
        terminal.press("\x03")
        assert terminal.ended() == 130
    assert "Stopped waiting. All channels are paused" in terminal.seen
    assert lifecycle.claim(accepted(), uuid4()) == []
    assert status(held.id) == "processing"


def test_the_doctor_has_colours_on_a_terminal_only(environ: dict[str, str]) -> None:
    with Terminal(["doctor"], environ) as terminal:
        assert terminal.ended() == 1
    assert "\x1b[31mproblem" in terminal.seen
    with Terminal(["doctor"], {**environ, "NO_COLOR": "1"}) as terminal:
        assert terminal.ended() == 1
    assert "\x1b[31m" not in terminal.seen
