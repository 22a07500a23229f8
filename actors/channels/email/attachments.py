"""Attachments in a request: strict base64, limited in size, and of types that mail servers accept."""

from __future__ import annotations

import re
from binascii import a2b_base64
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from actors.channels.contract import Fault
from settings.content import ContentSettings

# RFC 2045, 6.4 forbids base64 for these, which is how attachments are sent.
COMPOSITE = ("multipart/", "message/")
_NO_NAME = re.compile(r"[/\\]|^\.{0,2}$|^\s|[\s.]$")


class Files(NamedTuple):
    """Checked attachments: what the API shows of each, and their bytes."""

    faults: list[Fault]
    shown: list[dict[str, Any]]
    contents: tuple[bytes, ...]


class Rules:
    """Checks attachments against the settings."""

    def __init__(self, settings: ContentSettings) -> None:
        self._most = settings.attachments_size
        refused = {kind.strip().lower() for kind in settings.refused_attachments.split(",")}
        self._extensions = {kind for kind in refused if kind.startswith(".")}
        self._types = refused - self._extensions

    def read(self, given: Sequence[Mapping[str, str]], *, html: bool) -> Files:
        """Return the files and faults of attachments that conform to the schema.

        `html` is whether the mail has an HTML part, which can show them.
        """
        files = Files([], [], ())
        # Computed before anything is decoded; it is exact, because base64 is checked strictly.
        size = sum(len(file["content"]) // 4 * 3 - file["content"][-2:].count("=") for file in given)
        if size > self._most:
            detail = f"have {size} bytes together; at most {self._most} are allowed (ATTACHMENTS_SIZE)"
            return files._replace(faults=[{"pointer": "/attachments", "detail": detail}])
        contents, ids = [], set[str]()
        for place, file in enumerate(given):
            content = _decoded(file["content"])
            wrong = dict(self._faults(file, html=html))
            if content is None:
                wrong["content"] = "must be base64 (RFC 4648, 4) with padding and without line breaks"
            if (id := file.get("contentId")) in ids:
                wrong["contentId"] = "is the contentId of another attachment too"
            ids |= {id} if id else set()
            files.faults.extend({"pointer": f"/attachments/{place}/{name}", "detail": wrong[name]} for name in wrong)
            contents.append(content or b"")
            files.shown.append({**file, "contentId": id, "size": len(contents[-1])})
            del files.shown[-1]["content"]
        return files._replace(contents=tuple(contents))

    def _faults(self, file: Mapping[str, str], *, html: bool) -> Iterator[tuple[str, str]]:
        kind = file["contentType"].partition(";")[0].strip().lower()
        if kind in self._types:
            yield "contentType", "is a type that the operator refuses (REFUSED_ATTACHMENTS)"
        if kind.startswith(COMPOSITE):
            yield "contentType", "must not be multipart or message: attach the file as application/octet-stream"
        name = file["filename"]
        if _NO_NAME.search(name):
            yield "filename", "must be a name without /, \\, spaces around it, or a dot at its end"
        if PurePosixPath(name).suffix.casefold() in self._extensions:
            yield "filename", "has an extension that the operator refuses (REFUSED_ATTACHMENTS)"
        if "contentId" in file and not html:
            yield "contentId", "needs html, which refers to the file as cid:contentId"


def _decoded(content: str) -> bytes | None:
    # Python accepts padding where none is needed.
    if len(content) % 4:
        return None
    try:
        return a2b_base64(content, strict_mode=True)
    except ValueError:
        return None
