"""Process that compiles and renders templates: `python -m api.rendering.child LIMITS`. pool.py starts it.

It takes one request at a time from stdin and answers on stdout; each message is a length (4 octets, big endian) and
JSON. The process has no settings and no secrets, and cannot open files or connections. The kernel kills it if a
request takes more CPU time than allowed, and limits its memory.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import struct
import sys
from collections import OrderedDict
from typing import Any, BinaryIO, NamedTuple

import orjson

from api.rendering.faults import Fault, Faulty, pointer
from api.rendering.sandbox import Template
from api.rendering.variables import Variables
from runtime import process

HEAD = struct.Struct(">I")


class Compiled(NamedTuple):
    """Compiled template with its schema, if it has one."""

    template: Template
    schema: Variables | None

    @classmethod
    def of(cls, source: dict[str, Any]) -> Compiled:
        """Compile a template and its schema; raise Faulty with the faults of both."""
        template = schema = None
        faults: list[Fault] = []
        try:
            template = Template(source)
        except Faulty as faulty:
            faults += faulty.faults
        try:
            schema = Variables(source["schema"]) if source["schema"] is not None else None
        except Faulty as faulty:
            faults += faulty.faults
        if template is None or faults:
            raise Faulty(faults)
        return cls(template, schema)


class Renderer:
    """Answers requests. `limits` has the characters of each part, and `cache`, the number of templates to keep."""

    def __init__(self, limits: dict[str, int]) -> None:
        self._limits = limits
        self._kept: OrderedDict[str, Compiled] = OrderedDict()

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Answer one request. A cached template need not be sent; the answer `unknown` asks for it."""
        try:
            return self._judged(asked)
        except MemoryError:
            # The cache takes memory too and may be the cause.
            self._kept.clear()
            gc.collect()
        try:
            return self._judged(asked)
        except MemoryError:
            return {"faults": [["/template", "takes too much memory"]]}

    def _judged(self, asked: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._answer(asked)
        except Faulty as faulty:
            return {"faults": [list(fault) for fault in faulty.faults]}

    def _answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        compiled = self._compiled(asked)
        if compiled is None:
            return {"unknown": True}
        if "variables" not in asked:
            return {}
        variables = asked["variables"]
        if compiled.schema is not None:
            compiled.schema.check(variables)
        elif unknown := sorted(variables.keys() - compiled.template.variables):
            detail = "is not a variable of this template: leave it out"
            raise Faulty([Fault(pointer(("variables", name)), detail) for name in unknown])
        return {"rendered": compiled.template.rendered(variables, self._limits)}

    def _compiled(self, asked: dict[str, Any]) -> Compiled | None:
        key = asked["key"]
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        elif "source" in asked:
            found = self._kept[key] = Compiled.of(asked["source"])
            if len(self._kept) > self._limits["cache"]:
                self._kept.popitem(last=False)
        return found


def serve(renderer: Renderer, seconds: float, requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until the other side closes; each may take `seconds` of CPU time."""
    while len(head := requests.read(HEAD.size)) == HEAD.size:
        asked = orjson.loads(requests.read(*HEAD.unpack(head)))
        # SIGPROF has no handler: its default action ends the process, even within one call of a C function.
        signal.setitimer(signal.ITIMER_PROF, seconds)
        answer = orjson.dumps(renderer.answer(asked))
        signal.setitimer(signal.ITIMER_PROF, 0)
        answers.write(HEAD.pack(len(answer)) + answer)
        answers.flush()


def main() -> None:
    """Run the process. LIMITS is JSON: Renderer's limits, `memory` in bytes, `seconds` of CPU, the `parent`'s pid."""
    limits = orjson.loads(sys.argv[1])
    process.die_with_parent(limits["parent"])
    # A stop signals the whole process group, but the current request is still needed. Then the parent closes the pipes.
    for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(stop, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGPROF])
    renderer = Renderer(limits)
    _warm(renderer)
    resource.setrlimit(resource.RLIMIT_AS, (limits["memory"], limits["memory"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    serve(renderer, limits["seconds"], sys.stdin.buffer, sys.stdout.buffer)
    os._exit(0)


# Uses everything that Python or Jinja imports on first use: codecs, textwrap, html, json.
_EVERYTHING = (
    "{{ '\\u00e9'|title|center(9) }}{{ a|tojson }}{{ a|urlencode }}{{ a|wordwrap(9) }}{{ '<p>&eacute;'|striptags }}"
    "{{ '%.2f'|format(1) }}{{ '{:x}'.format(1) }}{{ [{'b': 1}]|groupby('b')|list }}{{ a|truncate(3) }}{{ 1.5|round }}"
)


def _warm(renderer: Renderer) -> None:
    """Import the modules that are imported on first use, while files can still be opened."""
    schema = {"type": "object", "properties": {"a": {"format": "email"}}}
    source = {"subject": "a", "text": _EVERYTHING, "html": _EVERYTHING, "schema": schema}
    renderer.answer({"key": "", "source": source, "variables": {"a": "name@exämple.com"}})
    renderer.answer({"key": "-", "source": {**source, "text": "{{", "schema": {"type": "nothing"}}})
    renderer.answer({"key": "--", "source": {**source, "text": "{{ 1 / 0 }}"}, "variables": {}})


if __name__ == "__main__":
    main()
