"""SMTP server that accepts everything and records when each recipient's mail arrived.

It runs on the same machine as the measured systems, so it does as little as possible: one process, no objects per mail,
one write per read. `python -m benchmarks.sink` prints its two ports as JSON: SMTP (RFC 5321 with PIPELINING, 8BITMIME
and SMTPUTF8), and the control port (`mailbox.Control`).
"""

from __future__ import annotations

import asyncio
import gc
import json
import re
import time
from typing import cast

import uvloop

from benchmarks.listening import Listener
from benchmarks.mailbox import Control, Mailbox

# The form that nearly every client sends, in one match. Other forms are parsed line by line.
ENVELOPE = re.compile(rb"MAIL FROM:<[^>\r\n]*>[^\r\n]*\r\nRCPT TO:<([^>\r\n]+)>[^\r\n]*\r\nDATA\r\n", re.IGNORECASE)
RECIPIENT = re.compile(rb"RCPT TO:\s*<?([^>\s]+)>?", re.IGNORECASE)
END = b"\r\n.\r\n"
LONGEST_LINE = 4_096

HELLO = b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"
OK = b"250 OK\r\n"
GO_AHEAD = b"354 Go ahead\r\n"
DEFERRED = b"451 4.2.0 Try again\r\n"
NOBODY = b"554 5.5.1 No recipient\r\n"
REPLIES = {
    b"EHLO": HELLO,
    b"HELO": b"250 sink\r\n",
    b"MAIL": OK,
    b"RSET": OK,
    b"NOOP": OK,
    b"QUIT": b"221 Bye\r\n",
}


class Smtp(asyncio.Protocol):
    """Connection. `rest`: received data that were not processed yet."""

    def __init__(self, mailbox: Mailbox, open: set[asyncio.Transport]) -> None:
        self.mailbox, self.open = mailbox, open
        self.rest = b""
        self.in_body = False
        self.recipients: list[bytes] = []
        self.quiet_until = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the greeting."""
        self.transport = cast(asyncio.Transport, transport)
        self.open.add(self.transport)
        self._reply([b"220 sink ESMTP\r\n"], 0)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self.open.discard(self.transport)

    def data_received(self, data: bytes) -> None:
        """Answer all complete commands and mails with one write."""
        buffer = self.rest + data if self.rest else data
        position, replies, mails = 0, list[bytes](), 0
        while True:
            if self.in_body:
                end = buffer.find(END, position)
                if end < 0:
                    # Of a content, keep only what may be a part of the end mark.
                    position = max(position, len(buffer) - len(END) + 1)
                    break
                position = end + len(END)
                self.in_body = False
                mails += 1
                self.mailbox.take(self.recipients, time.time())
                replies.append(OK)
            elif (envelope := ENVELOPE.match(buffer, position)) and self.mailbox.defers(envelope[1]):
                self.recipients = []
                replies.append(OK + DEFERRED + NOBODY)
                position = envelope.end()
            elif envelope:
                self.recipients = [envelope[1]]
                replies.append(OK + OK + GO_AHEAD)
                position = self._open_body(envelope.end())
            else:
                newline = buffer.find(b"\n", position)
                if newline < 0:
                    break
                replies.append(self._command(buffer[position : newline + 1]))
                position = self._open_body(newline + 1) if self.in_body else newline + 1
        self.rest = buffer[position:]
        if replies:
            self._reply(replies, mails)
        if not self.in_body and len(self.rest) > LONGEST_LINE:
            self.transport.abort()

    def _open_body(self, start: int) -> int:
        # Keep the CRLF of DATA, so that the same search finds the end of an empty content.
        self.in_body = True
        return start - 2

    def _command(self, line: bytes) -> bytes:
        verb = line[:4].upper()
        if verb == b"RCPT":
            if found := RECIPIENT.match(line):
                if self.mailbox.defers(found[1]):
                    return DEFERRED
                self.recipients.append(found[1])
                return OK
            return b"501 Bad address\r\n"
        if verb == b"DATA":
            self.in_body = line.endswith(b"\r\n") and bool(self.recipients)
            return GO_AHEAD if self.in_body else NOBODY
        if verb in (b"MAIL", b"RSET", b"EHLO", b"HELO"):
            self.recipients = []
        return REPLIES.get(verb, b"502 Unknown\r\n")

    def _reply(self, replies: list[bytes], mails: int) -> None:
        text, now = b"".join(replies), time.monotonic()
        due = max(self.quiet_until, now + self.mailbox.reply_delay + self.mailbox.mail_delay * bool(mails))
        if due <= now:
            self._write(text)
            return
        self.quiet_until = due
        asyncio.get_running_loop().call_later(due - now, self._write, text)

    def _write(self, text: bytes) -> None:
        self.transport.write(text)
        if text.endswith(REPLIES[b"QUIT"]):
            self.transport.close()


class SinkControl(Control):
    """Connection to the control port. `refuse`: whether to accept no mails and to reset all connections."""

    def __init__(self, mailbox: Mailbox, listener: Listener) -> None:
        super().__init__(mailbox)
        self.listener = listener
        self.commands["refuse"] = self.refuse

    def refuse(self, refuse: bool) -> None:
        """Begin to refuse connections, or to accept them again."""
        self.task = asyncio.ensure_future(self.listener.listen(on=not refuse))


async def serve() -> None:
    """Listen on two free ports of the loopback interface until killed."""
    mailbox, loop = Mailbox(), asyncio.get_running_loop()
    listener = Listener(lambda: Smtp(mailbox, listener.transports))
    await listener.listen(on=True)
    control = await loop.create_server(lambda: SinkControl(mailbox, listener), "127.0.0.1", 0)
    ports = {"smtp": listener.port, "control": control.sockets[0].getsockname()[1]}
    print(json.dumps(ports), flush=True)
    await control.serve_forever()


if __name__ == "__main__":
    gc.disable()  # There are no reference cycles, and a pause would count as latency of the measured system.
    uvloop.run(serve())
