"""Supervisor: start services in order, restart those that die, and stop all in the reverse order."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from cli.servers import StartError
from cli.terminal.signals import Signals
from runtime import logs

FIRST_DELAY = 0.5  # seconds
LONGEST_DELAY = 30.0  # seconds
SETTLED = 60.0  # seconds; a service that ran for longer is restarted after the first delay again


class Service(Protocol):
    """Service that the supervisor runs; `cli.servers.program.Program` documents the methods."""

    name: str

    @property
    def pid(self) -> int: ...
    @property
    def alive(self) -> bool: ...
    def start(self) -> None: ...
    def ask(self) -> None: ...
    def stop(self) -> str: ...
    def reap(self) -> str: ...


@dataclass
class _Watched:
    service: Service
    first_delay: float
    delay: float
    started: float = 0.0
    due: float | None = None  # time.monotonic() of the next start, if it is down

    def schedule(self) -> float:
        """Schedule a restart and return the delay in seconds, which doubles each time up to LONGEST_DELAY."""
        now = time.monotonic()
        if now - self.started > SETTLED:
            self.delay = self.first_delay
        wait, self.delay = self.delay, min(self.delay * 2, LONGEST_DELAY)
        self.due = now + wait
        return wait


class Supervisor:
    """Supervisor of services in tiers: a tier starts after the ones before, and its services stop together."""

    def __init__(self, signals: Signals, first_delay: float = FIRST_DELAY) -> None:
        self._signals = signals
        self._first_delay = first_delay
        self._tiers: list[list[_Watched]] = []
        self._log = logs.get("up")

    def start(self, *services: Service) -> None:
        """Start the services of a tier, one after the other. All are ready when this returns."""
        tier: list[_Watched] = []
        self._tiers.append(tier)
        for service in services:
            tier.append(_Watched(service, self._first_delay, self._first_delay))
            self._start(tier[-1])

    def watch(self) -> None:
        """Restart services that die, until a stop signal arrives."""
        while not self._signals.stops:
            for watched in self._all():
                self._look_at(watched)
            due = [watched.due for watched in self._all() if watched.due is not None]
            self._signals.wait(max(0.0, min(due) - time.monotonic()) if due else None)

    def stop(self) -> None:
        """Stop all services, last tier first. A second stop signal shortens the waits."""
        self._signals.stopping = True
        for tier in reversed(self._tiers):
            running = [watched.service for watched in tier if watched.service.alive]
            for service in running:
                service.ask()
            for service in running:
                self._say("info", "service.stopped", service=service.name, how=service.stop())
            for watched in tier:
                watched.service.reap()

    def _all(self) -> list[_Watched]:
        return [watched for tier in self._tiers for watched in tier]

    def _start(self, watched: _Watched) -> None:
        service, began = watched.service, time.monotonic()
        service.start()
        watched.started = time.monotonic()
        seconds = round(watched.started - began, 3)
        self._say("info", "service.started", service=service.name, pid=service.pid, seconds=seconds)

    def _look_at(self, watched: _Watched) -> None:
        if watched.due is None and not watched.service.alive:
            # Reaped at once: later another process could have its id.
            how = watched.service.reap()
            again_in = watched.schedule()
            self._say("warning", "service.died", service=watched.service.name, how=how, again_in=again_in)
        if watched.due is not None and watched.due <= time.monotonic():
            self._restart(watched)

    def _restart(self, watched: _Watched) -> None:
        watched.due = None
        try:
            self._start(watched)
        except (StartError, OSError) as error:
            again_in = watched.schedule()
            self._say("error", "service.not_restarted", service=watched.service.name, why=str(error), again_in=again_in)

    def _say(self, level: str, event: str, **details: object) -> None:
        # The terminal may be gone, and the services must be stopped all the same.
        with suppress(OSError):
            getattr(self._log, level)(event, **details)
