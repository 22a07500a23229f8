"""Put the inline images of a mail into its HTML, so that a frame that loads nothing can show them."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from typing import NamedTuple

# Types that a browser shows and that run no scripts.
SHOWN = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
MOST = 4_000_000  # bytes of images in one mail


class Image(NamedTuple):
    """An inline image: its Content-ID without brackets, and a data: URL."""

    name: str
    url: str

    @classmethod
    def of(cls, name: str, kind: str, content: bytes) -> Image:
        return cls(name, f"data:{kind};base64,{b64encode(content).decode()}")


def kind_of(content_type: str) -> str | None:
    """Return the type of an image that is shown, or None."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind if kind in SHOWN else None


def in_place(html: str, images: Iterable[Image]) -> str:
    """Return the HTML with the images in place of their cid: URLs (RFC 2392)."""
    # Longest name first, because one name may be the beginning of another.
    for image in sorted(images, key=lambda image: len(image.name), reverse=True):
        html = html.replace(f"cid:{image.name}", image.url)
    return html
