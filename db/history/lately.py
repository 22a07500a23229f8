"""Counts of the last day for the metrics, of as few values as a scraper should keep. Call within `connection()`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from db.database import rows
from db.history.reported import REPORTS

HOURS = 24
MOST = 20  # values of a dimension, those with the most notifications; the rest is added up as OTHER
OTHER = "(others)"
COUNTED = ("sent", *REPORTS)
Numbers = Mapping[str, int]  # by what is counted


class Lately(NamedTuple):
    """Numbers of the last HOURS by provider, domain of the sender, and name of the client."""

    providers: Mapping[str, Numbers]
    domains: Mapping[str, Numbers]
    clients: Mapping[str, Numbers]


def lately() -> Lately:
    """Return the counts of all clients together."""
    found = rows(
        """
        SELECT dimension, value, outcome, sum(number)::bigint FROM history
        WHERE client_id = 0 AND dimension IN ('provider', 'domain', 'client') AND outcome = ANY(%s)
              AND hour > now() - %s * interval '1 hour' GROUP BY 1, 2, 3
        """,
        *(list(COUNTED), HOURS),
    )
    dimensions: dict[str, dict[str, Numbers]] = {"provider": {}, "domain": {}, "client": {}}
    for dimension, value, outcome, number in found:
        counts = dimensions[dimension].setdefault(value, {})
        dimensions[dimension][value] = {**counts, outcome: number}
    largest = {name: _largest(values) for name, values in dimensions.items()}
    return Lately(largest["provider"], largest["domain"], _named(largest["client"]))


def _largest(values: Mapping[str, Numbers]) -> dict[str, Numbers]:
    """Return the MOST largest values, and the sum of the rest."""
    named = [value for value in values if value]
    kept = sorted(named, key=lambda value: (-max(values[value].values()), value))[:MOST]
    found = {value: values[value] for value in kept}
    rest: defaultdict[str, int] = defaultdict(int)
    for value in values.keys() - found.keys():
        for outcome, number in values[value].items():
            rest[outcome] += number
    return {**found, OTHER: dict(rest)} if rest else found


def _named(clients: Mapping[str, Numbers]) -> dict[str, Numbers]:
    ids = [int(id) for id in clients if id != OTHER]
    names = dict(rows("SELECT id::text, name FROM clients WHERE id = ANY(%s)", ids))
    # A client may be named like the rest.
    return {id if (name := names.get(id, id)) == OTHER else name: numbers for id, numbers in clients.items()}
