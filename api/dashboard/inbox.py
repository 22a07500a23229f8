"""Serve /inbox: the mails that the catcher of `notify up` kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path
from typing import Any, TypeVar

from falcon.asgi import Request, Response

from api.access.auth import require
from api.dashboard import files
from api.dashboard.framed import frame, width_of
from api.dashboard.images import kind_of
from api.dashboard.mailbox import Mailbox, content, summary
from api.dashboard.page import show
from api.http import pagination
from api.http.answers import LARGEST_NUMBER, id_of, unknown
from api.resources.downloads import disposition
from settings.dashboard import DashboardSettings

T = TypeVar("T")
KIND = "mail"
LARGEST = 10**8 - 1
SHOWN = 50


class Inbox:
    """GET: the list of mails, newest first."""

    def __init__(self, settings: DashboardSettings) -> None:
        self._mailbox = Mailbox(Path(settings.caught_mail))

    async def on_get(self, req: Request, resp: Response) -> None:
        require(req, "admin")
        before = pagination.whole(req.params, "before", LARGEST)
        mails = await _aside(lambda: self._newest(before))
        show(req, resp, "inbox.html", mails=mails[:SHOWN], first=before is not None, more=len(mails) > SHOWN)

    on_head = on_get

    def _newest(self, before: int | None) -> list[dict[str, Any]]:
        numbers = [n for n in reversed(self._mailbox.numbers()) if before is None or n < before]
        found = ((n, self._mailbox.read(n)) for n in numbers[: SHOWN + 1])
        return [summary(n, mail) for n, mail in found if mail is not None]


class CaughtMail:
    """GET: one mail as it was received."""

    def __init__(self, settings: DashboardSettings) -> None:
        self._mailbox = Mailbox(Path(settings.caught_mail))

    async def on_get(self, req: Request, resp: Response, number: str) -> None:
        id, mail = await _one(self._mailbox, req, number)
        width = width_of(req)
        told = {**summary(id, mail), **content(mail)}
        show(req, resp, "caught.html", mail=told, files=files.listed(mail), width=width)

    on_head = on_get


class CaughtHtml:
    """GET: the HTML of a mail, for a frame."""

    def __init__(self, settings: DashboardSettings) -> None:
        self._mailbox = Mailbox(Path(settings.caught_mail))

    async def on_get(self, req: Request, resp: Response, number: str) -> None:
        _, mail = await _one(self._mailbox, req, number)
        frame(resp, files.html(mail))

    on_head = on_get


class CaughtFile:
    """GET: download a file of a mail."""

    def __init__(self, settings: DashboardSettings) -> None:
        self._mailbox = Mailbox(Path(settings.caught_mail))

    async def on_get(self, req: Request, resp: Response, number: str, file: str) -> None:
        _, mail = await _one(self._mailbox, req, number)
        place, parts = id_of(file, "attachment", LARGEST_NUMBER), files.files(mail)
        if not 1 <= place <= len(parts):
            raise unknown("attachment")
        part = parts[place - 1]
        # The sender chose the type: a browser gets only those that it shows without running anything.
        resp.content_type = kind_of(part.get_content_type()) or "application/octet-stream"
        resp.set_header("Content-Disposition", disposition(part.get_filename() or f"file-{place}"))
        resp.set_header("Content-Security-Policy", "default-src 'none'; sandbox")
        resp.data = files.octets(part)

    on_head = on_get


async def _one(mailbox: Mailbox, req: Request, raw: str) -> tuple[int, EmailMessage]:
    """Return the mail and its number; raise Problem if there is none."""
    require(req, "admin")
    number = id_of(raw, KIND, LARGEST)
    mail = await _aside(lambda: mailbox.read(number))
    if mail is None:
        raise unknown(KIND)
    return number, mail


async def _aside(read: Callable[[], T]) -> T:
    """Read files in a thread, so that the event loop goes on."""
    return await asyncio.get_running_loop().run_in_executor(None, read)
