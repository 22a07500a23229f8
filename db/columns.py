"""Values as columns of a statement."""

from __future__ import annotations

from collections.abc import Sequence

Column = tuple[str, str]  # name and type


def once(columns: Sequence[Column]) -> list[str]:
    """For SELECT: of each column one value for all rows. Its parameter is the value."""
    return [f"%s::{type} AS {name}" for name, type in columns]


def unnested(columns: Sequence[Column], place: str = "") -> str:
    """For FROM, as `v`: of each column a value for each row, and beside them its `place` from 1 on.

    Its parameters are arrays.
    """
    arrays = ", ".join(f"%s::{type}[]" for _, type in columns)
    names = ", ".join([*(name for name, _ in columns), *filter(None, [place])])
    return f"unnest({arrays}){' WITH ORDINALITY' if place else ''} AS v ({names})"
