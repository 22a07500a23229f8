"""Evaluation of benchmark results: medians, the table, saturated resources, and the options."""

from __future__ import annotations

import argparse

import pytest

from benchmarks import plan, report, scenarios
from benchmarks.figures import faults, medians, percentiles
from benchmarks.plan import Plan
from benchmarks.rows import Row
from benchmarks.saturation import limit, shares
from benchmarks.scenarios.retries import _rate


def test_speeds_are_medians_and_faults_are_summed() -> None:
    rounds = [{"a rate": 1.0, "a errors": 2.0}, {"a rate": 9.0, "a errors": 0.0}, {"a rate": 4.0, "a errors": 1.0}]

    assert medians(rounds) == {"a rate": 4.0, "a errors": 3.0}
    assert faults(medians(rounds)) == 3.0


def test_a_figure_missing_in_one_round_is_the_median_of_the_other_rounds() -> None:
    assert medians([{"a p50": 1.0}, {}, {"a p50": 3.0}]) == {"a p50": 2.0}


def test_percentiles_are_computed_from_the_raw_values() -> None:
    assert percentiles([float(n) for n in reversed(range(100))]) == {"p50": 50, "p95": 95, "p99": 99, "slowest": 99}
    assert percentiles([]) == {}


def test_the_table_has_a_ratio_for_two_systems_and_omits_rows_without_figures() -> None:
    rows = [Row("speed", "rate"), Row("absent", "x"), Row("share", "share", compared=False)]
    table = report.table({"ours": {"rate": 3_000.0, "share": 5.0}, "other": {"rate": 1_500.0, "share": 10.0}}, rows)

    assert table.splitlines()[2:] == ["| speed | 3,000 | 1,500 | 2.00 |", "| share | 5 | 10 |  |"]
    assert report.table({"ours": {"rate": 12.34}}, rows).splitlines()[2:] == ["| speed | 12.3 |"]


def test_a_system_without_batches_is_compared_by_single_requests() -> None:
    rows = [Row("batch", "batch", instead="single")]
    table = report.table({"ours": {"batch": 500.0, "single": 50.0}, "other": {"single": 100.0}}, rows)

    assert table.splitlines()[2] == "| batch | 500 | - | 5.00 to its single ones |"


def test_a_fault_has_a_line_only_if_it_occurred() -> None:
    rows = [Row("missing", "a missing", compared=False, above=0)]

    assert len(report.table({"ours": {"a missing": 0.0}}, rows).splitlines()) == 2
    assert report.table({"ours": {"a missing": 1.0}}, rows).splitlines()[2] == "| missing | 1 |"
    assert "1 in all" in report.verdict({"ours": {"a missing": 1.0, "a others": 4.4}})
    assert "at most 4%" in report.verdict({"ours": {"a missing": 1.0, "a others": 4.4}})


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ({"a busy": 96.0, "a core sink": 99.0}, "CPU"),
        ({"a busy": 96.0, "a others": 40.0}, "CPU, 40% of it by other programs"),
        ({"a busy": 60.0, "a core sink": 99.0}, "one core of the SMTP sink"),
        ({"a busy": 60.0, "a core load": 99.0}, "one core of the load generator"),
        ({"a busy": 60.0, "a waits IO:WalSync": 70.0}, "waiting: PostgreSQL for IO:WalSync (70% of samples)"),
        ({"a busy": 60.0, "a smtp ms": 20.0, "a waits IO:WalSync": 5.0}, "waiting: the mail server"),
        ({"a busy": 60.0, "b waits IO:WalSync": 70.0}, "waiting: round trips"),
    ],
)
def test_the_saturated_resource_is_named(figures: dict[str, float], words: str) -> None:
    assert limit(figures, "a") == words


def test_cpu_shares_of_the_parts_are_listed_with_the_greatest_first() -> None:
    cores = {"a core api": 40.4, "a core load": 90.0, "a core redis": 0.4, "b core sink": 50.0}

    assert shares(cores, "a") == "load 90, api 40"


def test_every_size_has_an_option_and_every_option_is_used() -> None:
    parser = argparse.ArgumentParser()
    plan.add_options(parser)

    assert plan.plan_of(parser.parse_args([])) == Plan()
    given = parser.parse_args(
        ["--connections", "2", "3", "--smtp-ms", "0.5", "--retries-share", "0.25", "--old-rows", "0"]
    )
    assert plan.plan_of(given) == Plan(connections=(2, 3), smtp_ms=(0.5,), retries_share=0.25, old_rows=(0,))


def test_no_line_of_the_report_is_repeated() -> None:
    rows = list(scenarios.rows(Plan(), list(scenarios.SCENARIOS)))

    assert len({row.label for row in rows}) == len(rows)


def test_the_rate_of_a_drain_ignores_the_few_late_retries() -> None:
    assert _rate([float(n) for n in range(8)] + [100.0, 200.0]) == 1.0
    assert _rate([]) == 0.0
