"""Add new ends to the counts of their hours, and delete old hours. Call within `connection()`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from db.database import database, rows
from db.history.dimensions import CHOSEN, OF_ALL, OF_CLIENT
from db.session import SCHEMA

# Any constant will do that no other advisory lock of a schema has.
LOCK = 7_021_972
KEPT = 31  # days
# Values of a dimension that are kept of each client and hour: those with the highest counts. At twice as many, the
# rest is added up under ''.
VALUES = 100


def _values(client: str, dimensions: dict[str, str]) -> Iterator[str]:
    for name, values in dimensions.items():
        yield f"SELECT {client} AS client_id, '{name}' AS dimension, unnest({values}) AS value"


_EACH = " UNION ALL ".join([*_values("alike.client_id", OF_CLIENT), *_values("0", OF_ALL)])
# Parameter: the most rows to take.
_FOLD = f"""
        WITH alone AS MATERIALIZED (
            SELECT pg_try_advisory_xact_lock({LOCK}, {SCHEMA}) AS mine
        ), gone AS MATERIALIZED (
            DELETE FROM history_new
            WHERE ctid = ANY(ARRAY(SELECT ctid FROM history_new WHERE (SELECT mine FROM alone) LIMIT %s))
            RETURNING *
        ), alike AS MATERIALIZED (
            SELECT client_id, type, priority, tags, template, provider, domain, outcome, class,
                   date_trunc('hour', at, 'UTC') AS hour, sum(number) AS number
            FROM gone GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
        ), added AS (
            INSERT INTO history AS h (client_id, dimension, hour, value, outcome, class, number)
            SELECT each.client_id, dimension, hour, value, outcome, class, sum(number)
            FROM alike CROSS JOIN LATERAL ({_EACH}) AS each WHERE value IS NOT NULL
            GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6
            ON CONFLICT (client_id, dimension, hour, value, outcome, class)
            DO UPDATE SET number = h.number + excluded.number
            RETURNING h.client_id, h.dimension, h.hour
        )
        SELECT client_id, dimension, hour, (SELECT count(*) FROM gone)
        FROM (SELECT DISTINCT * FROM added) AS touched
        """

# Parameters: clients, dimensions, hours, the number of values.
_CROWDED = """
        SELECT client_id, dimension, hour
        FROM unnest(%s::bigint[], %s::text[], %s::timestamptz[]) AS touched (client_id, dimension, hour)
             JOIN history USING (client_id, dimension, hour)
        GROUP BY 1, 2, 3 HAVING count(DISTINCT value) > %s
        """

# Parameters: client, dimension, hour, the number of values to keep; client, dimension, hour.
_MERGE = """
        WITH kept AS MATERIALIZED (
            SELECT value FROM history WHERE client_id = %s AND dimension = %s AND hour = %s AND value <> ''
            GROUP BY value ORDER BY sum(number) DESC, value LIMIT %s
        ), gone AS (
            DELETE FROM history
            WHERE client_id = %s AND dimension = %s AND hour = %s AND value <> ''
                  AND value NOT IN (SELECT value FROM kept)
            RETURNING *
        )
        INSERT INTO history AS h (client_id, dimension, hour, value, outcome, class, number)
        SELECT client_id, dimension, hour, '', outcome, class, sum(number) FROM gone GROUP BY 1, 2, 3, 5, 6
        ON CONFLICT (client_id, dimension, hour, value, outcome, class)
        DO UPDATE SET number = h.number + excluded.number
        """


def fold(most: int) -> int:
    """Add up to `most` rows of new ends to `history`; return how many. Return 0 while another process does it."""
    with database.atomic():
        touched = rows(_FOLD, most)
        if chosen := [(client, dimension, hour) for client, dimension, hour, _ in touched if dimension in CHOSEN]:
            _merge_crowded(chosen)
    return int(touched[0][3]) if touched else 0


def forget(most: int) -> int:
    """Delete up to `most` counts of hours that are older than KEPT days, and return how many."""
    gone = rows(
        "DELETE FROM history WHERE ctid = ANY(ARRAY("
        " SELECT ctid FROM history WHERE hour < now() - %s * interval '1 day' ORDER BY hour LIMIT %s)) RETURNING 1",
        *(KEPT, most),
    )
    return len(gone)


def _merge_crowded(touched: Sequence[tuple[int, str, datetime]]) -> None:
    """Add up all values but the VALUES largest, where a client, dimension and hour has twice as many."""
    for which in rows(_CROWDED, *map(list, zip(*touched, strict=True)), 2 * VALUES):
        rows(_MERGE, *which, VALUES, *which)
