"""Pass values to a statement as columns."""

from __future__ import annotations

from collections.abc import Sequence

Column = tuple[str, str]  # name and type


def once(columns: Sequence[Column]) -> list[str]:
    """Return SQL for SELECT: columns with one value for all rows. Parameters: the values."""
    return [f"%s::{type} AS {name}" for name, type in columns]


def unnested(columns: Sequence[Column], place: str = "") -> str:
    """Return SQL for FROM: the table `v` of columns with a value for each row. Parameters: an array for each column.

    `place` names an additional column that numbers the rows from 1 on.
    """
    arrays = ", ".join(f"%s::{type}[]" for _, type in columns)
    names = ", ".join([*(name for name, _ in columns), *filter(None, [place])])
    return f"unnest({arrays}){' WITH ORDINALITY' if place else ''} AS v ({names})"
