"""Serve /static/{name}: styles and scripts. Their names contain a digest, so browsers may cache them for ever."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from falcon.asgi import Request, Response

from api.http.answers import unknown

PLACE = Path(__file__).parent / "static"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}


class Asset(NamedTuple):
    url: str
    media_type: str
    content: bytes


def _read(path: Path) -> Asset:
    content = path.read_bytes()
    version = hashlib.sha256(content).hexdigest()[:16]
    return Asset(f"/static/{path.stem}-{version}{path.suffix}", _TYPES[path.suffix], content)


_ASSETS = {path.name: _read(path) for path in sorted(PLACE.iterdir()) if path.suffix in _TYPES}
_BY_URL = {asset.url: asset for asset in _ASSETS.values()}


def static(name: str) -> str:
    """Return the path of the file with this name."""
    return _ASSETS[name].url


class Static:
    """GET: a static file."""

    async def on_get(self, req: Request, resp: Response, name: str) -> None:
        asset = _BY_URL.get(f"/static/{name}")
        if asset is None:
            raise unknown("file")
        resp.content_type = asset.media_type
        resp.set_header("Cache-Control", "public, max-age=31536000, immutable")
        resp.data = asset.content

    on_head = on_get
