"""The ASGI application and the only list of its routes. The dashboard's pages have theirs in dashboard/routes.py."""

from __future__ import annotations

import settings
from api.access.auth import Authentication
from api.access.limits import Limits
from api.access.metering import Metering
from api.dashboard import routes
from api.dashboard.session_middleware import SessionMiddleware
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
from api.resources.callback_health import EndpointTest, Health
from api.resources.callbacks import Callback, Callbacks, Rotation
from api.resources.clients import Client, Clients
from api.resources.control import BulkRetry, Cancel, Retry
from api.resources.deliveries import Deliveries, Delivery, Redrive, RedriveAll
from api.resources.destinations import Destination, DestinationRotation, Destinations
from api.resources.domains import Domain, DomainCheck, DomainRotation, Domains
from api.resources.downloads import Attachment
from api.resources.erasures import Erasure, Erasures
from api.resources.events import Events
from api.resources.exports import Export
from api.resources.health import Alive, Ready
from api.resources.history import History
from api.resources.keys import ClientKeys, Key, KeyRotation
from api.resources.notifications import Attempts, Notification, Notifications
from api.resources.openapi import OpenApi
from api.resources.pauses import ChannelPause, ClientPause, Pauses
from api.resources.providers import Provider, Providers
from api.resources.redis_health import RedisHealth
from api.resources.report_webhooks import ReportWebhook
from api.resources.reports import Reports
from api.resources.scraping import Metrics
from api.resources.suppressions import Suppression, Suppressions
from api.resources.templates import Preview, Template, Templates, Version, Versions
from api.resources.unsubscribe import Unsubscribe
from api.resources.usage import OwnLimits
from api.store import NotificationStore
from api.streaming.stream import Stream
from api.streaming.streams import Streams
from db import database
from runtime import logs, tracing


def create_app() -> Application:
    """Return the application that gunicorn serves. It connects to nothing until the first request."""
    current = settings.load()
    logs.configure(current, "api")
    database.bind(current.database)
    tracing.start(current.telemetry, "api")
    store = NotificationStore(current)
    limits = Limits(store)
    renderers = Pool(current)
    templating = Templating(store, renderers)
    redis = RedisHealth()
    numbers = Metrics(store, redis)
    streams = Streams(current)
    authentication = Authentication(store)
    targets = Targets(current.public)
    middleware: list[object] = [Measuring(), Access(), RequestId()]
    if current.telemetry.tracing == "on":
        middleware.append(ServerSpan())
    middleware += [NoStore(), targets, Lifespan(store, renderers)]
    middleware += [authentication, SessionMiddleware(store, authentication), Metering(store.cpu), limits]
    middleware += [numbers, redis, streams]
    app = Application(current, targets, middleware=middleware)
    app.on_stop += [store.watch.stop, streams.stop]
    problems.install(app)
    paths = {
        **_sending(store, limits, templating, streams),
        **_managing(store, limits),
        "/healthz": Alive(),
        "/readyz": Ready(store, redis),
        "/metrics": numbers,
        "/openapi.json": OpenApi(current),
    }
    for path, resource in paths.items():
        app.add_route(path, resource)
    routes.install(app, store, authentication, limits, templating)
    return app


def _sending(store: NotificationStore, limits: Limits, templating: Templating, streams: Streams) -> dict[str, object]:
    """Return the resources for sending notifications and following them."""
    return {
        "/api/notifications": Notifications(store, limits, templating),
        "/api/notifications/{id}": Notification(store),
        "/api/notifications/{id}/attempts": Attempts(store),
        "/api/notifications/{id}/attachments/{number}": Attachment(store),
        "/api/templates": Templates(store),
        "/api/templates/{name}": Template(store, templating),
        "/api/templates/{name}/preview": Preview(store, templating),
        "/api/templates/{name}/versions": Versions(store),
        "/api/templates/{name}/versions/{version}": Version(store),
        "/api/suppressions": Suppressions(store),
        # The local part of an address may contain a slash.
        "/api/suppressions/{address:path}": Suppression(store),
        "/u/{token}": Unsubscribe(store),
        "/api/notifications/{id}/events": Events(store, streams),
        "/api/stream": Stream(store, streams),
        "/api/notifications/batch": Batches(store, limits, templating),
        "/api/notifications/retry": BulkRetry(store),
        "/api/notifications/{id}/cancel": Cancel(store),
        "/api/notifications/{id}/retry": Retry(store),
    }


def _managing(store: NotificationStore, limits: Limits) -> dict[str, object]:
    """Return the resources for callbacks, domains, clients, keys, pauses, limits, and stored data."""
    return {
        "/api/callbacks": Callbacks(store),
        "/api/callbacks/{id}": Callback(store),
        "/api/callbacks/{id}/rotate-secret": Rotation(store),
        "/api/callbacks/{id}/health": Health(store),
        "/api/callbacks/{id}/test": EndpointTest(store),
        "/api/callbacks/{id}/retry": RedriveAll(store),
        "/api/callbacks/{id}/deliveries": Deliveries(store),
        "/api/callbacks/{id}/deliveries/{delivery}": Delivery(store),
        "/api/callbacks/{id}/deliveries/{delivery}/retry": Redrive(store),
        "/api/domains": Domains(store),
        "/api/domains/{domain}": Domain(store),
        "/api/domains/{domain}/check": DomainCheck(store),
        "/api/domains/{domain}/rotate": DomainRotation(store),
        "/api/destinations": Destinations(store),
        "/api/destinations/{name}": Destination(store),
        "/api/destinations/{name}/rotate-secret": DestinationRotation(store),
        "/api/erasures": Erasures(store),
        "/api/erasures/{id}": Erasure(store),
        "/api/export": Export(store),
        "/api/audit": Audit(store),
        "/api/clients": Clients(store),
        "/api/clients/{id}": Client(store, limits),
        "/api/clients/{id}/keys": ClientKeys(store),
        "/api/keys/{id}": Key(store),
        "/api/keys/{id}/rotate": KeyRotation(store),
        "/api/providers": Providers(store),
        "/api/providers/{provider}": Provider(store),
        "/api/reports": Reports(store),
        "/api/reports/{provider}": ReportWebhook(store),
        "/api/pauses": Pauses(store),
        "/api/pauses/client": ClientPause(store),
        "/api/pauses/channels/{channel}": ChannelPause(store),
        "/api/limits": OwnLimits(limits),
        "/api/history": History(store),
    }
