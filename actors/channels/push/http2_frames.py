"""Take GOAWAY frames out of an HTTP/2 stream of bytes (RFC 9113, section 6.8).

The library h2 takes a GOAWAY for the end of the connection, so that it accepts no answer after it. But the streams up
to the last one that the server names are still answered.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

HEAD = 9  # bytes before each frame's payload
GOAWAY = 0x07
LIMIT = 16_384  # bytes of a GOAWAY that are taken: more than our SETTINGS_MAX_FRAME_SIZE is an error


class Goaway(NamedTuple):
    """The server begins no stream above `last`, and has processed none. `data`: what it says to people."""

    last: int
    code: int
    data: bytes


class FrameFilter:
    """Splits what a server sends into the bytes for h2 and the GOAWAY frames."""

    def __init__(self) -> None:
        self._head, self._goaway = b"", b""
        self._left, self._taking = 0, False

    def feed(self, data: bytes) -> Iterator[bytes | Goaway]:
        """Yield the bytes of other frames, and each GOAWAY once it is complete, in their order."""
        while data:
            if not self._left:
                data = self._begin(data)
                if len(self._head) < HEAD:
                    return
                if not self._taking:
                    yield self._head
                if not self._left:
                    self._head = b""
                continue
            piece, data = data[: self._left], data[self._left :]
            self._left -= len(piece)
            if self._taking:
                self._goaway += piece
            else:
                yield piece
            if not self._left:
                self._head = b""
                if self._taking:
                    yield self._taken()

    def _begin(self, data: bytes) -> bytes:
        """Complete the head of a frame; return the bytes after it."""
        missing = HEAD - len(self._head)
        self._head, data = self._head + data[:missing], data[missing:]
        if len(self._head) == HEAD:
            self._left, kind = int.from_bytes(self._head[:3]), self._head[3]
            # A GOAWAY of a wrong size goes to h2, which ends the connection for it.
            self._taking = kind == GOAWAY and 8 <= self._left <= LIMIT
        return data

    def _taken(self) -> Goaway:
        last, code = struct.unpack(">II", self._goaway[:8])
        data, self._goaway, self._taking = self._goaway[8:], b"", False
        return Goaway(last & 0x7FFF_FFFF, code, data)
