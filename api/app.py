"""The ASGI application and the only list of its routes; of pages, see dashboard/routes.py."""

from __future__ import annotations

import logs
import settings
import tracing
from api import problems
from api.asgi import Application
from api.audit import Audit
from api.auth import Authentication
from api.batches import Batches
from api.callbacks import Callback, Callbacks, Rotation
from api.clients import Client, Clients
from api.control import BulkRetry, Cancel, Retry
from api.dashboard import routes
from api.dashboard.door import Door
from api.deliveries import Deliveries, Delivery, Redrive
from api.downloads import Attachment
from api.erasures import Erasure, Erasures
from api.exports import Export
from api.gateway import Gateway
from api.health import Alive, Ready
from api.keys import ClientKeys, Key, KeyRotation
from api.limits import Limits
from api.notifications import Attempts, Events, Notification, Notifications
from api.openapi import OpenApi
from api.pauses import ChannelPause, ClientPause, Pauses
from api.rendering.pool import Pool
from api.requests import Access, Lifespan, RequestId
from api.suppressions import Suppression, Suppressions
from api.templates import Preview, Template, Templates, Version, Versions
from api.templating import Templating
from api.unsubscribe import Unsubscribe
from api.usage import OwnLimits
from db import database


def create_app() -> Application:
    """What gunicorn serves; connects to nothing until the first request."""
    current = settings.load()
    logs.configure(current, "api")
    database.bind(current)
    tracing.start(current, "api")
    gateway = tracing.chosen(current, Gateway, "api.traced:TracedGateway")(current)
    limits = Limits(gateway)
    renderers = Pool(current)
    templating = Templating(gateway, renderers)
    authentication = Authentication(gateway)
    app = Application(
        current,
        middleware=[
            Access(),
            tracing.chosen(current, RequestId, "api.traced:TracedRequest")(),
            Lifespan(gateway, renderers),
            authentication,
            Door(gateway, authentication),
            limits,
        ],
    )
    app.on_stop.append(gateway.watch.stop)
    problems.install(app)
    app.add_route("/api/notifications", Notifications(gateway, limits, templating))
    app.add_route("/api/notifications/{id}", Notification(gateway))
    app.add_route("/api/notifications/{id}/attempts", Attempts(gateway))
    app.add_route("/api/notifications/{id}/attachments/{number}", Attachment(gateway))
    app.add_route("/api/templates", Templates(gateway))
    app.add_route("/api/templates/{name}", Template(gateway, templating))
    app.add_route("/api/templates/{name}/preview", Preview(gateway, templating))
    app.add_route("/api/templates/{name}/versions", Versions(gateway))
    app.add_route("/api/templates/{name}/versions/{version}", Version(gateway))
    app.add_route("/api/suppressions", Suppressions(gateway))
    # The local part of an address may hold a slash.
    app.add_route("/api/suppressions/{address:path}", Suppression(gateway))
    app.add_route("/u/{token}", Unsubscribe(gateway))
    app.add_route("/api/notifications/{id}/events", Events(gateway))
    app.add_route("/api/callbacks", Callbacks(gateway))
    app.add_route("/api/callbacks/{id}", Callback(gateway))
    app.add_route("/api/callbacks/{id}/rotate-secret", Rotation(gateway))
    app.add_route("/api/callbacks/{id}/deliveries", Deliveries(gateway))
    app.add_route("/api/callbacks/{id}/deliveries/{delivery}", Delivery(gateway))
    app.add_route("/api/callbacks/{id}/deliveries/{delivery}/retry", Redrive(gateway))
    _add_data(app, gateway)
    app.add_route("/api/clients", Clients(gateway))
    app.add_route("/api/clients/{id}", Client(gateway, limits))
    app.add_route("/api/clients/{id}/keys", ClientKeys(gateway))
    app.add_route("/api/keys/{id}", Key(gateway))
    app.add_route("/api/keys/{id}/rotate", KeyRotation(gateway))
    app.add_route("/api/notifications/batch", Batches(gateway, limits, templating))
    app.add_route("/api/notifications/retry", BulkRetry(gateway))
    app.add_route("/api/notifications/{id}/cancel", Cancel(gateway))
    app.add_route("/api/notifications/{id}/retry", Retry(gateway))
    app.add_route("/api/pauses", Pauses(gateway))
    app.add_route("/api/pauses/client", ClientPause(gateway))
    app.add_route("/api/pauses/channels/{type}", ChannelPause(gateway))
    app.add_route("/api/limits", OwnLimits(limits))
    app.add_route("/healthz", Alive())
    app.add_route("/readyz", Ready(gateway))
    app.add_route("/openapi.json", OpenApi(current))
    routes.install(app, gateway, authentication, limits, templating)
    return app


def _add_data(app: Application, gateway: Gateway) -> None:
    app.add_route("/api/erasures", Erasures(gateway))
    app.add_route("/api/erasures/{id}", Erasure(gateway))
    app.add_route("/api/export", Export(gateway))
    app.add_route("/api/audit", Audit(gateway))
