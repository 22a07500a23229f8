"""Compare what DNS has with what a domain needs: found, missing, or wrong with the difference."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from actors.channels.email.domains.records import Wanted

MOST_SHOWN, LONGEST_SHOWN = 5, 500  # records, and characters of each
_TAG = re.compile(r"\s*([A-Za-z][A-Za-z0-9_]*)\s*=(.*)", re.DOTALL)
_POLICIES = {"none", "quarantine", "reject"}


class Comparison(NamedTuple):
    """State of a record: found, missing, wrong, or unknown if DNS gave no answer. `found`: the values that DNS has."""

    state: str
    detail: str = ""
    found: Sequence[str] = ()


def compared(record: Wanted, values: Sequence[str] | None) -> Comparison:
    """Compare a record with what DNS has. `values`: all values of its type at its name, None if DNS gave no answer."""
    if values is None:
        return Comparison("unknown", "DNS gave no answer: check again later")
    state, detail, found = _COMPARE[record.purpose](record, values)
    return Comparison(state, detail, [printable(value) for value in found[:MOST_SHOWN]])


def printable(value: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in value[:LONGEST_SHOWN])


def _dkim(record: Wanted, values: Sequence[str]) -> Comparison:
    if not values:
        return Comparison("missing", "there is no TXT record at this name")
    if len(values) > 1:
        return Comparison("wrong", f"there are {len(values)} TXT records at this name: leave only ours", values)
    have, want = tags(values[0]), tags(record.value)
    for difference in (_key_differs, _version_differs, _is_limited):
        if detail := difference(have, want):
            return Comparison("wrong", detail, values)
    return Comparison("found", "", values)


def _key_differs(have: Mapping[str, str], want: Mapping[str, str]) -> str:
    if (there := have.get("p")) is None:
        return "it has no p=: publish the whole value"
    if not there:
        return "its p= is empty, which means that the key is revoked"
    if there == want["p"]:
        return ""
    if want["p"].startswith(there):
        return (
            f"its p= ends after {len(there)} of {len(want['p'])} characters: publish the whole value, if necessary as "
            "several strings of one record"
        )
    place = next((n for n, (a, b) in enumerate(zip(there, want["p"], strict=False)) if a != b), len(want["p"]))
    has, wants = (value[place : place + 12] for value in (there, want["p"]))
    return f"its p= differs from character {place + 1} on: it has {has}, not {wants}"


def _version_differs(have: Mapping[str, str], want: Mapping[str, str]) -> str:
    if have.get("v", "DKIM1") != "DKIM1":
        return f"its v= is {have['v']}, not DKIM1"
    if (kind := have.get("k", "rsa")) != want["k"]:
        return f"its k= is {kind}, not {want['k']}"
    return ""


def _is_limited(have: Mapping[str, str], want: Mapping[str, str]) -> str:
    if "sha256" not in have.get("h", "sha256").split(":"):
        return "its h= does not allow sha256: remove h="
    if not {"*", "email"} & set(have.get("s", "*").split(":")):
        return "its s= does not allow email: remove s="
    if "y" in have.get("t", "").split(":"):
        return "its t=y says that the domain is only testing: remove t=y"
    return ""


def _spf(record: Wanted, values: Sequence[str]) -> Comparison:
    found = [value for value in values if value.lower().split(" ")[0] == "v=spf1"]
    if not found:
        return Comparison("missing", "the domain has no SPF record")
    if len(found) > 1:
        return Comparison("wrong", "there are several SPF records, and then none counts: merge them", found)
    include = record.value.split(" ")[1]
    if include.lower() not in [term.lstrip("+") for term in found[0].lower().split()]:
        return Comparison("wrong", f"it lacks {include}: add that before its last term", found)
    return Comparison("found", "", found)


def _return_path(_record: Wanted, values: Sequence[str]) -> Comparison:
    if not values:
        detail = "it has no MX record, so that bounces and replies may reach nobody: publish one of your mail server"
        return Comparison("missing", detail)
    if all(value.endswith(" .") for value in values):
        return Comparison("wrong", "its MX record says that it takes no mail (RFC 7505), so bounces are lost", values)
    return Comparison("found", "", values)


def _dmarc(_record: Wanted, values: Sequence[str]) -> Comparison:
    found = [value for value in values if value.replace(" ", "").upper().startswith("V=DMARC1")]
    if not found:
        return Comparison("missing", "neither the domain nor one above it has a DMARC record")
    if len(found) > 1:
        return Comparison("wrong", "there are several DMARC records, and then none counts: leave one", found)
    if tags(found[0]).get("p", "").lower() not in _POLICIES:
        return Comparison("wrong", "its p= is none of none, quarantine and reject", found)
    return Comparison("found", "", found)


_COMPARE: dict[str, Callable[[Wanted, Sequence[str]], Comparison]] = {
    "dkim": _dkim,
    "spf": _spf,
    "return-path": _return_path,
    "dmarc": _dmarc,
}


def tags(value: str) -> dict[str, str]:
    """Return the tags of a tag list (RFC 6376, section 3.2), without white space in their values."""
    parts = (_TAG.fullmatch(part) for part in value.split(";"))
    return {part[1]: "".join(part[2].split()) for part in parts if part}
