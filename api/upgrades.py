"""Answer to an upgrade to WebSocket, which the API does not offer."""

from __future__ import annotations

import asyncio
from typing import Any

ANSWER = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class UpgradeRefusal(asyncio.Protocol):
    """Refuse the handshake with 403 and close; uvicorn hands the connection over to this."""

    def __init__(self, **_: Any) -> None:
        super().__init__()

    def connection_made(self, transport: asyncio.WriteTransport) -> None:  # type: ignore[override]
        """Answer at once."""
        transport.write(ANSWER)
        transport.close()
