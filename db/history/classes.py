"""The classes into which the times to delivery are sorted, and their percentiles."""

from __future__ import annotations

from collections.abc import Mapping

# Upper bounds in seconds. The function `delivery_class` of migration 0029 has the same; the last class has no bound
# there, and a time in it is given as LONGEST.
BOUNDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600, 21_600, 86_400, 604_800)
LONGEST = 2_678_400.0  # 31 days


def percentile(numbers: Mapping[int, int], share: float) -> float | None:
    """Return the bound in seconds below which this share of the times lies; None if there are none.

    `numbers` has how many times are in each class.
    """
    wanted, seen = share * sum(numbers.values()), 0
    for place, bound in enumerate((*BOUNDS, LONGEST)):
        seen += numbers.get(place, 0)
        if seen and seen >= wanted:
            return float(bound)
    return None
