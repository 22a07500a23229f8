"""`notify cancel`, `retry`, `pause` and `resume`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from cli import lazy
from cli.client import many
from cli.client.http import Answer, Client
from cli.client.notifications import PRIORITIES, at_url, in_json
from cli.completion import completing
from cli.terminal import moments, show
from cli.terminal.moments import Moment

F = TypeVar("F", bound=Callable[..., Any])
DIRECTLY = "uses the database directly"
# The fields of the API's `filter` for each reason.
REASONS = {
    "provider": {"failureReason": "exhausted", "lastOutcome": "provider-down"},
    "unknown": {"failureReason": "outcome-unknown"},
    **{name: {"failureReason": name} for name in ("rejected", "suppressed", "exhausted", "outcome-unknown")},
}


def _of(when: str, what: str) -> Callable[[F], F]:
    return click.option(
        "--client", "of", metavar="NAME", shell_complete=completing.clients, help=f"{when}{what}; {DIRECTLY}."
    )


def _for_operators(command: F) -> F:
    for option in (
        click.option("--direct", is_flag=True, help="Use the database directly instead of the API, without a key."),
        click.option("--all", "all_", is_flag=True, help=f"Every channel; {DIRECTLY}."),
        _of("", "The notifications of this client"),
        click.option(
            "--channel",
            shell_complete=completing.channels,
            help="The notifications of all clients on this channel; needs a key with the scope admin, or --direct.",
        ),
    ):
        command = option(command)
    return command


@click.command(short_help="Cancel a pending notification.")
@click.argument("id", type=click.IntRange(min=1))
@at_url
@in_json
def cancel(client: Client, as_json: bool, id: int) -> None:
    """Cancel the pending notification ID. It is never sent."""
    _print(client.cancel(id), as_json)


@click.command(short_help="Send failed notifications again.")
@click.argument("id", type=click.IntRange(min=1), required=False)
@click.option("--failed", is_flag=True, help="All failed notifications, instead of one.")
@click.option(
    "--since",
    type=Moment(ago=True),
    help="With --failed: created since then, an RFC 3339 time or a span back from now such as 90s, 10m, 1h, 2d.",
)
@click.option(
    "--reason",
    type=click.Choice(list(REASONS)),
    help="With --failed: only with this reason; `provider`: the provider did not work at the last attempt.",
)
@click.option("--recipient", metavar="ADDRESS", help="With --failed: only to this address.")
@click.option("--priority", type=click.Choice(PRIORITIES), help="With --failed: only with this priority.")
@click.option("--tag", help="With --failed: only with this tag.")
@click.option("--dry-run", is_flag=True, help="With --failed: only count the notifications.")
@click.option("--cursor", help="With --failed: continue where an earlier run was stopped; that run printed the cursor.")
@click.option(
    "--client",
    "of",
    metavar="NAME",
    shell_complete=completing.clients,
    help=f"With --failed: of this client; {DIRECTLY}.",
)
@click.option("--all-clients", is_flag=True, help=f"With --failed: of all clients; {DIRECTLY}.")
@at_url
@in_json
def retry(client: Client, as_json: bool, id: int | None, failed: bool, **given: Any) -> None:
    """Send the failed notification ID again, or with --failed many notifications.

    Many notifications become pending in steps, oldest first. Ctrl-C stops after the step that runs, and prints a
    --cursor to continue with. Expired notifications stay failed.
    """
    if failed == (id is not None):
        raise click.UsageError("give either an ID or --failed")
    if id is not None:
        if any(given.values()):
            raise click.UsageError("with an ID only --url and --json are allowed; the other options need --failed")
        _print(client.retry(id), as_json)
        return
    run = many.count if given["dry_run"] else many.retry
    with _chosen(client, **given) as chosen:
        run(chosen, as_json)


@click.command
@_for_operators
@at_url
@in_json
def pause(client: Client, as_json: bool, **given: Any) -> None:
    """Stop sending until `notify resume`. Notifications are accepted and stored.

    Without an option this pauses the client of NOTIFY_KEY.
    """
    _change("pause", client, as_json, **given)


@click.command(short_help="Send again after `notify pause` or `notify drain`.")
@_for_operators
@at_url
@in_json
def resume(client: Client, as_json: bool, **given: Any) -> None:
    """Send again after `notify pause` or `notify drain`, oldest notifications first.

    Without an option this resumes the client of NOTIFY_KEY. `--all` resumes all channels, for example after
    `notify drain`; a client that is paused stays paused.
    """
    _change("resume", client, as_json, **given)


@contextmanager
def _chosen(client: Client, of: str | None, all_clients: bool, cursor: str | None, **given: Any) -> Iterator[many.Many]:
    """Open what is to be retried: over the API, or in the database with --client or --all-clients."""
    if of is None and not all_clients:
        yield many.OverApi(client, _filters(given), cursor)
        return
    if of is not None and all_clients:
        raise click.UsageError("give either --client or --all-clients")
    _without_url()
    with lazy.attribute("cli.operator.redriving:opened")(of, _filters(given), cursor) as opened:
        yield opened


def _change(  # noqa: PLR0913 - what both commands are given
    arrow: str,
    client: Client,
    as_json: bool,
    *,
    channel: str | None,
    of: str | None,
    all_: bool,
    direct: bool,
) -> None:
    if sum((channel is not None, of is not None, all_)) > 1:
        raise click.UsageError("give only one of --channel, --client and --all")
    if of is None and not all_ and not (direct and channel is not None):
        if direct:
            raise click.UsageError("--direct has no API key, which names a client: give --channel, --client or --all")
        _print_pause(client.pause("PUT" if arrow == "pause" else "DELETE", channel), as_json)
        return
    _without_url()
    lazy.attribute("cli.operator.pausing:change")(arrow, channel=channel, client=of, as_json=as_json)


def _without_url() -> None:
    if click.get_current_context().get_parameter_source("client") is ParameterSource.COMMANDLINE:
        raise click.UsageError("this uses the database at DATABASE_URL instead of the API: leave out --url")


def _filters(given: dict[str, Any]) -> dict[str, str]:
    """Return the filters under their names in the API."""
    names = {"since": "createdFrom", "recipient": "recipient", "priority": "priority", "tag": "tag"}
    filters = {names[name]: given[name] for name in names if given[name] is not None}
    return filters | REASONS.get(given["reason"], {})


def _print(answer: Answer, as_json: bool) -> None:
    one = answer.json
    click.echo(show.document(answer.raw) if as_json else f"Notification {one['id']}: {show.plain(one['status'])}")


def _print_pause(answer: Answer, as_json: bool) -> None:
    one = answer.json
    state = f"paused since {moments.readable(one['since'])}" if one["paused"] else "not paused"
    click.echo(show.document(answer.raw) if as_json else show.plain(f"{one['kind']} {one['name']}: {state}"))
