"""Thread of each worker that asks providers whether they have taken notifications whose attempts had no answer.

What it finds is stored like a report, which `reports.reader` reads and applies. A worker that dies in between has asked
in vain, and another one asks again. A provider that does not know a message yet proves nothing, because its search may
be behind.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from actors.channels import Undelivered
from actors.channels.evidence_sources import Found, LookUp
from actors.reports.stored_events import to_json
from db import incoming_reports, look_ups
from db.database import Unavailable, connection, database
from db.incoming_reports import Incoming
from db.look_ups import Asked
from runtime import logs

log = logs.get("look_ups")

EVERY = 1.0  # seconds between two rounds
AT_ONCE = 10  # notifications about which a provider is asked in one round
REST = 60.0  # seconds for which a provider is not asked that did not answer
SOURCE = "look-up: "  # before the name of the provider, so that what it was asked does not count as what it reports

Run = Callable[[Coroutine[Any, Any, Found | None]], Found | None]


class LookUps(threading.Thread):
    """Asks until it is stopped. `run_on_loop` runs a coroutine on the event loop of the process and waits for it."""

    def __init__(self, providers: Mapping[str, LookUp], run_on_loop: Run) -> None:
        super().__init__(name="look-ups", daemon=True)
        self._providers, self._run_on_loop, self._ending = providers, run_on_loop, threading.Event()

    def run(self) -> None:
        while self._providers and not self._ending.wait(EVERY):
            try:
                self.turn()
            except Unavailable as error:
                log.warning("look_ups.not_made", error=str(error))
            except Exception:
                # The next round may succeed.
                log.exception("look_ups.failed")
        database.close()

    def stop(self) -> None:
        """Ask no further question. The one that is being asked is not waited for."""
        self._ending.set()

    def turn(self) -> None:
        """Ask each provider about the notifications that are due for it."""
        for provider, look_up in self._providers.items():
            with connection():
                asked = look_ups.take(provider, AT_ONCE)
                if asked:
                    look_ups.forget()
            for one in asked:
                if self._ending.is_set() or not self._ask(provider, look_up, one):
                    break

    def _ask(self, provider: str, look_up: LookUp, one: Asked) -> bool:
        """Ask about a notification, and store what is found. Return False if the provider did not answer."""
        try:
            found = self._run_on_loop(_asked(look_up, one))
        except Undelivered as error:
            log.warning("look_up.not_answered", provider=provider, error=str(error))
            with connection():
                look_ups.rest(provider, REST)
            return False
        if found is not None:
            log.info("look_up.found", id=one.id, provider=provider)
            with connection():
                incoming_reports.store(Incoming(SOURCE + provider, found.raw, events=[to_json(found.event)]))
        return True


async def _asked(look_up: LookUp, one: Asked) -> Found | None:
    return await look_up(one.id, one.recipient, one.since)
