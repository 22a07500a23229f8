"""Runner of the probes: all in parallel, with a deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping

from cli.doctor.findings import Finding, problem

Probe = Callable[[], Iterable[Finding]]


def findings(probes: Mapping[str, Probe], seconds: float) -> list[Finding]:
    """Return the findings in the order of the probes.

    A probe that is late contributes what it found so far, and a problem that says so.
    """
    found: dict[str, list[Finding]] = {name: [] for name in probes}
    # Daemon threads, because a DNS query without an answer blocks its thread for minutes.
    threads = {
        name: threading.Thread(target=_probe, args=(name, probe, found[name]), name=name, daemon=True)
        for name, probe in probes.items()
    }
    for thread in threads.values():
        thread.start()
    deadline = time.monotonic() + seconds
    for name, thread in threads.items():
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            late = problem(name, f"no answer within {seconds:g} s", "check the host name and the network")
            found[name] = [*found[name], late]
    return [finding for name in probes for finding in found[name]]


def _probe(name: str, probe: Probe, found: list[Finding]) -> None:
    try:
        found.extend(iter(probe()))
    except Exception as error:  # noqa: BLE001 - the findings of other probes must survive
        # Only the type: the message may contain a URL with a password.
        found.append(problem(name, f"could not be checked ({type(error).__name__})", "report this as a bug of notify"))
