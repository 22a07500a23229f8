"""The table's rows: what each is called, how large it is, and what it promises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.fault_scene import Scene

Act = Callable[[Scene], None]


@dataclass(frozen=True, slots=True)
class Row:
    """`act` starts the workers, does the fault and says when it is over. `doubled` and `failed`: so many may be."""

    name: str
    fault: str
    act: Act
    size: int
    scripted: bool
    doubled: int
    failed: int
    settings: dict[str, object] = field(default_factory=dict)


ROWS: list[Row] = []


def row(
    name: str, fault: str, *, size: int = 2_000, scripted: bool = False, doubled: int = 0, failed: int = 0,
    **settings: object,
) -> Callable[[Act], Act]:  # fmt: skip
    """Put a function into the table."""

    def add(act: Act) -> Act:
        ROWS.append(Row(name, fault, act, size, scripted, doubled, failed, settings))
        return act

    return add
