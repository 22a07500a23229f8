"""HTTP as bytes on a socket, for what no client library would send."""

from __future__ import annotations

import socket
from http.client import HTTPResponse

from tests.client import NOTIFICATIONS, Response

JSON = b"Content-Type: application/json\r\n"


def request(head: bytes, body: bytes = b"", *, method: bytes = b"POST", path: bytes = NOTIFICATIONS.encode()) -> bytes:
    """A request with these header lines, as they are."""
    return method + b" " + path + b" HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n" + body


def chunked(*chunks: bytes) -> bytes:
    """A body of chunks, without the last one that ends it."""
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)


def exchange(port: int, sent: bytes, *, half_close: bool = False, timeout: float = 60.0) -> Response | None:
    """Send these bytes and read one answer; None where the server closes without any."""
    with socket.create_connection(("127.0.0.1", port), timeout) as connection:
        connection.sendall(sent)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        return read(connection, sent.partition(b" ")[0].decode("latin-1"))


def read(connection: socket.socket, method: str = "POST") -> Response | None:
    """The next answer on a connection that sends one at a time."""
    answer = HTTPResponse(connection, method=method)
    try:
        answer.begin()
    except ConnectionError:
        return None
    return Response(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
