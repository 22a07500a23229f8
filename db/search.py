"""Search the list of a client by what a person typed. Call within `connection()`.

A search becomes one or more sets of filters for `reports.newest`, each with an index of its own, and their pages are
merged. Words of a subject are found by db/subjects. The cost does not grow with the tables. Parts of words, and domains
and templates of notifications that are not final, have no index: each page looks for them among the next
`reports.LOOKED_AT`. So it does for a tag or metadata of more than RARE notifications, which cannot be sorted at each
page.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from db import reports, subjects
from db.client_view import VIEW
from db.database import IN_ORDER, rows
from db.reports import Page, Position

ADDRESSES = 30  # recipients with a common beginning
SAMPLED = 1_000  # about so many entries of the index of tags are looked at to find out if a word is a tag
RARE = (
    2_000  # notifications with a tag, an entry of metadata or a copy to an address that are found by index and sorted
)
STEP = 21  # recipients that are read at a time

Filters = Mapping[str, Any]


class Search(NamedTuple):
    """A search: its `kind`, and the `value` it looks for; of metadata also the `key`.

    Kinds: recipient (a whole address, or how one begins; `key` is its normalised form), domain, tag, metadata,
    template, reason, subject (whole words), part (of a subject), and word, for which `understood` finds out what it is.
    """

    kind: str
    value: str
    key: str = ""


class Understood(NamedTuple):
    """A search with its filters for `reports.newest`: a notification matches if it matches one set of them.

    A search for the words of a subject has no filters but `words`.
    `beginning`: the value is only how a recipient begins. `cut`: more than ADDRESSES recipients begin so.
    """

    search: Search
    filters: Sequence[Filters]
    beginning: bool = False
    cut: bool = False
    words: frozenset[str] = frozenset()


def understood(client: int, search: Search) -> Understood:
    """Return the filters for a search among the notifications of a client."""
    if search.kind == "word":
        search = search._replace(kind=_kind_of(client, search.value))
    if search.kind == "recipient":
        return _to(client, search)
    if search.kind == "subject":
        if words := subjects.words(search.value):
            return Understood(search, (), words=words)
        search = search._replace(kind="part")  # it has neither letters nor digits
    return Understood(search, _FILTERS[search.kind](search))


def page(client: int, wanted: Understood, filters: Filters, after: Position | None, limit: int) -> Page:
    """Return up to `limit` matches that also match all `filters` of `reports.newest`, newest first."""
    if wanted.words:
        return subjects.page(client, wanted.words, filters, after, limit)
    pages = [
        reports.newest(client, _both(one, filters), after, limit) for one in wanted.filters if _agree(one, filters)
    ]
    return reports.merged(pages, limit)


def _agree(one: Filters, other: Filters) -> bool:
    return all(one[name] == other[name] for name in one.keys() & other.keys() - {"tags"})


def _both(one: Filters, other: Filters) -> Filters:
    tags = [*one.get("tags", ()), *other.get("tags", ())]
    return {**one, **other, **({"tags": tags} if tags else {})}


def _kind_of(client: int, word: str) -> str:
    """Return what a word probably is: the name of a template, a tag, the beginning of a recipient, or a subject's.

    A tag may be missed if many notifications of other clients have it.
    """
    [(template, tag)] = rows(_KIND_OF, client, word, word, client)
    if template:
        return "template"
    return "tag" if tag else "recipient" if _beginning_with(client, word, 1) else "subject"


def _to(client: int, search: Search) -> Understood:
    address = search.key
    exact: list[Filters] = [{"written": address}]
    if _is_rare("mailboxes", [address]):
        exact.append({"mailbox": address})
    if "@" in address and any(reports.newest(client, one, None, 1).rows for one in exact):
        return Understood(search, exact)
    found = _beginning_with(client, search.value, ADDRESSES + 1)
    return Understood(search, [{"written": one} for one in found[:ADDRESSES]], True, len(found) > ADDRESSES)


def _beginning_with(client: int, prefix: str, most: int) -> list[str]:
    """Return up to `most` recipients that begin with a prefix: as it is, in lower case, capitalised, or in upper case.

    If the database sorts by a language, upper and lower case are neighbours, and other recipients may be among them.
    """
    found: dict[str, None] = {}
    for written in dict.fromkeys((prefix.lower(), prefix, prefix.capitalize(), prefix.upper())):
        at = written
        while len(found) < most:
            read = [one for (one,) in rows(_RECIPIENTS, client, at, client, STEP)]
            fit = [one for one in read if one.lower().startswith(prefix.lower())]
            found.update(dict.fromkeys(fit))
            if len(fit) < 2 or len(read) < STEP:  # one of them ended the step before
                break
            at = read[-1]
    return list(found)[:most]


def _final_first(name: str, value: str) -> list[Filters]:
    """Return the filters for a column whose index has final notifications only, because each update costs."""
    return [{name: value}, *({"status": status, f"{name}_among": value} for status in ("pending", "processing"))]


def _holding(column: str, value: object) -> list[Filters]:
    return [{column if _is_rare(column, value) else f"{column}_among": value}]


def _is_rare(column: str, value: object) -> bool:
    """Return whether fewer than RARE notifications of all clients hold this in a column of JSON."""
    [(found,)] = rows(
        f"SET LOCAL gin_fuzzy_search_limit = {2 * RARE}; SET LOCAL enable_seqscan = off; SET LOCAL jit = off;"
        f" SELECT count(*) FROM (SELECT FROM {VIEW} AS n WHERE {column} @> %s::jsonb LIMIT {RARE}) AS n",
        json.dumps(value),
    )
    return bool(found < RARE)


_FILTERS: Mapping[str, Callable[[Search], list[Filters]]] = {
    "domain": lambda search: _final_first("domain", search.value),
    "tag": lambda search: _holding("tags", [search.value]),
    "metadata": lambda search: _holding("metadata", {search.key: search.value}),
    "template": lambda search: _final_first("template", search.value),
    "reason": lambda search: [{"failure_reason": search.value, "status": "failed"}],
    "part": lambda search: [{"words": search.value.lower().split()}],
}

# The next recipients in the order of the index; each step is one look into it, however many rows a recipient has.
_RECIPIENTS = f"""{IN_ORDER} SET LOCAL enable_seqscan = off;
WITH RECURSIVE found AS (
    (SELECT recipient FROM {VIEW} AS n WHERE client_id = %s AND recipient >= %s ORDER BY recipient LIMIT 1)
    UNION ALL
    SELECT (SELECT n.recipient FROM {VIEW} AS n
            WHERE n.client_id = %s AND n.recipient > found.recipient ORDER BY n.recipient LIMIT 1)
    FROM found WHERE found.recipient IS NOT NULL
) SELECT recipient FROM found WHERE recipient IS NOT NULL LIMIT %s
"""
# gin_fuzzy_search_limit bounds what is read of a tag that very many notifications have.
_KIND_OF = f"""SET LOCAL gin_fuzzy_search_limit = {SAMPLED}; SET LOCAL enable_seqscan = off; SET LOCAL jit = off;
SELECT EXISTS (SELECT FROM template_names WHERE client_id = %s AND name = %s),
       EXISTS (WITH tagged AS MATERIALIZED (
                   SELECT client_id FROM {VIEW} AS n WHERE tags @> jsonb_build_array(%s::text))
               SELECT FROM tagged WHERE client_id = %s)
"""
