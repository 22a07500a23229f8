"""The connection to a provider is cut at every byte of a conversation, in both directions, for every channel.

With `onUncertain: hold` there is at most one copy over all providers together, and nothing is stuck.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import NamedTuple

import pytest

from db import destinations, lifecycle
from db.database import rows
from db.destinations import New
from db.records import Draft
from settings import Settings
from tests.environment import configured
from tests.integration.chatting import SECRET
from tests.integration.one_channel import ChannelProcess
from tests.integration.rows import GRACE
from tests.providers import apis, sms
from tests.providers.chat import Chats
from tests.providers.cutting import Cut, CuttingProxy
from tests.providers.server import Reply, Server
from tests.smtp import SmtpServer

LIST = 50  # notifications in a message
SENT, UNKNOWN = ("sent", None, 1), ("failed", "outcome-unknown")
Copies = Callable[[], Counter[str]]


class Stage(NamedTuple):
    """A worker process, the network in front of its first provider, and what all providers together have taken."""

    process: ChannelProcess
    network: CuttingProxy
    copies: Copies
    draft: Callable[[str], Draft]


def smtp(stack: ExitStack, _store: Settings) -> Stage:
    servers = [stack.enter_context(SmtpServer()) for _ in range(2)]
    network = stack.enter_context(CuttingProxy(servers[0].port))
    urls = {
        "provider_a": f"smtp://127.0.0.1:{network.port}?starttls=off&priority=1",
        "provider_b": f"{servers[1].url}?starttls=off&priority=2",
    }

    def copies() -> Counter[str]:
        return Counter(to for server in servers for mail in server.mails for to in mail.recipients)

    return Stage(process(stack, "email", **urls), network, copies, mail)


def http_mail(stack: ExitStack, _store: Settings) -> Stage:
    fakes = [apis.Fake("postmark"), apis.Fake("sendgrid")]
    network, urls = accounts(stack, fakes, apis.URLS)

    def copies() -> Counter[str]:
        return Counter(to for fake in fakes for taken in fake.sink for to in taken.recipients)

    return Stage(process(stack, "email", **urls), network, copies, mail)


def text_messages(stack: ExitStack, _store: Settings) -> Stage:
    fakes = [sms.Fake("twilio"), sms.Fake("vonage")]
    network, urls = accounts(stack, fakes, sms.URLS)

    def copies() -> Counter[str]:
        return Counter(taken.body for fake in fakes for taken in fake.sink)

    return Stage(process(stack, "sms", **urls), network, copies, text)


def chat(stack: ExitStack, _store: Settings) -> Stage:
    chats = Chats()
    server = stack.enter_context(Server(chats.serve))
    network = stack.enter_context(CuttingProxy(server.port))
    destinations.create(New(1, "alerts", "slack", f"http://127.0.0.1:{network.port}/slack/secret"), 10)

    def copies() -> Counter[str]:
        return Counter(posted.document["text"] for posted in chats.posted)

    def draft(name: str) -> Draft:
        return Draft("chat", "alerts", "", name, None, queue="chat.normal")

    return Stage(process(stack, "chat"), network, copies, draft)


def webhook(stack: ExitStack, _store: Settings) -> Stage:
    server = stack.enter_context(Server(lambda _: Reply(200, b"OK")))
    network = stack.enter_context(CuttingProxy(server.port))
    destinations.create(New(1, "shop", "webhook", f"http://127.0.0.1:{network.port}/hook", secret=SECRET), 10)

    def copies() -> Counter[str]:
        return Counter(received.json["data"] for received in server.requests)

    def draft(name: str) -> Draft:
        return Draft("webhook", "shop", "", f'"{name}"', None, queue="webhook.normal")

    return Stage(process(stack, "webhook"), network, copies, draft)


def accounts(
    stack: ExitStack, fakes: Sequence[apis.Fake | sms.Fake], forms: dict[str, str]
) -> tuple[CuttingProxy, dict[str, str]]:
    """Start the servers of two providers; return the network in front of the first one, and their settings."""
    servers = [stack.enter_context(Server(fake)) for fake in fakes]
    network = stack.enter_context(CuttingProxy(servers[0].port))
    urls = {}
    for number, (fake, port) in enumerate(zip(fakes, (network.port, servers[1].port), strict=True), 1):
        form = forms[fake.kind]
        joint = "&" if "?" in form else "?"
        urls[f"provider_{'_ab'[number]}"] = f"{form}{joint}endpoint=http://127.0.0.1:{port}&priority={number}"
    return network, urls


def process(stack: ExitStack, channel: str, **settings: object) -> ChannelProcess:
    """Start a worker process whose breaker does not open, so that every notification meets its own cut."""
    allowed = {"callback_allowed_networks": "127.0.0.0/8", "callback_rest": 0}
    with configured(mail_from="noreply@example.com", breaker_threshold=10_000, **allowed, **settings) as current:
        made = ChannelProcess(current, channel)
    stack.callback(made.close)
    return made


def mail(name: str) -> Draft:
    return Draft("email", name, "Hi", "Hello", None)


def text(name: str) -> Draft:
    return Draft("sms", "+41791234567", "", name, None, queue="sms.normal")


STAGES = {"smtp": smtp, "http-mail": http_mail, "sms": text_messages, "chat": chat, "webhook": webhook}


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def deliver(stage: Stage, count: int, prefix: str) -> dict[int, str]:
    """Deliver so many notifications with `hold` until they have ended; return their names by id."""
    names = [f"{prefix}{number:05}@example.com" for number in range(count)]
    drafts = [stage.draft(name)._replace(on_uncertain="hold") for name in names]
    ids = [one.id for one in lifecycle.accept(drafts, GRACE)]
    pending = "SELECT id FROM notifications WHERE status = 'pending' ORDER BY id"
    while left := [id for (id,) in rows(pending)]:
        # As if the time between two attempts had passed.
        rows("UPDATE notifications SET next_attempt_at = now(), dispatch_after = now() WHERE status = 'pending'")
        for start in range(0, len(left), LIST):
            stage.process.deliver(left[start : start + LIST])
    return dict(zip(ids, names, strict=True))


@pytest.mark.parametrize("name", STAGES)
def test_wherever_a_connection_is_cut_there_is_at_most_one_copy_with_hold(
    name: str, stack: ExitStack, store: Settings
) -> None:
    stage = STAGES[name](stack, store)
    network = stage.network
    deliver(stage, 1, "whole")
    sent, received = network.passed["request"], network.passed["answer"]
    assert sent > 150
    assert received > 20
    network.drop()
    cuts = [*(Cut("request", after) for after in range(sent)), *(Cut("answer", after) for after in range(received))]
    network.cuts.extend(cuts)

    accepted: dict[int, str] = {}
    while network.cuts:  # A provider that has just failed does not get all notifications.
        accepted |= deliver(stage, len(network.cuts), f"cut{len(accepted)}-")

    copies = stage.copies()
    assert max(copies.values()) == 1
    found = {
        id: (status, reason) for id, status, reason in rows("SELECT id, status, failure_reason FROM notifications")
    }
    ends = Counter((*found[id], copies[name]) for id, name in accepted.items())
    unknown = {(*UNKNOWN, 0), (*UNKNOWN, 1)}
    assert unknown <= set(ends) <= {SENT, *unknown}
    if name == "smtp":  # Whatever was cut before the content goes through the second provider.
        assert ends[SENT] > 100
