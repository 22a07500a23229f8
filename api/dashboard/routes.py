"""The list of all pages."""

from __future__ import annotations

from api.access.auth import Authentication
from api.access.limits import Limits
from api.dashboard import page
from api.dashboard.acts import Cancel, Retry
from api.dashboard.assets import Static
from api.dashboard.clients import Client, Clients, Disabling
from api.dashboard.failing import Failures, RetryKind
from api.dashboard.inbox import CaughtHtml, CaughtMail, Inbox
from api.dashboard.keys import Keys, Revocation, Rotation
from api.dashboard.listing import Listing
from api.dashboard.login import Login, Logout
from api.dashboard.mail import Html, Source
from api.dashboard.overview import Live, Overview
from api.dashboard.resend import Resend
from api.dashboard.sampler import Sampler
from api.dashboard.story import Story
from api.dashboard.suppressions import Removal, Suppressions
from api.dashboard.switch import Switch
from api.dashboard.templates import Rendered, Template, Templates
from api.http.asgi import Application
from api.rendering.templating import Templating
from api.resources.downloads import Attachment
from api.store import Gateway


def install(
    app: Application, gateway: Gateway, authentication: Authentication, limits: Limits, templating: Templating
) -> None:
    """Add a route for each page. SECTIONS of api/dashboard/__init__.py must have the first segment of its path."""
    page.begin_links_with(gateway.settings.path_prefix)
    sampler = Sampler(gateway)
    app.on_stop.append(sampler.stop)
    app.add_route("/", Overview(sampler))
    app.add_route("/live", Live(sampler))
    app.add_route("/notifications", Listing(gateway))
    app.add_route("/notifications/{id}", Story(gateway))
    app.add_route("/notifications/{id}/mail", Html(gateway))
    app.add_route("/notifications/{id}/source", Source(gateway))
    app.add_route("/notifications/{id}/attachments/{number}", Attachment(gateway))
    app.add_route("/notifications/{id}/cancel", Cancel(gateway))
    app.add_route("/notifications/{id}/retry", Retry(gateway))
    app.add_route("/notifications/{id}/resend", Resend(gateway, limits))
    app.add_route("/failures", Failures(gateway))
    app.add_route("/failures/retry", RetryKind(gateway))
    app.add_route("/login", Login(gateway, authentication, limits))
    app.add_route("/logout", Logout(gateway))
    app.add_route("/switch", Switch(gateway))
    app.add_route("/static/{name}", Static())
    app.add_route("/clients", Clients(gateway))
    app.add_route("/clients/{client}", Client(gateway, limits))
    app.add_route("/clients/{client}/disabled", Disabling(gateway, limits))
    app.add_route("/keys", Keys(gateway))
    app.add_route("/keys/{key}/revoke", Revocation(gateway))
    app.add_route("/keys/{key}/rotate", Rotation(gateway))
    app.add_route("/suppressions", Suppressions(gateway))
    app.add_route("/suppressions/removal", Removal(gateway))
    app.add_route("/templates", Templates(gateway))
    app.add_route("/templates/{name}", Template(gateway, templating))
    app.add_route("/templates/{name}/html", Rendered(gateway, templating))
    if gateway.settings.caught_mail:
        app.add_route("/inbox", Inbox(gateway.settings))
        app.add_route("/inbox/{number}", CaughtMail(gateway.settings))
        app.add_route("/inbox/{number}/html", CaughtHtml(gateway.settings))
