"""`notify clients`: the programs that may use the API, and their limits. Uses the database directly."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import click

from api.http.answers import shown
from cli.completion import completing
from cli.operator import caller, store
from cli.terminal import show
from cli.terminal.failure import Refused
from db import acts, lifecycle
from db.audit import recorded
from db.clients import Client, create, disable, enable, listed, update

COLUMNS = {
    "id": "ID",
    "name": "NAME",
    "rate_limit": "PER MINUTE",
    "daily_quota": "PER DAY",
    "pending_limit": "MAX PENDING",
    "senders": "SENDERS",
    "phone_region": "REGION",
    "created_at": "CREATED",
    "disabled_at": "DISABLED",
}
NONE = "none"
F = TypeVar("F", bound=Callable[..., Any])


class Limit(click.ParamType[int | str]):
    """Limit: a whole number from 1, or `none` for the limit of the settings."""

    name = "number|none"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        if value == NONE:
            return NONE
        try:
            return int(value)
        except ValueError:
            self.fail(f"{value!r} must be a whole number or none", param, ctx)


def _limits(command: F) -> F:
    for option in (
        click.option("--rate-limit", type=Limit(), help="Notifications per minute."),
        click.option("--daily-quota", type=Limit(), help="Notifications per day (UTC)."),
        click.option("--pending-limit", type=Limit(), help="Notifications that may be pending at a time."),
        click.option(
            "--sender",
            "senders",
            multiple=True,
            metavar="ADDRESS",
            help="What the client may send from: an address, @example.com for a domain, or sms:ACME; may be repeated.",
        ),
        click.option(
            "--phone-region", metavar="COUNTRY", help="Country of phone numbers without a country code, such as CH."
        ),
    ):
        command = option(command)
    return command


_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


@click.group(short_help="Manage clients and their limits.")
def clients() -> None:
    """Manage clients: the programs that may use the API, with their limits. Uses the database directly."""


@clients.command("create")
@click.option("--name", required=True, help="The name of the client.")
@_limits
@_json
def create_(name: str, as_json: bool, senders: tuple[str, ...], **limits: int | str | None) -> None:
    """Create a client."""
    wanted = _wanted(limits, senders)
    with store.opened() as chosen:
        store.checked("client", chosen, {"name": name, **shown(wanted)})
        made = recorded(caller.by(), acts.client_created, create)(name, wanted)
    if made is None:
        raise Refused(f"--name: there is a client {name!r} already; choose another name")
    _say(made, as_json)


@clients.command("list")
@_json
def list_(as_json: bool) -> None:
    """List clients, oldest first."""
    found: list[Client] = []
    with store.opened():
        while page := listed(found[-1].id if found else 0, store.PAGE):
            found += page
    if as_json:
        for client in found:
            store.say(client._asdict())
    else:
        click.echo(show.table((_readable(client) for client in found), COLUMNS))


@clients.command("show")
@click.argument("name", shell_complete=completing.clients)
@_json
def show_(name: str, as_json: bool) -> None:
    """Show the client NAME."""
    with store.opened():
        found = store.client(name)
    _say(found, as_json)


@clients.command("update")
@click.argument("name", shell_complete=completing.clients)
@_limits
@click.option("--no-senders", is_flag=True, help="Let the client send from MAIL_FROM only.")
@_json
def update_(name: str, as_json: bool, senders: tuple[str, ...], no_senders: bool, **limits: int | str | None) -> None:
    """Change the limits and senders of the client NAME. `none` restores the limit of the settings."""
    wanted = _wanted(limits, senders)
    if no_senders:
        wanted["senders"] = []
    if not wanted:
        raise click.UsageError(
            "give at least one of --rate-limit, --daily-quota, --pending-limit, --phone-region, --sender and "
            "--no-senders"
        )
    with store.opened() as chosen:
        found = store.client(name)
        store.checked("client_changes", chosen, shown(wanted))
        changed = recorded(caller.by(), partial(acts.client_changed, wanted, None), update)(found.id, wanted)
    _say(changed or found, as_json)


@clients.command("disable")
@click.argument("name", shell_complete=completing.clients)
@click.option("--cancel", is_flag=True, help="Cancel its pending notifications too, which wait otherwise.")
@_json
def disable_(name: str, as_json: bool, cancel: bool) -> None:
    """Disable the client NAME: within a second its keys stop working and none of its notifications is sent."""
    with store.opened():
        found = store.client(name)
        disabled = recorded(caller.by(), partial(acts.client_changed, {}, True), disable)(found.id)
        cancelled = _cancel(found) if cancel else 0
    _say(disabled or found, as_json)
    if cancel and not as_json:
        click.echo(f"Cancelled: {cancelled}")


@clients.command("enable")
@click.argument("name", shell_complete=completing.clients)
@_json
def enable_(name: str, as_json: bool) -> None:
    """Enable the client NAME again: its keys work, and its pending notifications are sent."""
    with store.opened():
        found = store.client(name)
        enabled = recorded(caller.by(), partial(acts.client_changed, {}, False), enable)(found.id)
    _say(enabled or found, as_json)


def _cancel(client: Client) -> int:
    """Cancel the pending notifications of a client in steps, so that no statement takes long; return their number."""
    cancelled, cancel = 0, recorded(caller.by(), partial(acts.cancelled, client.id), lifecycle.cancel_all)
    while step := cancel(client.id, store.PAGE):
        cancelled += len(step)
    return cancelled


def _wanted(limits: dict[str, int | str | None], senders: tuple[str, ...]) -> dict[str, Any]:
    wanted: dict[str, Any] = {n: None if value == NONE else value for n, value in limits.items() if value is not None}
    return {**wanted, "senders": list(senders)} if senders else wanted


def _say(client: Client, as_json: bool) -> None:
    if as_json:
        store.say(client._asdict())
    else:
        click.echo(show.table([_readable(client)], COLUMNS))


def _readable(client: Client) -> dict[str, Any]:
    return {**client._asdict(), "senders": " ".join(client.senders)}
