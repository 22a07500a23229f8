"""`notify clients`: the programs that may use the API, and their limits. Uses the database directly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import click

from api.http.answers import shown
from api.schemas import client_providers
from cli.completion import completing
from cli.operator import caller, store
from cli.terminal import show
from cli.terminal.failure import Refused
from db import acts, lifecycle
from db import providers as reported
from db.audit import recorded
from db.clients import Client, create, disable, enable, listed, update
from settings import Settings

COLUMNS = {
    "id": "ID",
    "name": "NAME",
    "rate_limit": "PER MINUTE",
    "daily_quota": "PER DAY",
    "pending_limit": "MAX PENDING",
    "senders": "SENDERS",
    "phone_region": "REGION",
    "providers": "PROVIDERS",
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
        click.option(
            "--provider",
            "providers",
            multiple=True,
            metavar="NAME",
            help="A provider that the client may use; may be repeated. Of a channel without one it may use all.",
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
def create_(
    name: str, as_json: bool, senders: tuple[str, ...], providers: tuple[str, ...], **limits: int | str | None
) -> None:
    """Create a client."""
    wanted = _wanted(limits, senders)
    with store.opened() as chosen:
        wanted |= _by_channel(providers, chosen)
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
@click.option("--all-providers", is_flag=True, help="Let the client use all providers again.")
@_json
def update_(  # noqa: PLR0913, PLR0917
    name: str,
    as_json: bool,
    senders: tuple[str, ...],
    no_senders: bool,
    providers: tuple[str, ...],
    all_providers: bool,
    **limits: int | str | None,
) -> None:
    """Change the limits, senders and providers of the client NAME. `none` restores the limit of the settings."""
    wanted = _wanted(limits, senders) | ({"senders": []} if no_senders else {})
    wanted |= {"providers": None} if all_providers else {}
    if not (wanted or providers):
        raise click.UsageError(
            "give at least one of --rate-limit, --daily-quota, --pending-limit, --phone-region, --sender, --no-senders,"
            " --provider and --all-providers"
        )
    if providers and all_providers:
        raise click.UsageError("give --provider or --all-providers, not both")
    with store.opened() as chosen:
        wanted |= _by_channel(providers, chosen)
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


def _by_channel(names: Sequence[str], chosen: Settings) -> dict[str, Any]:
    """Return the names of providers as the field of a client; raises Refused if there is no such provider."""
    if not names:
        return {}
    try:
        known = {**client_providers.configured(chosen), **reported.channels()}
        return {"providers": client_providers.by_channel(dict.fromkeys(names), known)}
    except client_providers.UnknownProvider as unknown:
        raise Refused(f"--provider: {unknown}") from None


def _say(client: Client, as_json: bool) -> None:
    if as_json:
        store.say(client._asdict())
    else:
        click.echo(show.table([_readable(client)], COLUMNS))


def _readable(client: Client) -> dict[str, Any]:
    providers = " ".join(name for names in (client.providers or {}).values() for name in names)
    return {**client._asdict(), "senders": " ".join(client.senders), "providers": providers or "all"}
