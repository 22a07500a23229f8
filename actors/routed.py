"""The providers of a worker process, with their breakers and their places in the routing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from actors.breaker import Breaker
from actors.channels import Provider


class Routed(NamedTuple):
    """A provider: how to reach it, its breaker, and its place in the routing.

    `apart`: its targets fail apart from each other, as those of callbacks do, so that its breaker hears of nothing.
    `reaches`: how the recipients begin that it can reach; empty if it reaches all.
    """

    provider: Provider
    breaker: Breaker
    priority: int = 1
    weight: int = 1
    apart: bool = False
    reaches: str = ""


class Providers(NamedTuple):
    """All providers of a worker process: those of each channel, and the sandbox."""

    of_channels: Mapping[str, Sequence[Routed]]
    sandbox: Provider
