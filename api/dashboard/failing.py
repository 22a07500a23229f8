"""Serve /failures, the newest failures in groups, and /failures/retry, which retries a group."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import urlencode

from falcon.asgi import Request, Response

from api.access.auth import Caller, require
from api.dashboard import filters
from api.dashboard.page import done, show
from api.http import pagination
from api.http.problems import Problem
from api.http.times import exact
from api.resources import control
from api.store import NotificationStore
from db import failures
from db.failures import Group
from db.reports import Position

GROUPED = 2_000  # the newest failures, of which the page shows the groups
GROUPS = 100  # the most on the page
TIME_LIMIT = 5.0  # seconds that one POST spends on retries before it asks again
_LAST = ("outcome", "provider", "phase", "code")  # fields of the last attempt
_LONGEST = 500  # characters
_MOMENT = timedelta(microseconds=1)
_SANDBOX = ("", "true", "false")
_FILTERS = ("createdFrom", "createdTo", "sandbox")


class Kind(NamedTuple):
    """A group of failures: its reason, its last attempt (see failures.matching), and the times that bound it.

    `sandbox`: "true" or "false" if the group has only sandbox notifications, or none; otherwise "".
    """

    reason: str
    last: tuple[str | None, ...]
    oldest: datetime
    newest: datetime
    sandbox: str = ""

    @classmethod
    def of(cls, group: Group, sandbox: str) -> Kind:
        code = None if group.reply_code is None else str(group.reply_code)
        last = (group.outcome, group.provider, group.phase, code)
        return cls(group.failure_reason, last, group.oldest, group.newest, sandbox)

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Kind:
        """Return the group that a query or form names; raise Problem if a field is missing or malformed."""
        try:
            texts = {name: str(given.get(name) or "")[:_LONGEST] for name in ("reason", *_LAST)}
            last = tuple(texts[name] or None for name in _LAST)
            sandbox = given.get("sandbox") or ""
            if sandbox not in _SANDBOX:
                raise pagination.Wrong
            times = pagination.time(given["oldest"]), pagination.time(given["newest"])
            return cls(texts["reason"], last, *times, sandbox)
        except (KeyError, TypeError, pagination.Wrong):
            raise Problem(
                HTTPStatus.BAD_REQUEST, "This address is incomplete. Start from the list of failures."
            ) from None

    @property
    def query(self) -> str:
        return urlencode(self.fields)

    @property
    def fields(self) -> dict[str, str]:
        """Return the fields that `read` parses."""
        named = dict(zip(_LAST, (value or "" for value in self.last), strict=True))
        times = {"oldest": exact(self.oldest), "newest": exact(self.newest)}
        return {"reason": self.reason, **named, **times, **({"sandbox": self.sandbox} if self.sandbox else {})}

    @property
    def listed(self) -> str:
        """Return the query of the list of failures with this reason in these times."""
        # To whole seconds, as the fields of the list have them.
        until = self.newest.replace(microsecond=0) + timedelta(seconds=1)
        times = {"createdFrom": exact(self.oldest.replace(microsecond=0)), "createdTo": exact(until)}
        return urlencode({"q": f"reason:{self.reason}", **times, **({"sandbox": self.sandbox} if self.sandbox else {})})

    def filters(self, caller: Caller) -> dict[str, Any]:
        """Return the filters for failures.matching. The times bound them to the failures that were grouped."""
        bounds = {"created_from": self.oldest, "created_to": self.newest + _MOMENT}
        tests = {"sandbox": caller.sandbox or self.sandbox == "true"} if caller.sandbox or self.sandbox else {}
        return {"failure_reason": self.reason, "last_attempt": list(self.last), **bounds, **tests}


class Found(NamedTuple):
    """Groups of the `among` newest failures that match the filters; with `faults`, errors of the filters, none."""

    among: int
    groups: Sequence[Group] = ()
    faults: Sequence[object] = ()


class Failures:
    """GET: the groups of failures."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response) -> None:
        caller, among = require(req, "read"), GROUPED
        given = filters.given(req.params)
        try:
            chosen = pagination.filters(given, _FILTERS)
        except Problem as problem:
            resp.status = problem.status.value
            _show(req, resp, given, Found(among, faults=problem.errors))
            return
        if caller.sandbox:
            chosen["sandbox"] = True
        groups = await self._store.read(failures.grouped, caller.client_id, among, GROUPS, chosen)
        _show(req, resp, given, Found(among, groups))

    on_head = on_get


def _show(req: Request, resp: Response, given: Mapping[str, Any], found: Found) -> None:
    show(
        req,
        resp,
        "failures.html",
        groups=[(group, Kind.of(group, given.get("sandbox", ""))) for group in found.groups],
        faults=found.faults,
        filled={name: filters.shown(given.get(name, "")) for name in _FILTERS},
        filtered=any(name in given for name in _FILTERS),
        spans=[(name, f"/failures?{urlencode(filters.since(given, seconds))}") for name, seconds in filters.SPANS],
        looked=sum(group.number for group in found.groups),
        among=found.among,
        most=GROUPS,
    )


class RetryKind:
    """GET: count the failures and ask for confirmation. POST: retry them in steps, for up to TIME_LIMIT seconds."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store

    async def on_get(self, req: Request, resp: Response) -> None:
        caller, kind = require(req, "manage"), Kind.read(req.params)
        found = await control.matching(self._store, caller.client_id, kind.filters(caller))
        show(req, resp, "retry_kind.html", kind=kind, matched=found["matched"], more=found["more"], retried=None)

    on_head = on_get

    async def on_post(self, req: Request, resp: Response) -> None:
        caller, kind = require(req, "manage"), Kind.read(req.context.form)
        limit, until = self._store.settings.store.retry_limit, time.monotonic() + TIME_LIMIT
        retried, after = 0, None
        while moved := await self._step(req, kind, caller, after, limit):
            retried, after = retried + len(moved), moved[-1]
            if len(moved) < limit:
                break
            if time.monotonic() > until:
                found = await control.matching(self._store, caller.client_id, kind.filters(caller))
                left = {"matched": found["matched"], "more": found["more"]}
                show(req, resp, "retry_kind.html", kind=kind, retried=retried, **left)
                return
        done(req, resp, "/failures", "retried-many", retried)

    async def _step(
        self, req: Request, kind: Kind, caller: Caller, after: Position | None, limit: int
    ) -> list[Position]:
        return await control.retry_all(self._store, req, kind.filters(caller), after, limit)
