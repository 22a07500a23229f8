"""All probes at once, each with as much time as it may take and no more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping

from cli.doctor.findings import Finding, problem

Probe = Callable[[], Iterable[Finding]]


def findings(probes: Mapping[str, Probe], seconds: float) -> list[Finding]:
    """What they find, in the order of the probes; of one that does not end in time, what it has found by then."""
    found: dict[str, list[Finding]] = {name: [] for name in probes}
    # Daemons: a name that DNS does not answer for holds its thread for minutes, and nobody waits for it.
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
            late = problem(
                name, f"no answer within {seconds:g} s", "see whether the host name and the network are right"
            )
            found[name] = [*found[name], late]
    return [finding for name in probes for finding in found[name]]


def _probe(name: str, probe: Probe, found: list[Finding]) -> None:
    try:
        found.extend(iter(probe()))
    except Exception as error:  # noqa: BLE001 - one probe that fails must not take the others' findings along
        # Its kind only: what it says may quote a URL.
        found.append(
            problem(name, f"could not be looked at ({type(error).__name__})", "report this as a fault of notify")
        )
