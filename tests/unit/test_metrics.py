"""What processes count: bounded in series, kept together in files, and not lost when one of them dies."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram

import cells
import metrics
import scrape
from tests.processes import ROOT
from tests.scrapes import Scrape

COUNTS = """
import sys, os, shutil, cells, logs, metrics, scrape, settings
logs.configure(settings.read({}))
cells.VITALS_EVERY = 3600
cells.share(sys.argv[1], os.getppid(), "worker")
if len(sys.argv) == 2 and os.environ.get("GONE"):
    metrics.retries["high", "email"].inc()
    shutil.rmtree(sys.argv[1])
for number in sys.argv[2:]:
    metrics.retries["normal", "email"].inc()
    metrics.waits["claim"].observe(float(number))
sys.stdout.buffer.write(scrape.page(False, False).body)
"""


def run(directory: str | Path, *numbers: float, **environ: str) -> Scrape:
    """A process that counts so, and what it then reads; it has ended when this returns."""
    command = [sys.executable, "-c", COUNTS, str(directory), *map(str, numbers)]
    done = subprocess.run(
        command, cwd=ROOT, env={"PATH": os.environ["PATH"]} | environ, capture_output=True, check=True
    )
    return Scrape(done.stdout.decode())


@pytest.fixture
def family() -> metrics.Family[Counter]:
    return metrics.Family(Counter("seen", "Seen.", ["what", "how"], registry=CollectorRegistry()))


def test_a_series_is_made_once(family: metrics.Family[Counter]) -> None:
    family["a", "b"].inc()
    family["a", "b"].inc(2)

    assert len(family) == 1
    assert [s.value for m in family.metric.collect() for s in m.samples if s.name == "seen_total"] == [3]


def test_labels_that_run_away_are_counted_together(family: metrics.Family[Counter]) -> None:
    for n in range(metrics.MOST + 50):
        family[f"{n}", "b"].inc()
    samples = [s for m in family.metric.collect() for s in m.samples if s.name == "seen_total"]

    assert len(family) == metrics.MOST
    assert len(samples) == metrics.MOST + 1
    assert sum(s.value for s in samples) == metrics.MOST + 50
    assert [s.value for s in samples if s.labels == {"what": "other", "how": "other"}] == [50]


def test_nothing_is_counted_at_import() -> None:
    program = "import metrics, scrape; print(sum(len(m.samples) for m in metrics.registry.collect()))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env={}, capture_output=True, check=True)

    assert done.stdout == b"0\n"


def test_names_are_as_prometheus_wants_them() -> None:
    for family in metrics.FAMILIES:
        metric = family.metric
        assert metric._name.startswith("notify_")
        assert not metric._name.endswith(("_total", "_count", "_sum", "_bucket"))
        assert metric._documentation.endswith(".")
        if isinstance(metric, Histogram):
            assert metric._name.endswith(("_seconds", "_size"))


def test_what_dead_processes_counted_stays_counted(tmp_path: Path) -> None:
    assert run(tmp_path, 0.002).sum("notify_retries_total") == 1
    assert run(tmp_path, 0.002, 100).sum("notify_retries_total") == 3
    seen = run(tmp_path)

    assert seen.sum("notify_retries_total") == 3
    assert seen.sum("notify_wait_seconds_count", stage="claim") == 3
    assert seen.sum("notify_wait_seconds_bucket", stage="claim", le="10.0") == 2
    assert seen.sum("notify_wait_seconds_sum") == pytest.approx(100.004)


def test_the_gauges_of_the_dead_are_gone_and_files_do_not_pile_up(tmp_path: Path) -> None:
    for _ in range(3):
        seen = run(tmp_path, 1)
        assert seen.sum("notify_processes") == 1
        assert len(list(tmp_path.glob("*.db"))) <= 2 + 3  # nobody's, and its own


def test_a_broken_file_of_a_dead_process_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "counter_4194305.db").write_bytes(b"\xff\xff\x00\x00 what is this")
    (tmp_path / "histogram_4194305.db").write_bytes(b"")

    assert run(tmp_path, 1).sum("notify_retries_total") == 1


def test_without_a_directory_a_process_counts_for_itself(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()

    assert run(file, 1).sum("notify_retries_total") == 1


def test_without_its_directory_any_more_a_process_tells_what_it_has_counted(tmp_path: Path) -> None:
    assert run(tmp_path / "shared", GONE="yes").sum("notify_retries_total", lane="high") == 1


def test_the_processes_of_one_command_find_each_other(tmp_path: Path) -> None:
    assert run("", 1, TMPDIR=str(tmp_path)).sum("notify_retries_total") == 1
    assert run("", 1, TMPDIR=str(tmp_path)).sum("notify_retries_total") == 2
    [directory] = tmp_path.iterdir()
    assert directory.stat().st_mode & 0o777 == 0o700


def test_what_a_command_that_has_ended_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = tmp_path / f"{cells.PREFIX}{os.geteuid()}-4194305-1"
    left.mkdir()
    (left / "counter_1.db").touch()
    others = tmp_path / f"{cells.PREFIX}something-else"
    others.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    mine = cells.own(os.getpid())

    assert sorted(tmp_path.iterdir()) == sorted([mine, others])


def test_a_link_in_the_place_of_the_directory_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    mine = cells.own(os.getpid())
    mine.rmdir()
    (tmp_path / "elsewhere").mkdir()
    mine.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(PermissionError, match="belongs to somebody else"):
        cells.own(os.getpid())


@pytest.mark.parametrize(
    ("authorization", "is_it"),
    [
        ("Bearer secret", True),
        ("bearer  secret ", True),
        ("Bearer Secret", False),
        ("Basic secret", False),
        ("secret", False),
        ("", False),
        ("Bearer", False),
        ("Bearer \udcff", False),
    ],
)
def test_the_token_is_the_token(authorization: str, is_it: bool) -> None:
    assert scrape.is_token(authorization, "secret") is is_it
