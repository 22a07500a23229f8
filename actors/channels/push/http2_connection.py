"""HTTP/2 connection to one server: many requests at a time, each over a stream of its own (RFC 9113)."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from multidict import CIMultiDict

from actors.channels.http_api import BODY_LIMIT, Request
from actors.channels.push.http2_frames import FrameFilter, Goaway
from actors.channels.push.http2_stream import ENDED, NotProcessed, Stream

_LAST_ID = 2**31 - 1  # of a stream
_WINDOW = 1_048_576  # bytes of answers under way


class Http2Connection(asyncio.Protocol):
    """Protocol of one connection. `ready` is done when the server's SETTINGS have come."""

    def __init__(self) -> None:
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.used_at = asyncio.get_running_loop().time()
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self._filter = FrameFilter()
        self._streams: dict[int, Stream] = {}
        self._reserved = 0  # streams that will begin soon
        self._changed = asyncio.Event()
        self._paused = self._closing = False
        self._pings: list[asyncio.Future[None]] = []
        self._transport: asyncio.Transport | None = None

    @property
    def usable(self) -> bool:
        """True if requests may still begin."""
        return not self._closing and self._transport is not None and not self._transport.is_closing()

    async def reserve(self) -> bool:
        """Wait until the server accepts another stream, and reserve it. Return False if it accepts none any more."""
        while self.usable:
            if len(self._streams) + self._reserved < self._h2.remote_settings.max_concurrent_streams:
                self._reserved += 1
                return True
            self._changed.clear()
            await self._changed.wait()
        return False

    def release(self) -> None:
        """Give back what `reserve` has reserved. Call it before `request` too, which takes the place."""
        self._reserved -= 1
        self._changed.set()

    def request(self, request: Request) -> Stream:
        """Send a request. Raise NotProcessed if the connection has just ended."""
        parts = urlsplit(request.url)
        if not self.usable:
            raise NotProcessed(ENDED)
        head = {":method": "POST", ":scheme": parts.scheme, ":authority": parts.netloc, ":path": parts.path or "/"}
        headers = {name.lower(): value for name, value in request.headers.items()}
        id = self._h2.get_next_available_stream_id()
        self._closing = id >= _LAST_ID - 2
        stream = self._streams[id] = Stream(id, request.body)
        self._h2.send_headers(id, list({**head, **headers, "content-length": str(len(request.body))}.items()))
        self._write()
        return stream

    def cancel(self, stream: Stream) -> None:
        """Stop a request whose answer is no longer wanted. Do nothing if it has ended."""
        if self._streams.get(stream.id) is stream:
            self._end(stream.id)
            if self._transport is not None and not self._transport.is_closing():
                self._h2.reset_stream(stream.id, ErrorCodes.CANCEL)
                self._write()

    async def ping(self) -> None:
        """Wait until the server answers a PING, or the connection is lost."""
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pings.append(answered)
        self._h2.ping(len(self._pings).to_bytes(8))
        self._write()
        await answered

    def retire(self) -> None:
        """Begin no more requests; close when the last answer has come."""
        self._closing = True
        self._changed.set()
        if not self._streams and self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Drop the connection at once."""
        self._closing = True
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        # Report a pause if a single byte waits. (With 0, TLS transports would report one without any.)
        transport.set_write_buffer_limits(high=1, low=0)
        self._h2.local_settings = Settings(
            client=True,
            initial_values={SettingCodes.ENABLE_PUSH: 0, SettingCodes.MAX_HEADER_LIST_SIZE: 16_384},
        )
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(_WINDOW)
        self._write()

    def data_received(self, data: bytes) -> None:
        try:
            for part in self._filter.feed(data):
                if isinstance(part, Goaway):
                    self._goaway(part)
                else:
                    for event in self._h2.receive_data(part):
                        self._react(event)
            self._write()
        except (ProtocolError, ValueError):  # What h2 has to say about it is the last that is sent.
            self._flush()
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._changed.set()
        for stream in self._streams.values():
            stream.fail(stream.lost)
        self._streams.clear()
        for waiting in (self.ready, *self._pings):
            if not waiting.done():
                waiting.set_exception(NotProcessed(ENDED))
                waiting.exception()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._mark_sent()

    def _react(self, event: events.Event) -> None:
        match event:
            case events.RemoteSettingsChanged():
                if not self.ready.done():
                    self.ready.set_result(None)
                self._changed.set()
            case events.PingAckReceived():
                for waiting in self._pings:
                    if not waiting.done():
                        waiting.set_result(None)
                self._pings.clear()
            case events.DataReceived(stream_id=int() as id):
                self._h2.acknowledge_received_data(event.flow_controlled_length or 0, id)
                if stream := self._streams.get(id):
                    stream.body = (stream.body + (event.data or b""))[:BODY_LIMIT]
            case events.ResponseReceived() | events.StreamEnded() | events.StreamReset():
                self._answered(event)

    def _answered(self, event: events.ResponseReceived | events.StreamEnded | events.StreamReset) -> None:
        id = event.stream_id or 0
        stream = self._streams.get(id)
        if stream is None:  # It was cancelled.
            return
        match event:
            case events.ResponseReceived():
                stream.headers = CIMultiDict((str(name), str(value)) for name, value in event.headers or ())
                stream.status = int(stream.headers.pop(":status"))
            case events.StreamEnded():
                if not stream.written:  # The answer came before the end of the request, which must not go on.
                    self._h2.reset_stream(id, ErrorCodes.NO_ERROR)
                self._end(id)
                stream.finish()
            case events.StreamReset():
                self._end(id)
                refused = event.error_code == ErrorCodes.REFUSED_STREAM
                stream.fail(NotProcessed("the server refused the stream") if refused else stream.lost)

    def _goaway(self, goaway: Goaway) -> None:
        words = goaway.data.decode("utf-8", "replace") or f"code {goaway.code}"
        for id in [id for id in self._streams if id > goaway.last]:
            self._streams.pop(id).fail(NotProcessed(f"the server closes the connection: {words}"))
        self.retire()

    def _end(self, id: int) -> None:
        self._streams.pop(id, None)
        self.used_at = asyncio.get_running_loop().time()
        self._changed.set()
        if self._closing and not self._streams and self._transport is not None:
            self._transport.close()

    def _write(self) -> None:
        """Send as much of the requests as the server's windows allow."""
        for id, stream in self._streams.items():
            while not stream.written:
                room = min(self._h2.local_flow_control_window(id), self._h2.max_outbound_frame_size)
                if room <= 0 and stream.left:
                    break
                piece, stream.left = stream.left[: max(room, 0)], stream.left[max(room, 0) :]
                stream.written = not stream.left
                self._h2.send_data(id, bytes(piece), end_stream=stream.written)
        self._flush()

    def _flush(self) -> None:
        if (data := self._h2.data_to_send()) and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)
        if not self._paused:
            self._mark_sent()

    def _mark_sent(self) -> None:
        for stream in self._streams.values():
            stream.sent |= stream.written
