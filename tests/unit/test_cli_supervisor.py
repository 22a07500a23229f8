"""The order of starts and stops, and the restart of services that died, with scripted services."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from types import SimpleNamespace

import pytest

from cli.servers import StartError
from cli.terminal.signals import Interrupted, Signals
from cli.up.supervisor import Supervisor
from tests.eventually import eventually, outlast


class Told:
    """A service that writes down what is done to it."""

    def __init__(self, name: str, diary: list[str], *, refusals: int = 0) -> None:
        self.name = name
        self.pid = 0
        self.alive = False
        self.starts: list[float] = []
        self._diary = diary
        self._refusals = refusals

    def start(self) -> None:
        self.starts.append(time.monotonic())
        if len(self.starts) > 1 and self._refusals:
            self._refusals -= 1
            raise StartError("not now")
        self._diary.append(f"start {self.name}")
        self.alive = True
        if len(self.starts) > 1:
            os.kill(os.getpid(), signal.SIGTERM)

    def ask(self) -> None:
        self._diary.append(f"ask {self.name}")

    def stop(self) -> str:
        self._diary.append(f"stop {self.name}")
        self.alive = False
        return "done"

    def reap(self) -> str:
        self.alive = False
        return "done"


def test_tiers_stop_in_reverse_order_and_all_services_of_a_tier_at_once() -> None:
    diary: list[str] = []
    everything = Supervisor(Signals())
    everything.start(Told("database", diary))
    everything.start(Told("api", diary), Told("worker", diary))
    diary.clear()

    everything.stop()

    assert diary == ["ask api", "ask worker", "stop api", "stop worker", "ask database", "stop database"]


def test_a_service_that_failed_to_start_is_left_out_of_the_stop() -> None:
    diary: list[str] = []
    everything = Supervisor(Signals())
    everything.start(Told("database", diary))

    broken = Told("api", diary, refusals=1)
    broken.starts.append(0.0)
    with pytest.raises(StartError):
        everything.start(broken)
    everything.stop()

    assert diary == ["start database", "ask database", "stop database"]


def test_a_service_that_dies_is_restarted_with_growing_delays() -> None:
    service = Told("worker", [], refusals=2)
    with Signals() as signals:
        everything = Supervisor(signals, first_delay=0.02)
        everything.start(service)
        service.alive = False

        everything.watch()

    pauses = [later - earlier for earlier, later in pairwise(service.starts)]
    assert service.alive
    assert len(pauses) == 3
    assert all(pause >= 0.02 * 2**n for n, pause in enumerate(pauses))


def test_a_signal_ends_the_watch_at_once() -> None:
    with Signals() as signals:
        _after(0.05, signal.SIGINT)
        Supervisor(signals).watch()  # without an end of its own


def test_a_signal_that_the_kernel_gives_to_another_thread_ends_a_wait() -> None:
    def take_a_signal() -> None:
        outlast(0.05)  # By now the main thread waits, most likely; if it does not, the test proves nothing.
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        eventually(lambda: signals.stops == 1, within=5)

    with Signals() as signals, ThreadPoolExecutor() as other_threads:
        heard = other_threads.submit(take_a_signal)
        signals.wait(10)
        heard.result()


def test_a_stop_signal_interrupts_one_wait_of_the_start_and_no_wait_of_the_stop() -> None:
    with Signals() as signals:
        os.kill(os.getpid(), signal.SIGTERM)

        with pytest.raises(Interrupted):
            signals.pause(5)
        signals.pause(0.01)


@pytest.mark.parametrize("again", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("seconds_later", "hurried"), [(0.0, False), (1.9, False), (2.1, True)])
def test_a_second_stop_signal_hurries_the_stop_only_well_after_the_first(
    monkeypatch: pytest.MonkeyPatch, again: int, seconds_later: float, hurried: bool
) -> None:
    clock = SimpleNamespace(monotonic=lambda: 100.0)
    monkeypatch.setattr("cli.terminal.signals.time", clock)
    with Signals() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        clock.monotonic = lambda: 100.0 + seconds_later
        os.kill(os.getpid(), again)

        assert signals.hurried is hurried


def test_previous_signal_handlers_are_restored() -> None:
    before = signal.getsignal(signal.SIGTERM)

    with Signals():
        assert signal.getsignal(signal.SIGTERM) != before

    assert signal.getsignal(signal.SIGTERM) == before


def _after(seconds: float, number: signal.Signals) -> None:
    threading.Timer(seconds, os.kill, (os.getpid(), number)).start()
