"""Options of `notify send`, and the notification that they make."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from cli.client import mail, reading
from cli.client.notifications import PRIORITIES
from cli.terminal import faults
from cli.terminal.moments import Moment

F = TypeVar("F", bound=Callable[..., Any])

EMAIL, SMS, PUSH, CHAT, WEBHOOK = TYPES = ("email", "sms", "push", "chat", "webhook")
# The types that an option is for; all others are for every type.
OF_TYPES: Mapping[str, tuple[str, ...]] = {
    "recipient": (EMAIL, SMS, PUSH),
    "destination": (CHAT, WEBHOOK),
    "message": (EMAIL, SMS, PUSH, CHAT),
    "subject": (EMAIL, PUSH, CHAT),
    "title": (PUSH, CHAT),
    "from": (EMAIL, SMS),
    **dict.fromkeys(
        ("html", "replyTo", "recipientName", "cc", "bcc", "headers", "attachments", "unsubscribe"), (EMAIL,)
    ),
    "maxSegments": (SMS,),
    "data": (PUSH, CHAT),
    **dict.fromkeys(("keys", "badge", "sound", "open", "registeredAt"), (PUSH,)),
    **dict.fromkeys(("event", "payload"), (WEBHOOK,)),
}
# Options that give a field of the API with another name.
FIELDS = {"destination": "recipient", "title": "subject", "open": "url"}


def _pairs(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in given]
    if any(not key or not equals for key, equals, _ in pairs):
        raise click.BadParameter("must be KEY=VALUE, such as orderId=42")
    return {key: value for key, _, value in pairs}


_OPTIONS = (
    click.option(
        "--type",
        metavar="TYPE",
        default=EMAIL,
        show_default=True,
        help="email, sms, push, chat, webhook, or a channel that your system has besides these.",
    ),
    click.option(
        "--to",
        "recipient",
        metavar="ADDRESS",
        help="The recipient: a mail address, for sms a phone number such as +41791234567, for push a token.",
    ),
    click.option("--destination", metavar="NAME", help="For chat and webhook: the destination, instead of --to."),
    click.option("--message", help="The text; `-` reads it from standard input."),
    click.option("--subject", help="The subject of a mail."),
    click.option("--title", help="The title of a push or chat message."),
    click.option("--html", type=reading.file, help="A file with the HTML of the mail; `-` is standard input."),
    click.option(
        "--template", metavar="NAME", help="The template to send, instead of --message, --subject and --html."
    ),
    click.option("--variables", metavar="JSON", help="The variables of the template; `-` is standard input."),
    click.option(
        "--from",
        "from",
        metavar="SENDER",
        help="The sender: name@example.com or Name <name@example.com>; for sms a number or a name.",
    ),
    click.option("--reply-to", "replyTo", metavar="MAILBOX", help="The mailbox that replies go to."),
    click.option("--recipient-name", "recipientName", metavar="NAME", help="The display name of the recipient."),
    click.option("--cc", multiple=True, metavar="MAILBOX", help="Another recipient; may be repeated."),
    click.option(
        "--bcc", multiple=True, metavar="MAILBOX", help="A recipient that the others do not see; may be repeated."
    ),
    click.option(
        "--header",
        "headers",
        multiple=True,
        metavar="NAME:VALUE",
        callback=mail.headers,
        help="A header of the mail, such as `X-Campaign: spring`; may be repeated.",
    ),
    click.option(
        "--attach",
        "attachments",
        multiple=True,
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        callback=mail.attachments,
        help="A file to attach to the mail; may be repeated.",
    ),
    click.option(
        "--unsubscribe",
        is_flag=False,
        flag_value=mail.OURS,
        metavar="[URL]",
        callback=mail.unsubscribe,
        help="Add a one-click unsubscribe link (RFC 8058): to URL, or without a URL to this system.",
    ),
    click.option("--max-segments", "maxSegments", type=int, help="For sms: the most segments that it may have."),
    click.option(
        "--data", metavar="JSON", help="For push: texts for the app. For chat: fields of the service's request."
    ),
    click.option("--keys", metavar="JSON", help="For push to a browser: the keys of its subscription."),
    click.option("--badge", type=int, help="For push: the number on the app's icon; 0 removes it."),
    click.option("--sound", help="For push: the sound, `default` or a file of the app."),
    click.option("--open", metavar="URL", help="For push: the page or screen to open."),
    click.option(
        "--registered-at", "registeredAt", metavar="TIME", help="For push: when the app registered the token."
    ),
    click.option("--event", help="For webhook: the `type` of the body."),
    click.option("--payload", metavar="JSON", help="For webhook: the `data` of the body; `-` is standard input."),
    click.option(
        "--on-uncertain",
        "onUncertain",
        type=click.Choice(["resend", "hold"]),
        help="What to do when nobody can know whether the provider took it: send it again, or stop.",
    ),
    click.option(
        "--failover",
        type=click.Choice(["safe", "always"]),
        help="Let another provider send it only if the first has certainly not taken it, or also if that is unknown.",
    ),
    click.option("--tag", "tags", multiple=True, help="A tag, to find the notification by; may be repeated."),
    click.option(
        "--metadata",
        multiple=True,
        metavar="KEY=VALUE",
        callback=_pairs,
        help="A value to store with it; may be repeated.",
    ),
    click.option("--priority", type=click.Choice(PRIORITIES), help="The priority of the notification."),
    click.option(
        "--at", "sendAt", type=Moment(), help="When to send it: an RFC 3339 time, or a span from now such as 2h."
    ),
    click.option("--expires", "expiresAt", type=Moment(), help="When to give up: a time, or a span from now."),
)


def options(command: F) -> F:
    """Give a command the options for the fields of a notification."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def document(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the notification that these options make; raises UsageError if one is not for its type."""
    wanted = {name: value for name, value in given.items() if value not in (None, (), [], {})}
    _check(wanted)
    for name in ("message", "variables", "payload", "data", "keys"):
        if name in wanted:
            wanted[name] = reading.text(wanted[name], f"--{name}")
    for name in ("variables", "payload", "data", "keys"):
        if name in wanted:
            wanted[name] = reading.json_in(wanted[name], f"--{name}")
    if "html" in wanted:
        wanted["html"] = reading.text_of(wanted["html"], "--html")
    for option, field in FIELDS.items():
        if option in wanted:
            wanted[field] = wanted.pop(option)
            faults.typed(field, f"--{option}")
    return wanted


def _check(wanted: Mapping[str, Any]) -> None:
    type = wanted["type"]
    if type not in TYPES:  # A channel of another package, which the API knows.
        return
    names = {one.name: max(one.opts, key=len) for one in click.get_current_context().command.params}
    for option in wanted:
        if type not in (of := OF_TYPES.get(option, (type,))):
            instead = _INSTEAD.get((type, option))
            raise click.UsageError(
                f"{names[option]} is for --type {' and '.join(of)}: {instead or f'leave it out for {type}'}"
            )
    recipient = "recipient" if type in OF_TYPES["recipient"] else "destination"
    if recipient not in wanted:
        raise click.UsageError(f"{names[recipient]} is missing: --type {type} needs it")
    if {"subject", "title"} <= wanted.keys():
        raise click.UsageError("give --title or --subject, not both")


_INSTEAD = {
    **{(type, "recipient"): f"give --destination NAME for {type}" for type in OF_TYPES["destination"]},
    **{(type, "destination"): f"give --to for {type}" for type in OF_TYPES["recipient"]},
    (EMAIL, "title"): "give --subject for email",
    (SMS, "title"): "a text message has none",
    (WEBHOOK, "message"): "give --payload JSON for webhook",
}
