"""The live view: curses of the standard library, so that it works wherever a terminal does, also over ssh."""

from __future__ import annotations

import curses
import os
import threading
from collections.abc import Callable

from cli.terminal.failure import Refused
from cli.terminal.signals import Signals
from cli.top.sample import View
from cli.top.screen import BAD, HEADING, PLAIN, TITLE, Line, lines

QUITTING = {ord("q"), ord("Q"), 27}  # 27 is Escape
LOOKED_EVERY = 200  # milliseconds between two looks at the keyboard


class Watching:
    """Looks again every `interval` seconds, in a thread: the keyboard is answered while a server is not."""

    def __init__(self, look: Callable[[], View], interval: float) -> None:
        self._look, self._interval = look, interval
        self._stopping = threading.Event()
        self.error: Exception | None = None
        self.view, self.number = View(None, {}), 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Without waiting for a server that does not answer."""
        self._stopping.set()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self.view = self._look()
                self.number += 1
                self._stopping.wait(self._interval)
        except Exception as error:  # noqa: BLE001 - told by `run`, once the terminal is as it was
            self.error = error


def capable() -> bool:
    """Whether the terminal can move its cursor; asked first, because curses ends the process where it cannot."""
    try:
        curses.setupterm()
    except curses.error:
        return False
    return curses.tigetstr("cup") is not None


def run(watching: Watching, hint: str) -> None:
    """Until q or Ctrl-C; the terminal is as it was afterwards. For one that is `capable`."""
    with Signals() as signals:
        watching.start()
        try:
            curses.wrapper(_show, watching, hint, lambda: signals.stops > 0)
        finally:
            watching.stop()
    if watching.error is not None:
        # Not a server that is away: that is shown. The schema has changed under us, most likely.
        raise Refused(f"notify top could not go on ({type(watching.error).__name__}): start it again")


def _show(screen: curses.window, watching: Watching, hint: str, stopped: Callable[[], bool]) -> None:
    styles = _styles()
    screen.timeout(LOOKED_EVERY)
    drawn = -1
    while not stopped() and watching.alive:
        if drawn != watching.number:
            drawn = watching.number
            _draw(screen, lines(watching.view, hint), styles)
        key = screen.getch()
        if key in QUITTING:
            return
        if key == curses.KEY_RESIZE:
            curses.update_lines_cols()
            drawn = -1


def _draw(screen: curses.window, shown: list[Line], styles: dict[str, int]) -> None:
    height, width = screen.getmaxyx()
    screen.erase()
    for place, line in enumerate(shown[:height]):
        try:
            screen.addnstr(place, 0, line.text, width - 1, styles[line.style])
        except curses.error:  # The window got smaller just now; it is drawn again at once.
            return
    screen.refresh()


def _styles() -> dict[str, int]:
    """Without colours where the terminal has none, or nobody wants them (no-color.org)."""
    bad = curses.A_BOLD
    if curses.has_colors() and not os.environ.get("NO_COLOR"):
        curses.use_default_colors()
        curses.init_pair(1, curses.COLOR_RED, -1)
        bad |= curses.color_pair(1)
    return {PLAIN: curses.A_NORMAL, TITLE: curses.A_REVERSE, HEADING: curses.A_BOLD, BAD: bad}
