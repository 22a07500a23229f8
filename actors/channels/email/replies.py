"""Commands and replies of an SMTP conversation (RFC 5321), with pipelining (RFC 2920)."""

from __future__ import annotations

import ssl
import time
from math import inf

from actors.channels.email import answers
from actors.channels.email.answers import Reply
from actors.channels.email.smtp_socket import REPLY_LIMIT, Disconnected, SmtpSocket, Stop

FLOOD = 4_000_000  # octets of a reply after which the server is considered to send without end
STRAY = 5.0  # seconds to wait after a line without a code: the reply follows soon, or never


class Client(SmtpSocket):
    """Connection to a mail server, which may get several commands before it answers.

    `encoding`: of the commands.
    """

    def __init__(self, timeout: float, stop: Stop | None = None) -> None:
        super().__init__(timeout, stop)
        self.encoding = "ascii"
        self._rest = b""  # received data that belong to the next reply
        self._unasked = b""  # data that the server sent before the last command, and that answer none
        self._gone = 0  # octets of the current command or mail that the socket has taken
        self._left = inf  # octets that the server had not acknowledged when the reply was late

    async def encrypt(self, context: ssl.SSLContext, host: str) -> None:
        self._rest = self._unasked = b""
        await super().encrypt(context, host)

    async def command(self, line: str) -> Reply:
        """Send one command and return its reply."""
        await self.say(f"{line}\r\n".encode(self.encoding), 1)
        return await self.hear()

    async def say(self, said: bytes, replies: int) -> None:
        """Send commands to which `replies` replies are due. Nothing is sent if the server has ended with a 421.

        Raises:
            OSError: They were not sent, and the server did not give a reason.
        """
        await self._say(said, replies, len(said), only=421)

    async def say_content(self, said: bytes, replies: int, needed: int) -> bool:
        """Send a mail of `needed` octets, and the commands that follow it.

        Return False if the server refused the mail before all of it was sent; `hear` returns the refusal.

        Raises:
            OSError: The mail was not sent, and the server did not give a reason. If only the commands were not sent,
                the error is raised when their replies are read.
        """
        self._left = inf
        return await self._say(said, replies, needed)

    async def hear(self, final: bool = False) -> Reply:
        """Return one complete reply. `final`: only this reply can tell whether a mail was accepted.

        Raises:
            OSError: There was no reply in time.
        """
        self._due -= 1
        return answers.understood(await self._answer(final))

    def at_hand(self) -> Reply | None:
        """Return the next reply if it was received completely, as is usual with pipelining; else None."""
        if self._inbox:
            self._rest += self._heard()
        end = answers.end(self._rest)
        if not end or len(self._rest) > REPLY_LIMIT:
            return None
        answer, self._rest = self._rest[:end], self._rest[end:]
        self._due -= 1
        return answers.understood(answer)

    async def hear_lines(self) -> tuple[Reply, list[str]]:
        """Return one reply, and its lines without their codes, as needed for EHLO. Raises as `hear` does."""
        self._due -= 1
        answer = await self._answer()
        return answers.understood(answer), answers.parted(answer)[1].decode("utf-8", "replace").split("\n")

    async def _say(self, said: bytes, replies: int, needed: int, only: int | None = None) -> bool:
        """`only`: the code of a refusal that stops the transfer; None: any refusal does."""
        due, self._due, self._final = self._due, self._due + replies, False
        if not due:  # Data received now answer no command.
            self._unasked = self._rest + self._heard()
            self._rest = answers.refusal(self._unasked, only) if self._unasked else b""
            if self._rest:
                return False
        self._gone = 0
        try:
            refused = await self._send_all(said, only)
        except OSError:
            if self._gone < needed and not self._last_words():
                raise
            return self._gone >= needed
        return not refused

    async def _send_all(self, said: bytes, only: int | None) -> bool:
        """Send until all octets are sent or the server refuses them; return whether it refused.

        Each piece that is sent renews the time-out (RFC 5321, section 4.5.3.2.5).
        """
        sock, deadline, loop = self._connected, 0.0, self._loop
        while True:
            try:
                self._gone += sock.send(memoryview(said)[self._gone :] if self._gone else said)
                if self._gone >= len(said):
                    return False
                deadline = 0.0
            except ssl.SSLWantReadError:
                await self._wait(deadline := deadline or time.monotonic() + self.timeout)
            except (BlockingIOError, ssl.SSLWantWriteError):
                deadline = deadline or time.monotonic() + self.timeout
                await self._ready(loop.add_writer, loop.remove_writer, deadline)
            if self._overheard(only):
                return True

    def _overheard(self, only: int | None) -> bool:
        """Return whether the server refuses the data that are being sent. Other replies at this point are ignored."""
        if self._inbox:
            self._unasked = (self._unasked + self._heard())[-REPLY_LIMIT:]
            self._rest = answers.refusal(self._unasked, only)
            if self._rest:
                return True
        if self._end is not None:
            raise self._end
        return False

    def _last_words(self) -> bool:
        """Return whether the server sent a refusal before the connection broke; it may be in the receive buffer."""
        heard = self._unasked + self._heard()
        try:
            while len(heard) < FLOOD and (piece := self._connected.recv(REPLY_LIMIT)):
                heard += piece
        except OSError:
            pass
        self._rest = answers.refusal(heard)
        return bool(self._rest)

    async def _answer(self, final: bool = False) -> bytes:
        heard, deadline, octets = self._rest, 0.0, 0
        self._final = final
        end = answers.end(heard) if heard else 0
        while not end:
            deadline = deadline or time.monotonic() + self.timeout
            try:
                piece = await self._piece(deadline)
                heard, octets = heard + piece, octets + len(piece)
                if len(heard) > REPLY_LIMIT:
                    heard = answers.shortened(heard)
                if octets > FLOOD:
                    raise Disconnected("a reply without end")
            except OSError as error:
                if isinstance(error, TimeoutError) and final and self._still_leaves():
                    deadline = 0.0
                    continue
                return self._told(heard, error)
            end = answers.end(heard)
            if not (end or final or answers.has_code(heard)) and b"\n" in heard:
                deadline = min(deadline, time.monotonic() + STRAY)
        self._rest = heard[end:]
        return heard[:end]

    async def _piece(self, deadline: float) -> bytes:
        while not self._inbox:
            if self._end is not None:
                raise self._end
            await self._wait(deadline)
        return self._heard()

    def _told(self, heard: bytes, error: OSError) -> bytes:
        """Return the reply that was received before the connection broke, or raise the error.

        A positive reply is useless without the connection, unless it tells the fate of a mail that was sent.
        """
        said = heard if answers.has_code(heard) else answers.refusal(self._unasked)
        self._rest = b""
        if said and (self._final or answers.understood(said).code >= 400):
            self.close()
            return said
        if said or b"\n" not in heard or not heard.strip():
            raise error
        raise Disconnected(f"no SMTP reply: {heard[:1_000].decode('utf-8', 'replace')}") from error

    def _still_leaves(self) -> bool:
        """Return whether the reply is late because the kernel is still sending the mail."""
        before, self._left = self._left, self._unacknowledged()
        return self._left < before and (self._left > 0 or before < inf)
