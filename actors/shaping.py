"""Hand back waiting notifications that only a part of a provider's recipients takes later, such as those of a domain.

Others of the same message must not wait for them, nor the message itself: while it waits, its thread takes no other.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from actors.batches import Batch, Job
from actors.channels.shaping import Shaping
from runtime import logs

if TYPE_CHECKING:
    from actors.provider_queue import ProviderQueue

log = logs.get("queue")


class Shaper:
    """Applies the limits of a provider on a part of its notifications to the jobs of its queue, if it has such limits.

    `waiting`: the jobs that no sender has taken, by rank.
    """

    def __init__(self, queue: ProviderQueue, waiting: list[deque[Job]], shaping: Shaping | None) -> None:
        self._queue, self._waiting, self._shaping = queue, waiting, shaping
        self._looking: asyncio.Task[None] | None = None

    def ended(self, *jobs: Job) -> None:
        """Record that jobs are not in the hands of a sender any more."""
        if self._shaping is not None and self._shaping.active:
            for job in jobs:
                self._shaping.ended(job.notification)

    def look(self) -> None:
        """Call `shape` in a task of its own."""
        if self._shaping is not None and self._shaping.active and (self._looking is None or self._looking.done()):
            self._looking = asyncio.get_running_loop().create_task(self.shape())
            self._looking.add_done_callback(_report)

    async def shape(self) -> None:
        """Hand back the jobs that would wait too long in the queue, and those that may not be sent any more."""
        if self._shaping is not None and self._shaping.active:
            await self._shape(self._shaping)

    async def _shape(self, shaping: Shaping) -> None:
        concerned = [job for jobs in self._waiting for job in jobs if shaping.concerns(job.notification)]
        late = shaping.late(job.notification for job in concerned)
        groups: defaultdict[tuple[str, int], list[Job]] = defaultdict(list)
        unwanted: list[Job] = []
        for job in concerned:
            if group := late.get(job.notification.id):
                groups[group, job.batch.rank].append(job)
            elif not self._queue.work.may_send(job):
                unwanted.append(job)
            else:
                _part(job)
        going = [job for jobs in groups.values() for job in jobs]
        self._remove([*going, *unwanted])
        try:
            for (group, rank), jobs in groups.items():
                booking = await shaping.book(group, rank, len(jobs))
                await self._queue.claim_store.postpone([job.notification for job in jobs], *booking)
        finally:
            self._queue.end(going)
            await self._queue.hand_back(unwanted)

    def _remove(self, jobs: Sequence[Job]) -> None:
        if gone := set(jobs):
            for rank, waiting in enumerate(self._waiting):
                self._waiting[rank] = deque(job for job in waiting if job not in gone)


def _part(job: Job) -> None:
    """Let the message of a job end without it. A probe stays, because its message reports that there was none."""
    if job.parted or job.probe:
        return
    whole, job.parted = job.batch, True
    job.batch = Batch([job.notification], whole.rank, whole.asked_at, whole.delays)
    job.batch.claimed_at = whole.claimed_at
    whole.finish()


def _report(looked: asyncio.Task[None]) -> None:
    if not looked.cancelled() and (error := looked.exception()):  # Rescue takes over what was not handed back.
        log.error("queue.not_handed_back", exc_info=error)
