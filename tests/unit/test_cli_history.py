"""`notify history`: its requests and its output."""

from __future__ import annotations

import json

from tests.unit.test_cli_client import Api, api

__all__ = ["api"]

COUNTS = {
    **{"sent": 1234, "failed": 1, "cancelled": 0, "successRate": 0.9992, "secondsP50": 0.5, "secondsP95": 21600.0},
    **{"reported": 1200, "delivered": 1199, "bounced": 3, "complained": 2},
}
NONE = {
    **{"sent": 0, "failed": 0, "cancelled": 2, "successRate": None, "secondsP50": None, "secondsP95": None},
    **{"reported": 0, "delivered": 0, "bounced": 0, "complained": 0},
}
TOLD = {"total": COUNTS, "items": [{"value": "a\x1b", **COUNTS}, {"value": None, **NONE}]}


def test_the_counts_are_a_table_with_the_total_first(api: Api) -> None:
    api.will_say(TOLD)
    result = api.run("history", "--window", "7d", "--by", "tag", "--client-id", "3")
    assert result.exit_code == 0, result.output
    assert api.asked[0][:2] == ("GET", "/api/history?window=7d&by=tag&clientId=3")
    lines = [line.split("  ") for line in result.stdout.splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert cells == [
        [
            "TAG",
            "SENT",
            "FAILED",
            "CANCELLED",
            "SUCCESS",
            "DELIVERED",
            "BOUNCED",
            "COMPLAINED",
            "HALF WITHIN",
            "95% WITHIN",
        ],
        ["total", "1,234", "1", "0", "99.92%", "1,199", "3", "2", "0.5 s", "21600 s"],
        ["a\\u001b", "1,234", "1", "0", "99.92%", "1,199", "3", "2", "0.5 s", "21600 s"],
        ["(others)", "0", "0", "2", "-", "0", "0", "0", "-", "-"],
    ]


def test_json_output_is_the_answer_of_the_api(api: Api) -> None:
    api.will_say(TOLD)
    result = api.run("history", "--json")
    assert json.loads(result.stdout) == TOLD
    assert api.asked[0][1] == "/api/history?window=24h&by=type"
