"""Probe of the clients that may use only some providers. Needs an open `connection()`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cli.doctor.findings import Finding, problem
from db import provider_access, providers
from db.live_stats import Worker


def findings(workers: Iterable[Worker]) -> Iterator[Finding]:
    """Yield a finding for each client and channel without a provider that live workers have and that is enabled."""
    told = [worker.provider for worker in workers if worker.alive]
    if not told or None in told:  # None is alive, or one is of a version that does not tell.
        return
    disabled = {one.name for one in providers.reported() if not one.enabled}
    usable = {name for names in told for name in (names or "").split(", ")} - disabled
    for client in provider_access.listed():
        for channel, names in client.providers.items():
            if not usable & set(names):
                only = f"the client {client.name} may use only {', '.join(names)} for {channel}"
                what = f"{only}, and no live worker has an enabled provider of this name: its notifications wait"
                fix = (
                    f"name others with `notify clients update '{client.name}' --provider NAME`, or use --all-providers"
                )
                yield problem("clients", what, fix)
