"""How far long work is, on stderr: a bar with time left and rate on a terminal, and nothing elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

Step = Callable[[int], None]


@contextmanager
def bar(label: str, length: int, *, more: bool = False) -> Iterator[Step]:
    """Call what it yields with how much more is done. `more`: it is longer, and nobody knows by how much."""
    begun = time.monotonic()
    done = 0

    def rate(_item: object) -> str:
        return f"{done / max(time.monotonic() - begun, 0.001):,.0f}/s"

    shown = click.progressbar(
        length=length,
        label=label,
        show_eta=not more,
        show_percent=not more,
        show_pos=True,
        item_show_func=rate,
        file=sys.stderr,
        # Where it is no terminal, it would be noise in a log; of nothing to do it would show 0%.
        hidden=not sys.stderr.isatty() or not length,
    )
    with shown as drawn:

        def step(number: int) -> None:
            nonlocal done
            done += number
            if done > (drawn.length or 0):
                drawn.length = done
            # It draws again only when its percentage has changed, but the rate and the time left do change.
            drawn.update(number)
            drawn.render_progress()

        drawn.render_progress()
        yield step
