"""Metrics of processes: a limited number of series, created at first use, in a directory of each command."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from prometheus_client import Counter, Histogram

from runtime import metrics
from runtime.metrics import directory, families
from runtime.metrics.tokens import is_token
from tests.processes import ROOT


@pytest.fixture
def family(monkeypatch: pytest.MonkeyPatch) -> metrics.Family[Counter]:
    monkeypatch.setattr(families._Process, "registry", None)
    return metrics.Family("Counter", "seen", "Seen.", ("what", "how"))


def python(program: str, **environ: str) -> str:
    """Run a Python program and return its output."""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, check=True, text=True)
    return done.stdout


def test_a_series_is_created_once(family: metrics.Family[Counter]) -> None:
    family["a", "b"].inc()
    family["a", "b"].inc(2)

    assert len(family) == 1
    assert [s.value for m in family.metric.collect() for s in m.samples if s.name == "notify_seen_total"] == [3]


def test_label_values_beyond_the_limit_are_counted_together(family: metrics.Family[Counter]) -> None:
    for n in range(metrics.MOST + 50):
        family[f"{n}", "b"].inc()
    samples = [s for m in family.metric.collect() for s in m.samples if s.name == "notify_seen_total"]

    assert len(family) == metrics.MOST
    assert len(samples) == metrics.MOST + 1
    assert sum(s.value for s in samples) == metrics.MOST + 50
    assert [s.value for s in samples if s.labels == {"what": "other", "how": "other"}] == [50]


def test_nothing_is_counted_at_import() -> None:
    program = "from runtime.metrics import families; print(sum(len(m.samples) for m in families.registry().collect()))"

    assert python(program) == "0\n"


@pytest.mark.parametrize(
    "modules", ["cli.main", "actors", "api.http.worker, db.migrations, runtime.metrics.multiprocess"]
)
def test_prometheus_client_is_not_imported_before_the_directory_is_known(modules: str) -> None:
    program = f"import sys, {modules}; print('prometheus_client' in sys.modules)"
    servers = {"DATABASE_URL": "postgresql://localhost/nothing", "REDIS_URL": "redis://localhost"}

    assert python(program, **servers) == "False\n"


@pytest.mark.parametrize("variable", ["PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"])
def test_a_command_counts_without_a_directory_and_not_in_that_of_another_program(tmp_path: Path, variable: str) -> None:
    program = "from runtime import metrics; c = metrics.retries['bulk', 'email']; c.inc(); print(len(metrics.retries))"

    assert python(program, **{variable: str(tmp_path)}) == "1\n"
    assert python(program, **{variable: str(tmp_path / "missing")}) == "1\n"
    assert list(tmp_path.iterdir()) == []


def test_metric_names_follow_the_rules_of_prometheus() -> None:
    for family in metrics.FAMILIES:
        metric = family.metric
        assert metric._name.startswith("notify_")
        assert not metric._name.endswith(("_total", "_count", "_sum", "_bucket"))
        assert metric._documentation.endswith(".")
        if isinstance(metric, Histogram):
            assert metric._name.endswith(("_seconds", "_size"))


def test_metrics_of_a_finished_command_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = tmp_path / f"{directory.PREFIX}{os.geteuid()}-4194305-1"
    left.mkdir()
    (left / "counter_1.db").touch()
    (left / "merging").mkdir()
    (left / "merging" / "counter_1_1.db").touch()
    others = tmp_path / f"{directory.PREFIX}something-else"
    others.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    mine = directory.own(os.getpid())

    assert sorted(tmp_path.iterdir()) == sorted([mine, others])


def test_a_symbolic_link_instead_of_the_metrics_directory_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    mine = directory.own(os.getpid())
    mine.rmdir()
    (tmp_path / "elsewhere").mkdir()
    mine.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(PermissionError, match="belongs to another user"):
        directory.own(os.getpid())


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
def test_only_a_bearer_authorization_with_the_token_is_accepted(authorization: str, is_it: bool) -> None:
    assert is_token(authorization, "secret") is is_it
