"""HTTP server that takes text messages, push messages, chat messages and webhooks, and records when each arrived.

It speaks enough of Twilio's API, of FCM, of Slack and of webhooks for a sender not to see a difference. Like
benchmarks.sink it does as little as possible. `python -m benchmarks.http_sink` prints its two ports as JSON: HTTP and
the control port (`mailbox.Control`), which has one command more: `misbehave`.
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
from benchmarks.mailbox import Control, Mailbox, MailboxClient

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
NAME = re.compile(rb"N(\d+)N")  # what the benchmarks write into each message


def _answer(status: bytes, body: bytes, *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *headers, b"", body]
    return b"\r\n".join(lines)


JSON = b"Content-Type: application/json"
TOKEN = _answer(b"200 OK", b'{"access_token":"t","expires_in":3599,"token_type":"Bearer"}', JSON)
TAKEN = {
    b"/2010-04-01": _answer(b"201 Created", b'{"sid":"SM1","status":"queued","error_code":null}', JSON),
    b"/v1/project": _answer(b"200 OK", b'{"name":"projects/p/messages/1"}', JSON),
}
OK = _answer(b"200 OK", b"ok")  # of Slack and of webhooks
FAULTS = {
    "429": _answer(b"429 Too Many Requests", b"{}", JSON, b"Retry-After: 1"),
    "500": _answer(b"500 Internal Server Error", b"{}", JSON),
    "503": _answer(b"503 Service Unavailable", b"{}", JSON, b"Retry-After: 1"),
}


class HttpMailbox(Mailbox):
    """Arrivals by the name in each message, and what to do to the next requests."""

    def __init__(self) -> None:
        super().__init__()
        self.listener = Listener(lambda: Http(self))
        self.fault, self.left, self.faults = "", 0, 0

    async def misbehave(self, fault: str, times: int) -> None:
        """Do something to the next `times` requests: answer with the status `429`, `500` or `503` and take nothing;
        `hang` and take nothing; or `cut`: take the message and reset the connection. `refuse` accepts no connection.

        An empty fault ends all of that, and resets the connections that hang.
        """
        self.fault, self.left = fault, times
        for transport in self.listener.transports:
            if cast(Http, transport.get_protocol()).hangs:
                transport.abort()
        await self.listener.listen(on=fault != "refuse")

    def meets(self) -> str:
        """Return the fault that the next request meets, if any."""
        if not self.left:
            return ""
        self.left -= 1
        self.faults += 1
        return self.fault

    def met(self) -> int:
        """Return how many requests have met a fault."""
        return self.faults


class Http(asyncio.Protocol):
    """Connection. `rest`: received data that were not processed yet."""

    def __init__(self, mailbox: HttpMailbox) -> None:
        self.mailbox, self.rest, self.hangs = mailbox, b"", False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport for the answers."""
        self.transport = cast(asyncio.Transport, transport)
        self.mailbox.listener.transports.add(self.transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self.mailbox.listener.transports.discard(self.transport)

    def data_received(self, data: bytes) -> None:
        """Answer each complete request."""
        buffer = self.rest + data if self.rest else data
        while (head := buffer.find(b"\r\n\r\n")) >= 0:
            length = LENGTH.search(buffer, 0, head)
            end = head + 4 + (int(length[1]) if length else 0)
            if len(buffer) < end:
                break
            self._request(buffer[:head], buffer[head + 4 : end])
            buffer = buffer[end:]
        self.rest = buffer

    def _request(self, head: bytes, body: bytes) -> None:
        path = head[5:]
        if path.startswith(b"/token"):
            self.transport.write(TOKEN)
            return
        fault = self.mailbox.meets()
        if fault in FAULTS:
            self._reply(FAULTS[fault])
        elif fault == "hang":
            self.hangs = True
        else:
            name = NAME.search(body)
            self.mailbox.take([name[1] if name else b"?"], time.time())
            if fault == "cut":
                self.transport.abort()
            else:
                self._reply(TAKEN.get(path[:11], OK))

    def _reply(self, text: bytes) -> None:
        if delay := self.mailbox.reply_delay:
            asyncio.get_running_loop().call_later(delay, self.transport.write, text)
        else:
            self.transport.write(text)


class FaultyControl(Control):
    """Connection to the control port."""

    def __init__(self, mailbox: HttpMailbox) -> None:
        super().__init__(mailbox)
        self.commands["met"] = mailbox.met
        self.commands["misbehave"] = lambda fault, times: self._begin(mailbox, fault, times)

    def _begin(self, mailbox: HttpMailbox, fault: str, times: int) -> None:
        self.task = asyncio.ensure_future(mailbox.misbehave(fault, times))


class HttpMailboxClient(MailboxClient):
    """Client of the control port of an HTTP sink."""

    def misbehave(self, fault: str = "", times: int = -1) -> None:
        """See HttpMailbox.misbehave; -1 is for ever, and no fault ends it."""
        self._ask("misbehave", fault, times)

    def met(self) -> int:
        """Return how many requests have met a fault."""
        return int(self._ask("met"))


async def serve() -> None:
    """Listen on two free ports of the loopback interface until killed."""
    mailbox = HttpMailbox()
    await mailbox.listener.listen(on=True)
    control = await asyncio.get_running_loop().create_server(lambda: FaultyControl(mailbox), "127.0.0.1", 0)
    ports = {"http": mailbox.listener.port, "control": control.sockets[0].getsockname()[1]}
    print(json.dumps(ports), flush=True)
    await control.serve_forever()


if __name__ == "__main__":
    gc.disable()  # There are no reference cycles, and a pause would count as latency of the measured system.
    uvloop.run(serve())
