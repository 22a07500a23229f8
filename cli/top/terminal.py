"""Live view in a terminal, with curses of the standard library, so that it also works over ssh."""

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
KEYBOARD_TIMEOUT = 200  # milliseconds to wait for a key before the view is checked for an update


class Watching:
    """Thread that updates the view every `interval` seconds, so that a slow server does not block the keyboard."""

    def __init__(self, look: Callable[[], View], interval: float) -> None:
        self._look, self._interval = look, interval
        self._stopping = threading.Event()
        self.error: Exception | None = None
        self.view, self.number = View(None, {}), 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop the updates, without waiting for a server that does not answer."""
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
        except Exception as error:  # noqa: BLE001 - `run` reports it, after it has restored the terminal
            self.error = error


def capable() -> bool:
    """Return whether the terminal can move its cursor. Without that, curses.initscr() would exit the process."""
    try:
        curses.setupterm()
    except curses.error:
        return False
    return curses.tigetstr("cup") is not None


def run(watching: Watching, hint: str) -> None:
    """Show the view until q or Ctrl-C, then restore the terminal, which must be `capable`."""
    with Signals() as signals:
        watching.start()
        try:
            curses.wrapper(_show, watching, hint, lambda: signals.stops > 0)
        finally:
            watching.stop()
    if watching.error is not None:
        # Probably a migration changed the schema: a server that does not answer is shown and raises nothing.
        raise Refused(f"notify top stopped after an error ({type(watching.error).__name__}): start it again")


def _show(screen: curses.window, watching: Watching, hint: str, stopped: Callable[[], bool]) -> None:
    styles = _styles()
    screen.timeout(KEYBOARD_TIMEOUT)
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
        except curses.error:  # The window has just become smaller, and is drawn again at once.
            return
    screen.refresh()


def _styles() -> dict[str, int]:
    """Return the curses attributes of the styles, without colours where NO_COLOR is set (no-color.org)."""
    bad = curses.A_BOLD
    if curses.has_colors() and not os.environ.get("NO_COLOR"):
        curses.use_default_colors()
        curses.init_pair(1, curses.COLOR_RED, -1)
        bad |= curses.color_pair(1)
    return {PLAIN: curses.A_NORMAL, TITLE: curses.A_REVERSE, HEADING: curses.A_BOLD, BAD: bad}
