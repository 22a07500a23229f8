"""Rows of the table of faults: name, size, and the promise that must hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.fault_scene import Scene

Act = Callable[[Scene], None]


@dataclass(frozen=True, slots=True)
class Row:
    """Row of the table.

    `act`: starts the workers, causes the fault and reports its end. `doubled`, `failed`: the largest allowed numbers.
    `channel`: what is sent; empty for mails. `large`: it takes minutes, and runs only if it is asked for.
    """

    name: str
    fault: str
    act: Act
    size: int
    scripted: bool
    doubled: int
    failed: int
    settings: dict[str, object] = field(default_factory=dict)
    channel: str = ""
    large: bool = False


ROWS: list[Row] = []


def row(
    name: str, fault: str, *, size: int = 2_000, scripted: bool = False, doubled: int = 0, failed: int = 0,
    **settings: object,
) -> Callable[[Act], Act]:  # fmt: skip
    """Decorate a function that causes a fault, and add it to the table."""

    def add(act: Act) -> Act:
        ROWS.append(Row(name, fault, act, size, scripted, doubled, failed, settings))
        return act

    return add
