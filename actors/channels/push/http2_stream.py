"""Stream of an HTTP/2 connection: one request and its answer."""

from __future__ import annotations

import asyncio

from multidict import CIMultiDict

from actors.channels.http_api import Answer, NoAnswer

ENDED = "the connection was closed before there was an answer"


class NotProcessed(NoAnswer):
    """The server says that it has not processed the request (RFC 9113, section 8.7)."""

    def __init__(self, text: str) -> None:
        super().__init__("request", text, may_have_arrived=False)


class Stream:
    """Request and its answer. `written`: the connection has taken the whole request; `sent`: the operating system has,
    too."""

    def __init__(self, id: int, body: bytes) -> None:
        self.id = id
        self.left = memoryview(body)
        self.written = self.sent = False
        self.status, self.headers, self.body = 0, CIMultiDict[str](), b""
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def finish(self) -> None:
        if not self.answer.done():
            self.answer.set_result(Answer(self.status, "", self.headers, self.body))

    def fail(self, error: NoAnswer) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)
            self.answer.exception()  # Its sender may have given up.

    @property
    def lost(self) -> NoAnswer:
        return NoAnswer("answer" if self.sent else "request", ENDED, may_have_arrived=self.sent)
