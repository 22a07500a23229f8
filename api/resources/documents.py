"""Stored rows as JSON, for the API, for exports and for the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors.channels.email.domains.records import Envelope, Wanted, wanted
from api.http.answers import shown
from db.domains import Known
from db.templates import Content

Row = Mapping[str, Any]


def suppression(row: Row) -> dict[str, Any]:
    """Return an entry of the suppression list."""
    return {
        **{name: row[name] for name in ("address", "reason", "source")},
        "createdAt": row["created_at"],
        "expiresAt": row["expires_at"],
    }


def domain(known: Known, envelope: Envelope) -> dict[str, Any]:
    """Return a domain with its keys, and the records that it needs with what the last check said of each."""
    name, found = known.domain.domain, known.domain.found
    return {
        "domain": name,
        "state": known.state,
        "createdAt": known.domain.created_at,
        "checkedAt": known.domain.checked_at,
        "records": [_record(one, found.get(one.place, {})) for one in wanted(name, known.keys, envelope)],
        "keys": [
            {"selector": key.selector, "algorithm": key.algorithm, "state": key.state}
            | shown({"created_at": key.created_at, "signs_from": key.signs_from, "signs_until": key.signs_until})
            for key in known.keys
        ],
    }


def _record(record: Wanted, found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "purpose": record.purpose,
        "type": record.type,
        "name": record.name,
        "value": record.value,
        "required": record.required,
        "state": found.get("state", "unknown"),
        "detail": found.get("detail", "it was not checked yet"),
        "found": found.get("found", []),
    }


def template(row: Row) -> dict[str, Any]:
    """Return a version of a template."""
    return {**{name: row[name] for name in ("name", "version", *Content._fields)}, "createdAt": row["created_at"]}


def endpoint(row: Row) -> dict[str, Any]:
    """Return a callback endpoint, without its secret."""
    return {**shown(row), "disabled": row["disabled_at"] is not None}


def destination(row: Row) -> dict[str, Any]:
    """Return a destination, without its URL, token and secret."""
    return shown(row)


def erasure(row: Row) -> dict[str, Any]:
    """Return an erasure with its progress."""
    status = "done" if row["done_at"] else "erasing" if row["stopped_at"] else "stopping"
    fields = shown({name: value for name, value in row.items() if name != "client_id"})
    return {"id": fields.pop("id"), "status": status, **fields}


def act(row: Row) -> dict[str, Any]:
    """Return a record of the audit log."""
    return shown(row)
