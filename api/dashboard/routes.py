"""The list of all pages."""

from __future__ import annotations

from api.access.auth import Authentication
from api.access.limits import Limits
from api.dashboard import page
from api.dashboard.acts import Cancel, Retry
from api.dashboard.assets import Static
from api.dashboard.audit import Audit
from api.dashboard.callbacks import Delivery, Endpoint, Endpoints, RetryAll, RetryDelivery, Test
from api.dashboard.callbacks import Disabling as EndpointDisabling
from api.dashboard.clients import Client, Clients, Disabling
from api.dashboard.destinations import Deletion, Destinations
from api.dashboard.domains import Domain, DomainRemoval, Domains
from api.dashboard.failing import Failures, RetryKind
from api.dashboard.history import History
from api.dashboard.inbox import CaughtFile, CaughtHtml, CaughtMail, Inbox
from api.dashboard.keys import Keys, Revocation, Rotation
from api.dashboard.listing import Listing
from api.dashboard.login import Login, Logout
from api.dashboard.mail import Html, Source
from api.dashboard.overview import Live, Overview
from api.dashboard.pauses import ChannelPause, ClientPause, Pauses
from api.dashboard.providers import Provider, Providers
from api.dashboard.reference import Reference
from api.dashboard.resend import Resend
from api.dashboard.sampler import Sampler
from api.dashboard.selection import Selection
from api.dashboard.story import Story
from api.dashboard.suppressions import Removal, Suppressions
from api.dashboard.switch import Switch
from api.dashboard.table import Table
from api.dashboard.templates import Rendered, Template, Templates
from api.http.asgi import Application
from api.rendering.templating import Templating
from api.resources.downloads import Attachment
from api.store import NotificationStore


def install(
    app: Application, store: NotificationStore, authentication: Authentication, limits: Limits, templating: Templating
) -> None:
    """Add a route for each page. SECTIONS of api/dashboard/__init__.py must have the first segment of its path."""
    page.begin_links_with(store.settings.public.path_prefix)
    sampler = Sampler(store)
    app.on_stop.append(sampler.stop)
    app.add_route("/", Overview(sampler))
    app.add_route("/live", Live(sampler))
    _install_notifications(app, store, limits)
    app.add_route("/failures", Failures(store))
    app.add_route("/failures/retry", RetryKind(store))
    app.add_route("/history", History(store))
    app.add_route("/pauses", Pauses(store))
    app.add_route("/pauses/client", ClientPause(store))
    app.add_route("/pauses/channels/{channel}", ChannelPause(store))
    app.add_route("/providers", Providers(store))
    app.add_route("/providers/{provider}", Provider(store))
    app.add_route("/audit", Audit(store))
    app.add_route("/login", Login(store, authentication, limits))
    app.add_route("/logout", Logout(store))
    app.add_route("/switch", Switch(store))
    app.add_route("/static/{name}", Static())
    app.add_route("/docs", Reference())
    app.add_route("/clients", Clients(store))
    app.add_route("/clients/{client}", Client(store, limits))
    app.add_route("/clients/{client}/disabled", Disabling(store, limits))
    app.add_route("/keys", Keys(store))
    app.add_route("/keys/{key}/revoke", Revocation(store))
    app.add_route("/keys/{key}/rotate", Rotation(store))
    app.add_route("/suppressions", Suppressions(store))
    app.add_route("/suppressions/removal", Removal(store))
    app.add_route("/domains", Domains(store))
    app.add_route("/domains/{domain}", Domain(store))
    app.add_route("/domains/{domain}/remove", DomainRemoval(store))
    app.add_route("/callbacks", Endpoints(store))
    app.add_route("/callbacks/{endpoint}", Endpoint(store))
    app.add_route("/callbacks/{endpoint}/test", Test(store))
    app.add_route("/callbacks/{endpoint}/retry", RetryAll(store))
    app.add_route("/callbacks/{endpoint}/disabled", EndpointDisabling(store))
    app.add_route("/callbacks/{endpoint}/deliveries/{delivery}", Delivery(store))
    app.add_route("/callbacks/{endpoint}/deliveries/{delivery}/retry", RetryDelivery(store))
    app.add_route("/destinations", Destinations(store))
    app.add_route("/destinations/{destination}/delete", Deletion(store))
    app.add_route("/templates", Templates(store))
    app.add_route("/templates/{name}", Template(store, templating))
    app.add_route("/templates/{name}/html", Rendered(store, templating))
    if store.settings.dashboard.caught_mail:
        app.add_route("/inbox", Inbox(store.settings.dashboard))
        app.add_route("/inbox/{number}", CaughtMail(store.settings.dashboard))
        app.add_route("/inbox/{number}/html", CaughtHtml(store.settings.dashboard))
        app.add_route("/inbox/{number}/attachments/{file}", CaughtFile(store.settings.dashboard))


def _install_notifications(app: Application, store: NotificationStore, limits: Limits) -> None:
    app.add_route("/notifications", Listing(store))
    app.add_route("/notifications/list.csv", Table(store))
    app.add_route("/notifications/selected", Selection(store))
    app.add_route("/notifications/{id}", Story(store))
    app.add_route("/notifications/{id}/mail", Html(store))
    app.add_route("/notifications/{id}/source", Source(store))
    app.add_route("/notifications/{id}/attachments/{number}", Attachment(store))
    app.add_route("/notifications/{id}/cancel", Cancel(store))
    app.add_route("/notifications/{id}/retry", Retry(store))
    app.add_route("/notifications/{id}/resend", Resend(store, limits))
