"""The ASGI application and the only list of its routes. The dashboard's pages have theirs in dashboard/routes.py."""

from __future__ import annotations

import settings
from api.access.auth import Authentication
from api.access.limits import Limits
from api.access.metering import Metering
from api.dashboard import routes
from api.dashboard.session_middleware import Door
from api.http import problems
from api.http.asgi import Application
from api.http.measuring import Measuring
from api.http.requests import Access, Lifespan, NoStore, RequestId
from api.http.server_span import ServerSpan
from api.http.targets import Targets
from api.rendering.pool import Pool
from api.rendering.templating import Templating
from api.resources.audit import Audit
from api.resources.batches import Batches
from api.resources.callbacks import Callback, Callbacks, Rotation
from api.resources.clients import Client, Clients
from api.resources.control import BulkRetry, Cancel, Retry
from api.resources.deliveries import Deliveries, Delivery, Redrive
from api.resources.downloads import Attachment
from api.resources.erasures import Erasure, Erasures
from api.resources.events import Events
from api.resources.exports import Export
from api.resources.health import Alive, Ready
from api.resources.keys import ClientKeys, Key, KeyRotation
from api.resources.notifications import Attempts, Notification, Notifications
from api.resources.openapi import OpenApi
from api.resources.pauses import ChannelPause, ClientPause, Pauses
from api.resources.redis_health import RedisHealth
from api.resources.scraping import Metrics
from api.resources.suppressions import Suppression, Suppressions
from api.resources.templates import Preview, Template, Templates, Version, Versions
from api.resources.unsubscribe import Unsubscribe
from api.resources.usage import OwnLimits
from api.store import Gateway
from api.streaming.stream import Stream
from api.streaming.streams import Streams
from db import database
from runtime import logs, tracing


def create_app() -> Application:
    """Return the application that gunicorn serves. It connects to nothing until the first request."""
    current = settings.load()
    logs.configure(current, "api")
    database.bind(current)
    tracing.start(current, "api")
    gateway = Gateway(current)
    limits = Limits(gateway)
    renderers = Pool(current)
    templating = Templating(gateway, renderers)
    redis = RedisHealth()
    numbers = Metrics(gateway, redis)
    streams = Streams(current)
    authentication = Authentication(gateway)
    targets = Targets(current)
    middleware: list[object] = [Measuring(), Access(), RequestId()]
    if current.tracing == "on":
        middleware.append(ServerSpan(current))
    middleware += [NoStore(), targets, Lifespan(gateway, renderers)]
    middleware += [authentication, Door(gateway, authentication), Metering(gateway.cpu), limits]
    middleware += [numbers, redis, streams]
    app = Application(current, targets, middleware=middleware)
    app.on_stop += [gateway.watch.stop, streams.stop]
    problems.install(app)
    paths = {
        **_sending(gateway, limits, templating, streams),
        **_managing(gateway, limits),
        "/healthz": Alive(),
        "/readyz": Ready(gateway, redis),
        "/metrics": numbers,
        "/openapi.json": OpenApi(current),
    }
    for path, resource in paths.items():
        app.add_route(path, resource)
    routes.install(app, gateway, authentication, limits, templating)
    return app


def _sending(gateway: Gateway, limits: Limits, templating: Templating, streams: Streams) -> dict[str, object]:
    """Return the resources for sending notifications and following them."""
    return {
        "/api/notifications": Notifications(gateway, limits, templating),
        "/api/notifications/{id}": Notification(gateway),
        "/api/notifications/{id}/attempts": Attempts(gateway),
        "/api/notifications/{id}/attachments/{number}": Attachment(gateway),
        "/api/templates": Templates(gateway),
        "/api/templates/{name}": Template(gateway, templating),
        "/api/templates/{name}/preview": Preview(gateway, templating),
        "/api/templates/{name}/versions": Versions(gateway),
        "/api/templates/{name}/versions/{version}": Version(gateway),
        "/api/suppressions": Suppressions(gateway),
        # The local part of an address may contain a slash.
        "/api/suppressions/{address:path}": Suppression(gateway),
        "/u/{token}": Unsubscribe(gateway),
        "/api/notifications/{id}/events": Events(gateway, streams),
        "/api/stream": Stream(gateway, streams),
        "/api/notifications/batch": Batches(gateway, limits, templating),
        "/api/notifications/retry": BulkRetry(gateway),
        "/api/notifications/{id}/cancel": Cancel(gateway),
        "/api/notifications/{id}/retry": Retry(gateway),
    }


def _managing(gateway: Gateway, limits: Limits) -> dict[str, object]:
    """Return the resources for callbacks, clients, keys, pauses, limits, and stored data."""
    return {
        "/api/callbacks": Callbacks(gateway),
        "/api/callbacks/{id}": Callback(gateway),
        "/api/callbacks/{id}/rotate-secret": Rotation(gateway),
        "/api/callbacks/{id}/deliveries": Deliveries(gateway),
        "/api/callbacks/{id}/deliveries/{delivery}": Delivery(gateway),
        "/api/callbacks/{id}/deliveries/{delivery}/retry": Redrive(gateway),
        "/api/erasures": Erasures(gateway),
        "/api/erasures/{id}": Erasure(gateway),
        "/api/export": Export(gateway),
        "/api/audit": Audit(gateway),
        "/api/clients": Clients(gateway),
        "/api/clients/{id}": Client(gateway, limits),
        "/api/clients/{id}/keys": ClientKeys(gateway),
        "/api/keys/{id}": Key(gateway),
        "/api/keys/{id}/rotate": KeyRotation(gateway),
        "/api/pauses": Pauses(gateway),
        "/api/pauses/client": ClientPause(gateway),
        "/api/pauses/channels/{type}": ChannelPause(gateway),
        "/api/limits": OwnLimits(limits),
    }
