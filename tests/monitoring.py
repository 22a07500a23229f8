"""The metrics that docker/prometheus/ and docker/grafana/ query, and those that docs/metrics.md documents."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.processes import ROOT

PROMTOOL = shutil.which("promtool")
NO_PROMTOOL = "promtool is not installed: apt-get install prometheus"
ALERTS = ROOT / "docker" / "prometheus" / "alerts.yml"
DASHBOARD = ROOT / "docker" / "grafana" / "notify.json"
ROW = re.compile(r"^\| `(notify_\w+)` \| (\w+) \| (.*?) \| (.*) \|$", re.MULTILINE)
# What follows `by (...)` belongs to the next metric.
ASKED = re.compile(r"(?:by \(([\w, ]+)\).*?)?\b(notify_\w+)(?:\{([^}]*)\})?", re.DOTALL)


def promtool(*words: str | Path, given: bytes = b"") -> str:
    """Return the faults that promtool finds, or an empty text if there are none."""
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, *words], input=given, capture_output=True, check=False)
    return "" if done.returncode == 0 else (done.stdout + done.stderr).decode()


def rules() -> list[dict[str, Any]]:
    """The alert rules."""
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """The panels that show something."""
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def alerts() -> list[str]:
    """The expressions of all rules."""
    return [rule["expr"] for rule in rules()]


def dashboard() -> list[str]:
    """The expressions of all panels."""
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def used(expression: str) -> Iterator[tuple[str, set[str]]]:
    """The metrics of an expression, each with the labels that are asked of it."""
    found = list(ASKED.finditer(expression))
    assert found, expression
    for by, name, matchers in (match.groups() for match in found):
        labels = {label.strip() for label in (by or "").split(",")} - {""}
        yield name, labels | set(re.findall(r"(\w+)\s*[=!~]+\s*\"", matchers or ""))


def documented() -> dict[str, tuple[str, set[str], str]]:
    """By name, the type, the labels and the words that the table gives."""
    table = ROW.findall((ROOT / "docs" / "metrics.md").read_text())
    return {name: (type, set(re.findall(r"`(\w+)`", labels)), words) for name, type, labels, words in table}
