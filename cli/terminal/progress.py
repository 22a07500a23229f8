"""Progress bar on stderr, with rate and time left. Nothing is printed where stderr is no terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

Step = Callable[[int], None]


@contextmanager
def bar(label: str, length: int, *, more: bool = False) -> Iterator[Step]:
    """Show a progress bar and yield a function to call with the number of items that were done since the last call.

    `more`: there are more than `length` items, and their number is unknown.
    """
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
        # It would be noise in a log, and with nothing to do it would show 0%.
        hidden=not sys.stderr.isatty() or not length,
    )
    with shown as drawn:

        def step(number: int) -> None:
            nonlocal done
            done += number
            if done > (drawn.length or 0):
                drawn.length = done
            # update() draws only when the percentage changes, but the rate and the time left change more often.
            drawn.update(number)
            drawn.render_progress()

        drawn.render_progress()
        yield step
