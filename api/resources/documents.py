"""Stored rows as JSON, for the API, for exports and for the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.http.answers import shown
from db.templates import Content

Row = Mapping[str, Any]


def suppression(row: Row) -> dict[str, Any]:
    """Return an entry of the suppression list."""
    return {
        **{name: row[name] for name in ("address", "reason", "source")},
        "createdAt": row["created_at"],
        "expiresAt": row["expires_at"],
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
