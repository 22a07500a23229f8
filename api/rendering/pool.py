"""Pool of rendering processes for the event loop: started on demand, killed when they exceed a limit."""

from __future__ import annotations

import asyncio
import os
import signal
import struct
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from api.access.fair_gate import FairGate, Group
from api.rendering.faults import Fault, Faulty
from db.coalesce import Full
from runtime import logs
from settings import Settings

log = logs.get("rendering")

HEAD = struct.Struct(">I")
ROOT = str(Path(__file__).parents[2])
# SIGPROF ends a child that has exceeded its CPU time; the others end it after a crash.
OVERRUN, CRASHES = -signal.SIGPROF, (-signal.SIGSEGV, -signal.SIGBUS, -signal.SIGABRT, -signal.SIGILL)
PENANCE = 60.0  # seconds
MEMORY = 256 << 20  # bytes of a rendering process
WAITING = 1_000  # renderings in one API process; more are refused with Full
TEMPLATES = 200  # that each API process and each of its children keeps in memory
KEPT = ("PATH", "LD_LIBRARY_PATH")  # variables that children inherit; others may hold secrets


class NoRenderer(Full):
    """No child could answer in time, for reasons other than the template: try again later."""


class Pool:
    """RENDER_PROCESSES children of an API process, to which clients are admitted by turns.

    One client never gets all children, so that its endless templates do not block others. The clients whose templates
    have exceeded their CPU time within the last PENANCE seconds share the turns of one client.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._idle: list[_Child] = []
        self._children: set[_Child] = set()
        self._overran: dict[int, float] = {}  # client -> `time.monotonic()` of its last overrun
        self._gate = FairGate("render", settings.templates.processes, WAITING, divided=settings.http.auth != "off")

    async def ask(self, client: int, request: Mapping[str, Any], source: Mapping[str, Any]) -> Any:
        """Return the answer of a child to `request`; `source` is sent if the child has not cached it.

        Raises:
            Faulty: the template, its schema or its variables have faults.
            NoRenderer, Full: no child could answer; try again later.
        """
        try:
            async with asyncio.timeout(self._settings.templates.timeout):
                answer = await self._ask(client, request, source)
        except TimeoutError:
            raise NoRenderer("no child was free in time") from None
        if faults := answer.get("faults"):
            raise Faulty([Fault(*fault) for fault in faults])
        return answer

    async def close(self) -> None:
        """Kill all children."""
        for child in list(self._children):
            child.kill()
            await child.gone()

    async def _ask(self, client: int, request: Mapping[str, Any], source: Mapping[str, Any]) -> Any:
        group = self._group(client)
        await self._gate.enter(group)
        try:
            for _ in range(2):  # The first child may have been killed for a reason other than this request.
                ended = await self._with_child(request, source)
                if not isinstance(ended, int):
                    return ended
                if ended == OVERRUN:
                    self._overran[client] = time.monotonic()
                    raise Faulty([_overrun(self._settings.templates.cpu)])
                if ended in CRASHES:
                    raise Faulty([Fault("/template", "crashes the process that renders it")])
            raise NoRenderer("children keep being ended")
        finally:
            self._gate.leave(group)

    def _group(self, client: int) -> Group:
        """Return the client, or the common group of clients whose templates overran recently."""
        if self._overran:
            since = time.monotonic() - PENANCE
            self._overran = {id: at for id, at in self._overran.items() if at > since}
        return "overran" if client in self._overran else client

    async def _with_child(self, request: Mapping[str, Any], source: Mapping[str, Any]) -> Any:
        """Return a child's answer, or its exit code if it ended instead."""
        child = self._idle.pop() if self._idle else self._new()
        try:
            answer = await child.ask(request)
            if answer.get("unknown"):
                answer = await child.ask({**request, "source": source})
            self._idle.append(child)
            return answer
        except _Ended as ended:
            log.warning("renderer.ended", code=ended.code)
            return ended.code
        except BaseException:  # Its late answer would be mistaken for that of the next request.
            child.kill()
            raise

    def _new(self) -> _Child:
        self._children = {child for child in self._children if not child.ended}
        child = _Child(self._settings)
        self._children.add(child)
        return child


class _Ended(Exception):
    """A child has ended; its exit code is negative for a signal."""

    def __init__(self, code: int) -> None:
        super().__init__(str(code))
        self.code = code


class _Child:
    """Child process, started with the first request."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None

    async def ask(self, request: Mapping[str, Any]) -> Any:
        process = self._process = self._process or await self._start()
        body = orjson.dumps(request)
        assert process.stdin is not None  # noqa: S101 - it is a pipe
        assert process.stdout is not None  # noqa: S101
        try:
            process.stdin.write(HEAD.pack(len(body)) + body)
            await process.stdin.drain()
            [length] = HEAD.unpack(await process.stdout.readexactly(HEAD.size))
            return orjson.loads(await process.stdout.readexactly(length))
        except (OSError, asyncio.IncompleteReadError):
            raise _Ended(await process.wait()) from None

    @property
    def ended(self) -> bool:
        return self._process is not None and self._process.returncode is not None

    async def gone(self) -> None:
        if self._process is not None:
            await self._process.wait()

    def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def _start(self) -> asyncio.subprocess.Process:
        content, templates = self._settings.content, self._settings.templates
        limits = {
            **{"subject": content.subject_limit, "text": content.message_limit, "html": content.html_limit},
            **{"cache": TEMPLATES, "memory": MEMORY, "seconds": templates.cpu, "parent": os.getpid()},
        }
        environ = {name: os.environ[name] for name in KEPT if name in os.environ}
        environ |= {"PYTHONPATH": os.pathsep.join([ROOT, *filter(None, sys.path)]), "PYTHONUTF8": "1"}
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "api.rendering.child", orjson.dumps(limits).decode()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environ,
            limit=1 << 20,
        )


def _overrun(seconds: float) -> Fault:
    return Fault("/template", f"takes more than {seconds:g} seconds of CPU time")
