"""The only list of pages."""

from __future__ import annotations

from api.asgi import Application
from api.auth import Authentication
from api.dashboard.assets import Static
from api.dashboard.login import Login, Logout
from api.dashboard.overview import Live, Overview
from api.dashboard.sampler import Sampler
from api.dashboard.switch import Switch
from api.gateway import Gateway
from api.limits import Limits


def install(app: Application, gateway: Gateway, authentication: Authentication, limits: Limits) -> None:
    """Each page at its path; the first segment of which stands in SECTIONS of api/dashboard/__init__.py."""
    sampler = Sampler(gateway)
    app.on_stop.append(sampler.stop)
    app.add_route("/", Overview(sampler))
    app.add_route("/live", Live(sampler))
    app.add_route("/login", Login(gateway, authentication, limits))
    app.add_route("/logout", Logout(gateway))
    app.add_route("/switch", Switch(gateway))
    app.add_route("/static/{name}", Static())
