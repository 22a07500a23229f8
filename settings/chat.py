"""Settings of chat messages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from settings.group import Group, text

_SERVICE = re.compile(r"[a-z][a-z0-9+.-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatSettings(Group):
    """Read by actors.channels.chat and api.schemas.destinations."""

    apprise_services: str = text("APPRISE_SERVICES", "names")
    """The services that destinations of the kind `apprise` may use: schemes of Apprise URLs, separated by commas."""

    @property
    def services(self) -> frozenset[str]:
        """APPRISE_SERVICES as schemes."""
        return frozenset(filter(None, (one.strip() for one in self.apprise_services.split(","))))

    def faults(self) -> Iterator[str]:
        if not all(map(_SERVICE.fullmatch, self.services)):
            yield "APPRISE_SERVICES is malformed: give schemes of Apprise URLs, for example pagerduty, ntfys"
