"""Where TRACING is off nothing of it is there; where it is on, what is missing is named."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import tracing
from settings import SettingsError, read
from tests.processes import ROOT

WITHOUT = "import sys; sys.modules['opentelemetry'] = None; import tracing; from settings import read; "
LOADED = """
import sys
import redis  # Which imports what of it is there.
theirs = set(sys.modules)
import actors.worker, api.app
app = api.app.create_app()
ours = set(sys.modules) - theirs
print(sorted(name for name in ours if name.startswith(("opentelemetry", "telemetry")) or "traced" in name))
"""


def said(code: str, **environ: str) -> str:
    inherited = {"PATH": os.environ["PATH"], "REDIS_URL": "redis://127.0.0.1:1", "DATABASE_URL": "postgresql://h/d"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=inherited | environ, cwd=ROOT, capture_output=True, check=False, text=True
    )
    return done.stdout + done.stderr


def test_where_it_is_off_nothing_of_it_is_imported() -> None:
    assert said(LOADED).strip() == "[]"


def test_where_it_is_off_everything_is_what_it_is_without() -> None:
    assert tracing.chosen(read({}), int, "no.such:Module") is int


def test_where_it_is_on_others_take_their_places() -> None:
    assert tracing.chosen(read({"TRACING": "on"}), object, "actors.traced:TracedDelivery").__name__ == "TracedDelivery"


def test_without_its_libraries_the_sentence_names_the_way_out() -> None:
    text = said(WITHOUT + "tracing.check(read({'TRACING': 'on'}))")

    assert text.strip().endswith(
        "SettingsError: TRACING is on and OpenTelemetry is not installed: "
        "run `pip install 'notification-system[tracing]'`, or set TRACING=off"
    )


def test_without_its_libraries_it_is_off() -> None:
    assert said(WITHOUT + "tracing.check(read({})); print('well')").strip() == "well"


@pytest.mark.parametrize(
    "command", [["gunicorn"], ["dramatiq", "actors", "-p", "1", "-t", "1"]], ids=["gunicorn", "dramatiq"]
)
def test_neither_program_starts_without_its_libraries(command: list[str]) -> None:
    program = command[0]
    code = (
        f"import sys; sys.modules['opentelemetry'] = None; sys.argv = {command!r}\n"
        f"import runpy; runpy.run_module({program!r}, run_name='__main__')"
    )
    text = said(code, TRACING="on")

    assert text.count("cannot start: TRACING is on and OpenTelemetry is not installed") == 1
    assert "Traceback" not in text


def test_a_setting_that_is_neither_on_nor_off_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"^TRACING is 'yes': give one of off, on"):
        read({"TRACING": "yes"})
