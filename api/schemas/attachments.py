"""Files in a request: base64 taken strictly, bounded, and of a kind that mail servers let through."""

from __future__ import annotations

import re
from binascii import a2b_base64
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from api.schemas import Fault
from settings import Settings

# These are written in a way of their own (RFC 2045, 6.4); we write base64.
COMPOSITE = ("multipart/", "message/")
_NO_NAME = re.compile(r"[/\\]|^\.{0,2}$|^\s|[\s.]$")


class Files(NamedTuple):
    """`shown` is what is told of each, `contents` what it holds."""

    faults: list[Fault]
    shown: list[dict[str, Any]]
    contents: tuple[bytes, ...]


class Rules:
    """The limits of this installation."""

    def __init__(self, settings: Settings) -> None:
        self._most = settings.attachments_size
        refused = {kind.strip().lower() for kind in settings.refused_attachments.split(",")}
        self._extensions = {kind for kind in refused if kind.startswith(".")}
        self._types = refused - self._extensions

    def read(self, given: Sequence[Mapping[str, str]], *, html: bool) -> Files:
        """`given` keeps to its schema; `html`: whether there is HTML to show them."""
        files = Files([], [], ())
        # Before anything is decoded; what is told is then exact, since base64 is taken strictly.
        size = sum(len(file["content"]) // 4 * 3 - file["content"][-2:].count("=") for file in given)
        if size > self._most:
            detail = f"have {size} bytes in all, may have at most {self._most}"
            return files._replace(faults=[{"pointer": "/attachments", "detail": detail}])
        contents, ids = [], set[str]()
        for place, file in enumerate(given):
            content = _decoded(file["content"])
            wrong = dict(self._faults(file, html=html))
            if content is None:
                wrong["content"] = "must be base64 (RFC 4648, 4) with its padding, without line ends"
            if (id := file.get("contentId")) in ids:
                wrong["contentId"] = "is that of another attachment"
            ids |= {id} if id else set()
            files.faults.extend({"pointer": f"/attachments/{place}/{name}", "detail": wrong[name]} for name in wrong)
            contents.append(content or b"")
            files.shown.append({**file, "contentId": id, "size": len(contents[-1])})
            del files.shown[-1]["content"]
        return files._replace(contents=tuple(contents))

    def _faults(self, file: Mapping[str, str], *, html: bool) -> Iterator[tuple[str, str]]:
        kind = file["contentType"].partition(";")[0].strip().lower()
        if kind in self._types:
            yield "contentType", "is a type that is not sent: it is in REFUSED_ATTACHMENTS"
        if kind.startswith(COMPOSITE):
            yield "contentType", "must not be multipart or message: attach the file as application/octet-stream"
        name = file["filename"]
        if _NO_NAME.search(name):
            yield "filename", "must be a name without / and \\, spaces around it, or a dot at its end"
        if PurePosixPath(name).suffix.casefold() in self._extensions:
            yield "filename", "has an extension that is not sent: it is in REFUSED_ATTACHMENTS"
        if "contentId" in file and not html:
            yield "contentId", "needs html, which shows it as cid:contentId"


def _decoded(content: str) -> bytes | None:
    # Python lets padding pass behind what needs none.
    if len(content) % 4:
        return None
    try:
        return a2b_base64(content, strict_mode=True)
    except ValueError:
        return None
