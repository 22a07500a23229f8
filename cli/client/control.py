"""`notify cancel`, `retry`, `pause` and `resume`: changing one's mind."""

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
from cli.terminal import show
from cli.terminal.moments import Moment

F = TypeVar("F", bound=Callable[..., Any])
ITSELF = "speaks to the database itself"
# In the words of the API: what its `filter` says of each reason.
REASONS = {
    "provider": {"failureReason": "exhausted", "lastOutcome": "provider-down"},
    "unknown": {"failureReason": "outcome-unknown"},
    **{name: {"failureReason": name} for name in ("rejected", "suppressed", "exhausted", "outcome-unknown")},
}


def _of(when: str, what: str) -> Callable[[F], F]:
    return click.option(
        "--client", "of", metavar="NAME", shell_complete=completing.clients, help=f"{when}{what}; {ITSELF}."
    )


def _for_operators(command: F) -> F:
    for option in (
        click.option("--direct", is_flag=True, help="Speak to the database itself instead of the API; needs no key."),
        click.option("--all", "all_", is_flag=True, help=f"Every channel; {ITSELF}."),
        _of("", "What this client sends"),
        click.option(
            "--channel",
            shell_complete=completing.channels,
            help="All that goes by this channel, whoever sends it; needs an admin key, or --direct.",
        ),
    ):
        command = option(command)
    return command


@click.command
@click.argument("id", type=click.IntRange(min=1))
@at_url
@in_json
def cancel(client: Client, as_json: bool, id: int) -> None:
    """Cancel a pending notification: it is never sent."""
    _print(client.cancel(id), as_json)


@click.command
@click.argument("id", type=click.IntRange(min=1), required=False)
@click.option("--failed", is_flag=True, help="All that have failed, instead of one.")
@click.option("--since", type=Moment(ago=True), help="With --failed: created since then; a time, or 90s, 10m, 1h, 2d.")
@click.option(
    "--reason",
    type=click.Choice(list(REASONS)),
    help="With --failed: only these; `provider`: at the last attempt the mail server was at fault.",
)
@click.option("--recipient", help="With --failed: only to this address.")
@click.option("--priority", type=click.Choice(PRIORITIES), help="With --failed: only of this lane.")
@click.option("--tag", help="With --failed: only with this tag.")
@click.option("--dry-run", is_flag=True, help="With --failed: only count them.")
@click.option("--cursor", help="With --failed: where one that was stopped has said to go on.")
@click.option(
    "--client",
    "of",
    metavar="NAME",
    shell_complete=completing.clients,
    help="With --failed: of this client; speaks to the database itself.",
)
@click.option("--all-clients", is_flag=True, help="With --failed: of every client; speaks to the database itself.")
@at_url
@in_json
def retry(client: Client, as_json: bool, id: int | None, failed: bool, **given: Any) -> None:
    """Send one or many failed notifications once more.

    Many are moved in steps, oldest first, and sent as fast as the queues take them. Ctrl-C ends it after the step
    that it is at, and says with which --cursor to go on. What has expired is too late and stays failed.
    """
    if failed == (id is not None):
        raise click.UsageError("Give an ID, or --failed.")
    if id is not None:
        if any(given.values()):
            raise click.UsageError("All options but --url and --json go with --failed.")
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
    """Accept and store, and send nothing until `notify resume`.

    Without an option it is what the client of NOTIFY_KEY sends.
    """
    _change("pause", client, as_json, **given)


@click.command
@_for_operators
@at_url
@in_json
def resume(client: Client, as_json: bool, **given: Any) -> None:
    """Send again, beginning with what has waited.

    Without an option it is what the client of NOTIFY_KEY sends. `--all` ends the pauses of channels, as `notify
    drain` has made them; a client that is paused stays so.
    """
    _change("resume", client, as_json, **given)


@contextmanager
def _chosen(client: Client, of: str | None, all_clients: bool, cursor: str | None, **given: Any) -> Iterator[many.Many]:
    """What is to be retried, as the API lets a client, or straight in the database."""
    if of is None and not all_clients:
        yield many.OverApi(client, _filters(given), cursor)
        return
    if of is not None and all_clients:
        raise click.UsageError("Give --client or --all-clients.")
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
        raise click.UsageError("Give one of --channel, --client and --all.")
    if of is None and not all_ and not (direct and channel is not None):
        if direct:
            raise click.UsageError("With --direct give --channel, --client or --all: nobody is asking but you.")
        _print_pause(client.pause("PUT" if arrow == "pause" else "DELETE", channel), as_json)
        return
    _without_url()
    lazy.attribute("cli.operator.pausing:change")(arrow, channel=channel, client=of, as_json=as_json)


def _without_url() -> None:
    if click.get_current_context().get_parameter_source("client") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--url is for the API, and this speaks to the database at DATABASE_URL: leave it out.")


def _filters(given: dict[str, Any]) -> dict[str, str]:
    """As the API wants them."""
    names = {"since": "createdFrom", "recipient": "recipient", "priority": "priority", "tag": "tag"}
    filters = {names[name]: given[name] for name in names if given[name] is not None}
    return filters | REASONS.get(given["reason"], {})


def _print(answer: Answer, as_json: bool) -> None:
    one = answer.json
    click.echo(show.document(answer.raw) if as_json else f"Notification {one['id']}: {show.plain(one['status'])}")


def _print_pause(answer: Answer, as_json: bool) -> None:
    one = answer.json
    state = f"paused since {one['since']}" if one["paused"] else "not paused"
    click.echo(show.document(answer.raw) if as_json else show.plain(f"{one['kind']} {one['name']}: {state}"))
