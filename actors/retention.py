"""Periodic retention: one worker process at a time maintains the blocks and deletes expired rows."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing

from db import acts, audit, policy, retention
from db.audit import By
from db.database import Unavailable, connection, database
from db.policy import Step
from runtime import logs
from settings.retention import RetentionSettings

log = logs.get("retention")

HOST = socket.gethostname()


class Retention(threading.Thread):
    """Thread for retention, so that upkeep's heartbeat never waits for it. It holds a connection only while working."""

    def __init__(self, settings: RetentionSettings) -> None:
        super().__init__(name="retention", daemon=True)
        self._settings, self._ending = settings, threading.Event()

    def run(self) -> None:
        while not self._ending.wait(self._settings.interval):
            try:
                self.turn()
            except Unavailable as error:
                log.warning("retention.not_done", error=str(error))
            except Exception:
                # The next round may succeed.
                log.exception("retention.failed")
            finally:
                database.close()

    def stop(self) -> None:
        """Begin no further step. The step that runs is not waited for; unfinished work is done later."""
        self._ending.set()

    def turn(self) -> None:
        """Run one round, unless another worker has the turn."""
        with connection():
            if retention.take_turn():
                with closing(self._steps()) as steps:
                    self._walk(steps)
                retention.end_turn(self._settings.interval)

    def _walk(self, steps: Iterator[Step]) -> None:
        began = time.monotonic()
        for step in steps:
            _tell(step)
            retention.hold_turn()
            # Pause for as long as the step took, so that retention uses at most half of the time.
            if self._ending.wait(time.monotonic() - began):
                return
            began = time.monotonic()

    def _steps(self) -> Generator[Step, None, None]:
        kept, bounds = policy.of(self._settings), policy.bounds(self._settings)
        yield from retention.look_after_blocks(kept, bounds)
        if retention.sweep_due(kept.lateness):
            yield from retention.sweep(kept, bounds)
        if age := self._settings.audit_kept:
            yield Step("forgotten", audit.forget(age, self._settings.batch))


def _tell(step: Step) -> None:
    if step.what == "dropped":
        audit.record(By("worker", name=HOST), acts.block_dropped(step))
    if step.what not in {"deleted", "forgotten"}:
        log.info(f"retention.{step.what}", block=step.block, rows=step.rows)
    elif step.rows:
        log.info(f"retention.{step.what}", rows=step.rows)
