"""Probe of sending domains: can their keys be used, and does DNS have them? Needs an open `connection()`."""

from __future__ import annotations

from collections.abc import Iterator

from actors.channels.email.signer import PURPOSE
from cli.doctor.findings import Finding, ok, problem, warning
from db import domain_keys, domains
from runtime.sealing import CannotOpen, Sealer
from settings import Settings

CHECK = "domains"
MOST = 10_000  # domains to look at
NAMED = 5  # domains to name


def findings(chosen: Settings) -> Iterator[Finding]:
    """Yield the findings; none if there are no domains."""
    found = domains.everywhere(0, MOST)
    if not found:
        return
    yield from _keys(chosen)
    by_state = {
        state: [one.domain.domain for one in found if one.state == state]
        for state in ("verified", "failing", "pending")
    }
    if names := by_state["failing"]:
        what = f"DNS lacks the DKIM key of {_some(names)}, so that receivers cannot verify the signatures"
        yield problem(CHECK, what, f"see what is wrong: notify domains check {names[0]}")
    if names := by_state["pending"]:
        what = f"{_some(names)} signs nothing, because DNS does not have its key"
        yield warning(CHECK, what, f"publish what `notify domains records {names[0]}` prints")
    if names := by_state["verified"]:
        yield ok(CHECK, f"mails from {_some(names)} are signed")


def _keys(chosen: Settings) -> Iterator[Finding]:
    fix = "set it as it was when the domains were added, for the API and the workers: mails wait until then"
    if not chosen.domains.secrets:
        yield problem(CHECK, "there are domains, but DOMAIN_KEYS_SECRET is not set", fix)
        return
    sealer = Sealer(chosen.domains.secrets, PURPOSE)
    closed = sum(not _opens(sealer, key) for key in domain_keys.sealed())
    if closed:
        yield problem(CHECK, f"{closed} private keys were encrypted with another DOMAIN_KEYS_SECRET", fix)


def _opens(sealer: Sealer, sealed: bytes) -> bool:
    try:
        sealer.open(sealed)
    except CannotOpen:
        return False
    return True


def _some(names: list[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
