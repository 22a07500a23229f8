"""Thread of a worker process that keeps its DKIM keys up to date, and checks the domains whose check is due."""

from __future__ import annotations

import asyncio
import threading

import orjson

from actors.channels.email.domains.checking import Check, check
from actors.channels.email.signer import Signer
from db import domain_keys, domains
from db.database import Unacceptable, Unavailable, connection, database
from db.domains import Known
from runtime import logs
from settings import Settings

log = logs.get("domains")

# A rotation takes effect SWITCH_AFTER seconds after it is committed, and every worker must know it by then.
EVERY = domain_keys.SWITCH_AFTER / 4  # seconds between two rounds
AT_ONCE = 20  # domains that are checked at the same time


class Domains(threading.Thread):
    """Thread for domains, so that upkeep's heartbeat never waits for DNS. It holds no connection while it asks DNS."""

    def __init__(self, settings: Settings, signer: Signer) -> None:
        super().__init__(name="domains", daemon=True)
        self._settings, self._signer, self._ending = settings, signer, threading.Event()

    def run(self) -> None:
        while not self._ending.wait(EVERY):
            try:
                self.turn()
            except Unavailable as error:
                log.warning("domains.not_checked", error=str(error))
            except Exception:
                # The next round may succeed.
                log.exception("domains.failed")
            finally:
                database.close()

    def stop(self) -> None:
        """Begin no further round. A round that runs is not waited for: a check that records nothing is repeated."""
        self._ending.set()

    def load(self) -> None:
        """Load the keys of all domains. Call it before the first mail is sent."""
        with connection():
            keys = domain_keys.signing()
        self._signer.replace(keys)

    def turn(self) -> None:
        """Run one round."""
        self.load()
        with connection():
            due = domains.take_due(AT_ONCE)
        if not due:
            return
        for known, found in zip(due, asyncio.run(_checked(due, self._settings)), strict=True):
            _record(known, found)


async def _checked(due: list[Known], settings: Settings) -> list[Check]:
    return await asyncio.gather(*(check(known, settings) for known in due))


def _record(known: Known, found: Check) -> None:
    try:
        with connection():
            after = domains.record(known.domain.id, orjson.dumps(found.found).decode(), found.present, found.absent)
    except Unacceptable as error:  # It must not keep the other domains from being recorded.
        log.warning("domain.not_recorded", domain=known.domain.domain, error=str(error))
        return
    if after is not None and after.state != known.state:
        level = log.warning if after.state == "failing" else log.info
        level("domain.changed", domain=known.domain.domain, state=after.state)
