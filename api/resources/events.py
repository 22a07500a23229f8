"""/api/notifications/{id}/events: the events of one notification, as a list or as a stream."""

from __future__ import annotations

from typing import Any

from falcon.asgi import Request, Response

from api.access.auth import Caller, require
from api.http import pagination
from api.http.answers import empty, id_of, shown, unknown, write
from api.http.pagination import Numbered
from api.resources.representation import KIND
from api.store import NotificationStore
from api.streaming import sse
from api.streaming.stream import LAST, left
from api.streaming.streams import Streams
from api.streaming.timelines import Place, Telling
from db import timeline
from db.models import FINAL
from db.timeline import Story

JSON = "application/json"


class Events:
    """GET: list events as JSON, or stream them as server-sent events until the notification is final (see Accept)."""

    def __init__(self, store: NotificationStore, streams: Streams) -> None:
        self._store, self._streams = store, streams

    async def on_get(self, req: Request, resp: Response, id: str) -> None:
        caller = require(req, "read")
        streamed = req.client_prefers((JSON, sse.MEDIA_TYPE)) == sse.MEDIA_TYPE
        after = left(pagination.parse_stream(req.params), req.get_header(LAST)) if streamed else None
        page = None if streamed else pagination.parse_numbered(req.params)
        story = await self._store.read(timeline.story, id_of(id, KIND), caller.client_id)
        if story is None:
            raise unknown(KIND)
        resp.set_header("Vary", "Accept")
        if page is not None:
            write(resp, _page(story, page))
        elif story.status in FINAL and after == len(story.events):
            empty(resp)  # Tells a browser not to reconnect after the end of the stream.
        elif req.method == "HEAD":
            sse.answer(resp)
        else:
            self._tell(req, resp, caller, Place(int(id), after or 0, story))

    on_head = on_get

    def _tell(self, req: Request, resp: Response, caller: Caller, place: Place) -> None:
        self._streams.check(caller.client_id)
        listener = Telling(req, caller, place, self._store)
        self._streams.tell(listener)
        sse.answer(resp, listener)


def _page(story: Story, page: Numbered) -> dict[str, Any]:
    """Return one page of events as JSON; the cursor is the number of the last event of the previous page."""
    until = page.after + page.limit
    items = [{**event, "detail": shown(event["detail"])} for event in story.events[page.after : until]]
    return {"items": items, "nextCursor": str(until) if until < len(story.events) else None}
