"""One client's conversation with the test server (RFC 5321)."""

from __future__ import annotations

import asyncio
import base64
import re
from typing import TYPE_CHECKING

from tests.smtp.script import Drop, Hang, Phase, Reply
from tests.smtp.wire import Wire

if TYPE_CHECKING:
    from tests.smtp.server import SmtpServer

PATH = re.compile(r"[A-Z ]+:\s*<([^>]*)>\s*(.*)", re.IGNORECASE | re.DOTALL)
HANG_POLL = 0.02  # seconds


class Session:
    """Asks the script at every phase and answers as a healthy server where it says nothing."""

    def __init__(self, server: SmtpServer, wire: Wire, connection: int) -> None:
        self._server = server
        self._wire = wire
        self.connection = connection
        self.taken = 0  # mails
        self.tls = server.implicit_tls
        self.user: str | None = None
        self._commands = {
            "EHLO": self._ehlo,
            "HELO": self._ehlo,
            "STARTTLS": self._starttls,
            "AUTH": self._auth,
            "MAIL": self._mail,
            "RCPT": self._rcpt,
            "DATA": self._data,
            "RSET": self._rset,
            "NOOP": self._noop,
            "QUIT": self._quit,
        }
        self._forget()

    async def run(self) -> None:
        """Greet, then answer until the client leaves."""
        try:
            await self._answer("connect", 220, "test server ready")
            await self._converse()
        finally:
            self._server.ended(self)

    @property
    def under_way(self) -> bool:
        """True if a mail was begun and not ended."""
        return self.sender is not None

    async def _converse(self) -> None:
        while True:
            line = (await self._wire.line()).decode("utf-8", "surrogateescape").rstrip("\r\n")
            command = self._commands.get(line.split(" ")[0].upper())
            if command is None:
                await self._reply(500, "5.5.1 no such command")
            else:
                await command(line)

    def _forget(self) -> None:
        self.sender: str | None = None
        self.options: tuple[str, ...] = ()
        self.recipients: list[str] = []

    async def _answer(self, phase: Phase, code: int, text: str, *, to: str = "") -> bool:
        """Reply as the script wants, else with `code` and `text`; whether the reply was of that kind."""
        reply = await self._scripted(phase, to) or Reply(code, text)
        await asyncio.sleep(reply.delay)
        await self._reply(reply.code, reply.text)
        if reply.code == 421 or (phase == "connect" and reply.code != 220):
            raise ConnectionResetError
        return reply.code // 100 == code // 100

    async def _scripted(self, phase: Phase, to: str = "") -> Reply | None:
        """Return the reply that the script wants here, after the hang or drop that it may want."""
        recipients = [to] if to else self.recipients
        action = self._server.action(phase, self, recipients)
        if action is None:
            return None
        if not (isinstance(action, Reply) and action.code < 400):
            self._server.refused(self, phase, action, recipients)
        if isinstance(action, Drop):
            raise ConnectionResetError
        if isinstance(action, Hang):
            await self._hang()
            return None
        return action

    async def _hang(self) -> None:
        with self._server.one_hanging() as released:
            while not released.is_set():
                if self._wire.gone:
                    raise ConnectionResetError
                await asyncio.sleep(HANG_POLL)

    async def _reply(self, code: int, text: str) -> None:
        if self._server.delay:
            await asyncio.sleep(self._server.delay)
        self._write(code, text)

    def _write(self, code: int, text: str) -> None:
        *first, last = text.split("\n")
        lines = [f"{code}-{line}\r\n" for line in first] + [f"{code} {last}\r\n"]
        self._wire.write("".join(lines).encode("utf-8", "surrogateescape"))

    async def _ehlo(self, line: str) -> None:
        self._forget()
        offers = ["test.example", *self._server.extensions] if line[:4].upper() == "EHLO" else ["test.example"]
        if self._server.tls is not None and not self.tls:
            offers.append("STARTTLS")
        elif self._server.users:
            offers.append("AUTH PLAIN LOGIN")
        await self._answer("ehlo", 250, "\n".join(offers))

    async def _starttls(self, _line: str) -> None:
        context = self._server.tls
        if context is None or self.tls:
            await self._reply(503, "5.5.1 not now")
        elif await self._answer("starttls", 220, "2.0.0 go ahead"):
            await self._wire.start_tls(context)
            self.tls = True
            self._forget()

    async def _auth(self, line: str) -> None:
        _, mechanism, *initial = line.split(" ")
        try:
            user, password = await self._credentials(mechanism.upper(), initial)
        except ValueError:  # Of which bad base64 and bad UTF-8 are kinds.
            await self._reply(501, "5.5.2 cannot read that")
            return
        known = self._server.users.get(user) == password
        healthy = (235, "2.7.0 welcome") if known else (535, "5.7.8 wrong user or password")
        if await self._answer("auth", *healthy) and known:
            self.user = user

    async def _credentials(self, mechanism: str, initial: list[str]) -> tuple[str, str]:
        first = _decoded(initial[0]) if initial else await self._ask("" if mechanism == "PLAIN" else "Username:")
        if mechanism == "LOGIN":
            return first, await self._ask("Password:")
        _, user, password = first.split("\0")
        return user, password

    async def _ask(self, question: str) -> str:
        await self._reply(334, base64.b64encode(question.encode()).decode())
        return _decoded((await self._wire.line()).decode())

    async def _mail(self, line: str) -> None:
        path = PATH.fullmatch(line)
        if path is None or self.sender is not None:
            await self._reply(503 if path else 501, "5.5.1 bad MAIL")
        elif self._server.users and self.user is None:
            await self._reply(530, "5.7.0 authenticate first")
        elif "SMTPUTF8" in path[2].upper() and "SMTPUTF8" not in self._server.extensions:
            await self._reply(555, "5.5.4 SMTPUTF8 is not offered")
        elif await self._answer("mail", 250, "2.1.0 sender ok"):
            self.sender, self.options = path[1], tuple(path[2].split())

    async def _rcpt(self, line: str) -> None:
        path = PATH.fullmatch(line)
        if path is None or self.sender is None:
            await self._reply(503 if path else 501, "5.5.1 bad RCPT")
        elif await self._answer("rcpt", 250, "2.1.5 recipient ok", to=path[1]):
            self.recipients.append(path[1])

    async def _data(self, _line: str) -> None:
        if not self.recipients:
            await self._reply(503, "5.5.1 no valid recipient")
        elif await self._answer("data", 354, "go ahead"):
            body = await self._body()
            await self._take(body)
            self._forget()

    async def _body(self) -> bytes:
        lines = [await self._wire.line()]
        if early := await self._scripted("body"):
            await self._reply(early.code, early.text)
            raise ConnectionResetError
        while lines[-1] != b".\r\n":
            lines.append(await self._wire.line())
        # Dot-stuffing, RFC 5321 section 4.5.2.
        return b"".join(line[1:] if line.startswith(b".") else line for line in lines[:-1])

    async def _take(self, body: bytes) -> None:
        """Accept the mail unless the script says otherwise. It counts as accepted once the 250 goes out."""
        reply = await self._scripted("dot") or Reply(250, "2.0.0 queued")
        await asyncio.sleep(reply.delay + self._server.delay)
        if reply.code < 300 and not self._wire.gone:
            self._server.accepted(self, body)
        self._write(reply.code, reply.text)
        if reply.code == 421:
            raise ConnectionResetError

    async def _rset(self, _line: str) -> None:
        self._forget()
        await self._reply(250, "2.0.0 forgotten")

    async def _noop(self, _line: str) -> None:
        await self._reply(250, "2.0.0 ok")

    async def _quit(self, _line: str) -> None:
        await self._reply(221, "2.0.0 bye")
        raise ConnectionResetError


def _decoded(text: str) -> str:
    return base64.b64decode(text.strip(), validate=True).decode()
