"""Options of `python -m benchmarks`, above all those for servers that exist already."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import options_of
from benchmarks.existing import OWN_SERVERS
from benchmarks.scenarios import SCENARIOS

LENT = ["--database-url", "postgresql://a@b/c", "--redis-url", "redis://b/1"]


def test_everything_is_measured_on_the_servers_of_the_benchmark() -> None:
    assert set(options_of([]).only) == {*SCENARIOS, "floors"}


def test_scenarios_that_need_their_own_servers_are_left_out_on_existing_ones() -> None:
    assert set(options_of(LENT).only) == set(SCENARIOS) - set(OWN_SERVERS)
    assert options_of([*LENT, "--only", "drain"]).only == ["drain"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (LENT[:2], "--database-url and --redis-url belong together"),
        (LENT[2:], "--database-url and --redis-url belong together"),
        ([*LENT[:2], "--redis-url", ""], "--database-url and --redis-url belong together"),
        (["--database-url", "", "--redis-url", ""], "--database-url and --redis-url belong together"),
        ([*LENT, "--stock"], "--stock starts its own servers"),
        ([*LENT, "--against", "other.json"], "--against races on the benchmark's own servers"),
        *(([*LENT, "--only", part], f"{part} needs its own servers") for part in OWN_SERVERS),
    ],
)
def test_conflicting_options_are_refused_by_name(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        options_of(words)
    assert said in capsys.readouterr().err
