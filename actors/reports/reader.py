"""Thread of each worker that reads reports and applies what they prove.

A report was stored before it was acknowledged, so a worker that dies here loses nothing: another one reads the report
again, and evidence that is known already changes nothing.
"""

from __future__ import annotations

import logging
import threading
import time

from actors.reports import reading
from actors.reports.event import Event
from actors.reports.keys import ReportKeys
from actors.reports.matching import evidence
from actors.reports.opt_outs import OptOuts
from actors.reports.reported_domains import ReportedDomains
from actors.reports.stored_events import from_json, to_json
from db import incoming_reports
from db.database import Unavailable, connection, database
from db.incoming_reports import Taken
from db.lifecycle import evidence as proofs
from db.lifecycle.evidence import Evidence
from runtime import logs, metrics

log = logs.get("reports")

EVERY = 1.0  # seconds between two looks for reports
AT_ONCE = 20  # reports that are taken by one statement
APPLIED_AT_ONCE = 100
FORGOTTEN_AT_ONCE = 1_000
HOUSEKEEPING = 3_600.0  # seconds
TRIES = 5  # after so many, a report is given up: it may be what kills the workers
# Seconds until an event is tried again that names a message of which the id is not recorded yet.
LATER = (5.0, 60.0, 600.0, 3_600.0)


class ReportReader(threading.Thread):
    """Reads reports until it is stopped. It rests as long as it has worked, so that sending is not slowed."""

    def __init__(
        self,
        keys: ReportKeys,
        opt_outs: OptOuts = OptOuts({}),  # noqa: B008 - it has no state
        domains: ReportedDomains | None = None,
    ) -> None:
        super().__init__(name="reports", daemon=True)
        self._keys, self._opt_outs, self._domains, self._ending = keys, opt_outs, domains, threading.Event()
        self._own_domains = domains.own if domains is not None else {}
        self._housekeeping_at = 0.0
        # The library logs the traceback of each detector that fails at a malformed mail.
        logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL)

    def run(self) -> None:
        while not self._ending.wait(EVERY):
            try:
                self.turn()
            except Unavailable as error:
                log.warning("reports.not_read", error=str(error))
            except Exception:
                # The next round may succeed.
                log.exception("reports.failed")
        database.close()

    def stop(self) -> None:
        """Begin no further report. The one that is being read is not waited for."""
        self._ending.set()

    def turn(self) -> None:
        """Read the reports that are due, and apply the evidence that waited for its notification."""
        while not self._ending.is_set():
            with connection():
                taken = incoming_reports.take(AT_ONCE)
            for report in taken:
                began = time.monotonic()
                self._read(report)
                if self._ending.wait(time.monotonic() - began):
                    return
            if len(taken) < AT_ONCE:
                break
        with connection():
            for waiting in proofs.ready(APPLIED_AT_ONCE):
                proofs.apply(waiting, self._own_domains)
            self._keep_house()

    def _read(self, report: Taken) -> None:
        with connection():
            if report.tries > TRIES and report.events is None:
                incoming_reports.end(report.id, "unreadable", [])
                return
        try:
            events = _events(report)
        except Exception as error:  # noqa: BLE001 - a hostile report must not stop the others
            told = str(error) if isinstance(error, reading.Unreadable) else type(error).__name__
            log.warning("report.unreadable", report=report.id, error=told)
            with connection():
                incoming_reports.end(report.id, "unreadable", [])
            return
        with connection():
            self._apply(report, events)

    def _apply(self, report: Taken, events: list[Event]) -> None:
        verified = report.events is not None
        answers = [self._opt_outs.apply(event, report.source) if verified else None for event in events]
        others = [event for event, answer in zip(events, answers, strict=True) if answer is None]
        found = [evidence(event, report, self._keys.keys, verified=verified) for event in others]
        ours = sorted((one for one in found if one is not None), key=lambda one: one.notification_id)
        kept = [self._record(said) for said in ours]
        lacking = any(one is None and event.provider_message_id for one, event in zip(found, others, strict=True))
        if verified and lacking and report.tries <= len(LATER):
            incoming_reports.postpone(report.id, LATER[report.tries - 1])
            return
        state = "ignored" if not events else "matched" if ours or any(answers) else "unmatched"
        if all(kept):
            incoming_reports.end(report.id, state, [to_json(event) for event in events])
        else:
            incoming_reports.end_empty(report.id, state)
        metrics.reports[report.source, state].inc()
        log.info("report.read", report=report.id, source=report.source, state=state, events=len(events))

    def _record(self, said: Evidence) -> bool:
        """Keep what a report says, and apply it. Return False if an erasure would not find the report by it.

        Another report said it before, or the notification is erased.
        """
        if not proofs.record(said):
            return proofs.is_of(said)
        proofs.apply(proofs.Waiting(said.notification_id, said.digest), self._own_domains)
        if self._domains is not None:
            self._domains.count(said)
        return True

    def _keep_house(self) -> None:
        if time.monotonic() >= self._housekeeping_at:
            self._housekeeping_at = time.monotonic() + HOUSEKEEPING
            proofs.give_up()
            while incoming_reports.forget(FORGOTTEN_AT_ONCE) == FORGOTTEN_AT_ONCE and not self._ending.is_set():
                pass


def _events(report: Taken) -> list[Event]:
    if report.events is not None:
        return [from_json(stored) for stored in report.events]
    return reading.events(report.raw, report.envelope)
