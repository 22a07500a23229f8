"""`notify providers`: the accounts through which notifications are sent. Uses the database directly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from cli.operator import caller, store
from cli.terminal import show
from cli.terminal.failure import Refused
from cli.terminal.moments import readable
from db import acts
from db import providers as known
from db.audit import recorded
from db.providers import Provider, Use

COLUMNS = {
    **{"name": "NAME", "channel": "CHANNEL", "state": "STATE", "priority": "PRIORITY", "weight": "WEIGHT"},
    **{"connections": "CONNECTIONS", "rate": "PER SECOND", "daily": "IN 24 HOURS"},
    **{"workers": "WORKERS", "attempts": "ATTEMPTS", "success": "TAKEN"},
}


@click.group(invoke_without_command=True, short_help="Show the providers; switch or weigh one.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one line for each provider.")
@click.pass_context
def providers(context: click.Context, as_json: bool) -> None:
    """Show the providers through which notifications are sent, and how the live workers use them.

    They come from SMTP_URL and PROVIDER_<NAME> of the workers. ATTEMPTS are those of the live workers since they
    started; TAKEN is the part of them that the provider took. IN 24 HOURS tells how much of its daily limit is used.
    """
    if context.invoked_subcommand:
        return
    with store.opened() as chosen:
        found = known.listed(chosen.delivery.worker_timeout)
    if as_json:
        for one, use in found:
            store.say(one._asdict() | {"workers": use.workers, "attempts": dict(use.attempts), "success": use.success})
    else:
        click.echo(show.table((row(one, use) for one, use in found), COLUMNS))
        for one, _ in found:
            for refused in one.refused_domains:
                click.echo(show.plain(f"\n{one.name} refuses mail From {refused['domain']}: {refused['reason']}"))
        if not found:
            click.echo("\nNo worker has reported a provider yet; to start some: dramatiq actors -p 2 -t 8")


@providers.command(short_help="Send nothing more through a provider.")
@click.argument("name")
def disable(name: str) -> None:
    """Send nothing more through the provider NAME until it is enabled again.

    What it has taken stays taken; what waits for it goes through the others.
    """
    _change(name, {"enabled": False})


@providers.command(short_help="Send through a provider again.")
@click.argument("name")
def enable(name: str) -> None:
    """Send through the provider NAME again."""
    _change(name, {"enabled": True})


@providers.command(short_help="Set the weight of a provider.")
@click.argument("name")
@click.argument("weight", type=click.IntRange(1, 1000), required=False)
def weigh(name: str, weight: int | None) -> None:
    """Set the weight of the provider NAME: its share among those of the same priority.

    Without WEIGHT, the weight of its URL applies again.
    """
    _change(name, {"weight": weight})


def _change(name: str, changes: Mapping[str, Any]) -> None:
    with store.opened():
        changed = recorded(caller.by(), acts.provider_changed, known.change)(name, changes)
        names = [one.name for one in known.reported()]
    if changed is None:
        there = f"; there are: {', '.join(names)}" if names else ": no worker has reported one yet"
        raise Refused(f"there is no provider {name!r}{there}")
    state = "enabled" if changed.enabled else "disabled"
    click.echo(show.plain(f"{name}: {state}, weight {changed.weight_in_force}"))


def row(one: Provider, use: Use) -> dict[str, Any]:
    """Return a provider as a row of the table."""
    rate, daily = one.config.get("rate"), one.config.get("daily")
    return {
        **one.config,
        "name": one.name,
        "state": _state(one),
        "weight": one.weight_in_force,
        "rate": "any" if rate is None else f"{rate:g}",
        "daily": "any" if daily is None else f"{one.daily_used:,} of {daily:,}",
        "workers": use.workers,
        "attempts": f"{sum(use.attempts.values()):,}",
        "success": "" if use.success is None else f"{use.success:.1%}",
    }


def _state(one: Provider) -> str:
    if not one.enabled:
        return "disabled"
    state = "works"
    if one.opened_at:
        state = f"down since {readable(one.opened_at)}"
    elif one.exhausted_until:
        state = f"used up until {readable(one.exhausted_until)}"
    return f"{state}, no reports since {readable(one.silent_since)}" if one.silent_since else state
