"""gunicorn's parser of HTTP, quicker with the head of nearly every request.

gunicorn reads a head line by line and byte by byte, in Python. One that comes whole and has nothing odd about it is
taken apart here by two regular expressions. All others, and whatever follows a head, are gunicorn's own business,
and so is what a head means. tests/unit/test_parsing.py holds the two together.
"""

from __future__ import annotations

import re

from gunicorn.asgi.parser import PythonProtocol

_NAME, _VALUE = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+", rb"[^\x00-\x08\x0a-\x1f\x7f]*"
_HEAD = re.compile(
    rb"(GET|HEAD|POST|PUT|PATCH|DELETE) (/[\x21-\x7e]*) HTTP/1\.1\r\n((?:%b:%b\r\n)*)\r\n" % (_NAME, _VALUE)
)
_FIELD = re.compile(rb"(%b):(%b)\r\n" % (_NAME, _VALUE))


class QuickParser(PythonProtocol):  # type: ignore[misc]
    """The same parser: it calls the same functions with the same values, and raises the same errors."""

    def feed(self, data: bytes) -> None:
        """Take in what has come; see PythonProtocol."""
        if self._state == "request_line" and not (self._buffer or self._empty_line_skipped):
            # Of a whole head that is no longer than a line may be, no line is too long.
            longest = min(self._limit_request_line, self._limit_request_field_size)
            if head := _HEAD.match(data, 0, longest):
                fields = _FIELD.findall(head[3])
                if len(fields) <= self._limit_request_fields:
                    self._buffer.extend(memoryview(data)[head.end() :])
                    self._take(head[1], head[2], fields)
                    data = b""
        super().feed(data)

    def _take(self, method: bytes, path: bytes, fields: list[tuple[bytes, bytes]]) -> None:
        self.method, self.path, self.http_version = method, path, (1, 1)
        self._headers_list = [(name.lower(), value.strip(b" \t")) for name, value in fields]
        self._header_count = len(fields)
        self._empty_line_skipped = True
        self._state = "headers"
        self._finalize_headers()
