"""Worker processes with up to three mail servers as their providers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from uuid import uuid4

from actors.delivery import Again
from db import lifecycle
from tests.environment import configured
from tests.integration.delivering import Process
from tests.integration.rows import GRACE, draft
from tests.smtp import Reply, SmtpServer

Make = Callable[..., Process]
NAMES = ("first", "second", "third")
DOWN = Reply(421, "4.3.0 shutting down")


@contextmanager
def three_servers() -> Iterator[list[SmtpServer]]:
    """Run three mail servers that take everything until the test says otherwise."""
    with ExitStack() as stack:
        yield [stack.enter_context(SmtpServer()) for _ in NAMES]


@contextmanager
def processes(servers: Sequence[SmtpServer]) -> Iterator[Make]:
    """Make worker processes with a provider for each of the given URL queries; other settings by their names."""
    with ExitStack() as stack:

        def make(*queries: str, **values: object) -> Process:
            urls = {
                f"provider_{name}": f"{server.url}?{query}"
                for name, server, query in zip(NAMES, servers, queries, strict=False)
            }
            with configured(mail_from="noreply@example.com", **urls, **values) as current:
                process = Process(current, uuid4())
            stack.callback(process.close)
            return process

        yield make


def accept(count: int, **fields: object) -> list[int]:
    """Accept so many mails to different recipients; return their ids."""
    drafts = [draft(f"{n}@example.com")._replace(**fields) for n in range(count)]  # type: ignore[arg-type]
    return [a.id for a in lifecycle.accept(drafts, GRACE)]


def deliver(process: Process, ids: Sequence[int]) -> None:
    """Deliver these once; what is to be tried again waits."""
    with suppress(Again):
        process.deliver(ids)


def counts(servers: Sequence[SmtpServer]) -> list[int]:
    """Return how many mails each server has taken."""
    return [len(server.mails) for server in servers]
