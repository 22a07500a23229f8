"""Starts services in order, brings back what dies, stops all in the reverse order."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from cli.servers import StartError
from cli.terminal.signals import Signals
from runtime import logs

FIRST_DELAY = 0.5  # seconds
LONGEST_DELAY = 30.0
# Who lived so long starts again with the first delay.
SETTLED = 60.0


class Service(Protocol):
    """What the supervisor looks after; `cli.servers.program.Program` says what each of these means."""

    name: str

    @property
    def pid(self) -> int: ...
    @property
    def alive(self) -> bool: ...
    def start(self) -> None: ...
    def ask(self) -> None: ...
    def stop(self) -> str: ...
    def bury(self) -> str: ...


@dataclass
class _Watched:
    service: Service
    first_delay: float
    delay: float
    started: float = 0.0
    due: float | None = None  # when it shall be brought back

    def schedule(self) -> float:
        """Plan its return and say in how many seconds; each time later, up to a limit."""
        now = time.monotonic()
        if now - self.started > SETTLED:
            self.delay = self.first_delay
        wait, self.delay = self.delay, min(self.delay * 2, LONGEST_DELAY)
        self.due = now + wait
        return wait


class Supervisor:
    """Holds the services in the order they were started, in tiers: one tier is stopped at once."""

    def __init__(self, signals: Signals, first_delay: float = FIRST_DELAY) -> None:
        self._signals = signals
        self._first_delay = first_delay
        self._tiers: list[list[_Watched]] = []
        self._log = logs.get("up")

    def start(self, *services: Service) -> None:
        """Start one tier; each is ready when this returns."""
        tier: list[_Watched] = []
        self._tiers.append(tier)
        for service in services:
            tier.append(_Watched(service, self._first_delay, self._first_delay))
            self._start(tier[-1])

    def watch(self) -> None:
        """Bring back what dies, until somebody wants us to stop."""
        while not self._signals.stops:
            for watched in self._all():
                self._look_at(watched)
            due = [watched.due for watched in self._all() if watched.due is not None]
            self._signals.wait(max(0.0, min(due) - time.monotonic()) if due else None)

    def stop(self) -> None:
        """Stop everything, last tier first. A second wish to stop shortens the waits."""
        self._signals.stopping = True
        for tier in reversed(self._tiers):
            running = [watched.service for watched in tier if watched.service.alive]
            for service in running:
                service.ask()
            for service in running:
                self._say("info", "service.stopped", service=service.name, how=service.stop())
            for watched in tier:
                watched.service.bury()

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
            # At once, while its process id cannot have been given to another.
            how = watched.service.bury()
            again_in = watched.schedule()
            self._say("warning", "service.died", service=watched.service.name, how=how, again_in=again_in)
        if watched.due is not None and watched.due <= time.monotonic():
            self._bring_back(watched)

    def _bring_back(self, watched: _Watched) -> None:
        watched.due = None
        try:
            self._start(watched)
        except (StartError, OSError) as error:
            again_in = watched.schedule()
            self._say("error", "service.not_restarted", service=watched.service.name, why=str(error), again_in=again_in)

    def _say(self, level: str, event: str, **details: object) -> None:
        # The terminal may be gone; what must be stopped must be stopped all the same.
        with suppress(OSError):
            getattr(self._log, level)(event, **details)
