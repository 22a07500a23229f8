"""`notify history`: how notifications ended over the last hours or days."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from cli.client.http import Client
from cli.client.notifications import at_url, in_json
from cli.terminal import show

WINDOWS = ("24h", "7d", "30d")
DIMENSIONS = ("type", "priority", "template", "tag", "provider", "domain", "client")
NUMBERS = ("sent", "failed", "cancelled", "delivered", "bounced", "complained")
COLUMNS = {
    "value": "VALUE",
    "sent": "SENT",
    "failed": "FAILED",
    "cancelled": "CANCELLED",
    "success": "SUCCESS",
    "delivered": "DELIVERED",
    "bounced": "BOUNCED",
    "complained": "COMPLAINED",
    "half": "HALF WITHIN",
    "most": "95% WITHIN",
}


@click.command(short_help="Show how notifications ended lately.")
@click.option("--window", type=click.Choice(WINDOWS), default="24h", show_default=True, help="The time to look back.")
@click.option(
    "--by", type=click.Choice(DIMENSIONS), default="type", show_default=True, help="Divide the counts by these values."
)
@click.option("--client-id", "clientId", type=click.IntRange(min=1), help="Only this client; needs the scope admin.")
@at_url
@in_json
def history(client: Client, as_json: bool, **wanted: object) -> None:
    """Show how many notifications were sent, failed or were cancelled, how fast, and what reports say about them.

    A key with the scope admin sees all clients together. Times are upper bounds. By domain, that of the sender, only
    reports are counted.
    """
    answer = client.history(**wanted)
    if as_json:
        click.echo(show.document(answer.raw))
        return
    told = answer.json
    rows = [_row("total", told["total"]), *(_row(item["value"] or "(others)", item) for item in told["items"])]
    click.echo(show.table(rows, {**COLUMNS, "value": str(wanted["by"]).upper()}))


def _row(value: str, counts: Mapping[str, Any]) -> dict[str, Any]:
    share, half, most = (counts[name] for name in ("successRate", "secondsP50", "secondsP95"))
    numbers = {name: f"{counts[name]:,}" for name in NUMBERS}
    success = "-" if share is None else f"{share:.2%}"
    return {"value": value, **numbers, "success": success, "half": _span(half), "most": _span(most)}


def _span(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:g} s"
