"""Alert rules and dashboard: well formed, each rule with its runbook. tests/acceptance/test_metrics.py checks their
metrics."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.monitoring import ALERTS, DASHBOARD, NO_PROMTOOL, PROMTOOL, dashboard, panels, promtool, rules, used
from tests.processes import ROOT

OPERATIONS = (ROOT / "docs" / "operations.md").read_text()


def test_every_alert_rule_has_a_description_and_a_runbook() -> None:
    for rule in rules():
        section = rule["alert"].removesuffix("BulkLate") + "Late" * rule["alert"].endswith("BulkLate")
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{section.lower()}"
        assert re.search(rf"^### {section}$", OPERATIONS, re.MULTILINE), section


def test_every_runbook_belongs_to_an_alert() -> None:
    written = set(re.findall(r"^### (Notify\w+)$", OPERATIONS, re.MULTILINE))

    assert written == {rule["alert"] for rule in rules()} - {"NotifyBulkLate"}


def test_the_grafana_dashboard_has_all_its_parts() -> None:
    whole = json.loads(DASHBOARD.read_text())

    assert whole["schemaVersion"] >= 39  # Grafana 11
    assert [(v["name"], v["type"]) for v in whole["templating"]["list"]] == [("datasource", "datasource")]
    ids = [panel["id"] for panel in whole["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in panels():
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["description"].endswith(".")
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        for target in panel["targets"]:
            wanted = {label for _, labels in used(target["expr"]) for label in labels}
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= wanted, target


def test_no_panel_of_the_grafana_dashboard_covers_another() -> None:
    taken: dict[tuple[int, int], int] = {}
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        at = panel["gridPos"]
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert taken.setdefault((x, y), panel["id"]) == panel["id"], panel["title"]


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("max(notify_up) == 0", [("notify_up", set())]),
        ('sum by (a, le) (rate(notify_x_bucket{b="1", c!~"2"}[5m]))', [("notify_x_bucket", {"a", "le", "b", "c"})]),
        ("sum by (a) (notify_x) / notify_y", [("notify_x", {"a"}), ("notify_y", set())]),
    ],
)
def test_the_metrics_in_an_expression_are_found(expression: str, found: list[tuple[str, set[str]]]) -> None:
    assert list(used(expression)) == found


@pytest.mark.skipif(PROMTOOL is None, reason=NO_PROMTOOL)
def test_promtool_understands_every_panel(tmp_path: Path) -> None:
    asked = [expression.replace("$__rate_interval", "5m") for expression in dashboard()]
    records = [{"record": f"panel_{number}", "expr": expression} for number, expression in enumerate(asked)]
    file = tmp_path / "panels.json"  # JSON is YAML.
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": records}]}))

    assert promtool("check", "rules", file) == ""


@pytest.mark.skipif(PROMTOOL is None, reason=NO_PROMTOOL)
@pytest.mark.parametrize(
    ("command", "file"), [("check", ALERTS), ("test", Path(__file__).with_name("alerts_test.yml"))]
)
def test_promtool_finds_no_fault(command: str, file: Path) -> None:
    assert promtool(command, "rules", file) == ""
