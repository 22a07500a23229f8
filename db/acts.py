"""Audit records for each kind of act. They never hold content, secrets or addresses.

Each function takes the result of an act, for `audit.recorded`, and returns its record, or None if nothing was done.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from db.audit import Act, mark
from db.clients import Client
from db.domains import Domain, Known
from db.keys import Key, Live
from db.pauses import Pause
from db.policy import Step
from db.providers import Provider

Row = Mapping[str, Any]


def key_created(key: Key | None) -> Act | None:
    """Record a new key and what it may do."""
    if key is None:
        return None
    about = {"name": key.name, "scopes": key.scopes, "sandbox": key.sandbox}
    return Act("key.created", key.client_id, f"key {key.id}", about)


def key_revoked(key: Key | None) -> Act | None:
    """Record that a key no longer works."""
    return Act("key.revoked", key.client_id, f"key {key.id}") if key else None


def key_rotated(old: int, key: Key | None) -> Act | None:
    """Record that a key has a successor."""
    return Act("key.rotated", key.client_id, f"key {old}", {"successor": key.id}) if key else None


def session_began(client_id: int, key: int, _: None) -> Act:
    """Record a login at the dashboard."""
    return Act("session.began", client_id, f"key {key}")


def session_ended(ended: tuple[int, int] | None) -> Act | None:
    """Record a logout. `ended`: the ids of the client and the key."""
    return Act("session.ended", ended[0], f"key {ended[1]}") if ended else None


def session_refused(key: Live | None) -> Act:
    """Record a refused login, with a key that lacks the scope or with an unknown key."""
    return Act("session.refused", key and key.client.id, f"key {key.id}" if key else None)


def provider_changed(provider: Provider | None) -> Act | None:
    """Record that operators have switched a provider on or off, or changed its weight."""
    if provider is None:
        return None
    return Act("provider.changed", None, provider.name, {"enabled": provider.enabled, "weight": provider.weight})


def client_created(client: Client | None) -> Act | None:
    """Record a new client."""
    if client is None:
        return None
    about = {"name": client.name} | ({"providers": client.providers} if client.providers else {})
    return Act("client.created", client.id, f"client {client.id}", about)


def client_changed(limits: Row, disabled: bool | None, client: Client | None) -> Act | None:
    """Record changed limits of a client. Its senders are addresses, so the record only counts them."""
    if client is None:
        return None
    about = {_NAMES[name]: value for name, value in limits.items() if name in _NAMES}
    about |= {"senders": len(limits["senders"])} if "senders" in limits else {}
    about |= {} if disabled is None else {"disabled": disabled}
    return Act("client.changed", client.id, f"client {client.id}", about)


def paused(pause: Pause) -> Act:
    """Record that a pause began or ended. The pause of a channel concerns all clients."""
    client = int(pause.name) if pause.kind == "client" else None
    return Act("pause.began" if pause.since else "pause.ended", client, f"{pause.kind} {pause.name}")


def template_stored(client_id: int, put: tuple[Row, bool]) -> Act | None:
    """Record a new version of a template."""
    row, made = put
    return Act("template.stored", client_id, f"template {row['name']}", {"version": row["version"]}) if made else None


def template_deleted(client_id: int, name: str, deleted: bool) -> Act | None:
    """Record that a template was deleted with all its versions."""
    return Act("template.deleted", client_id, f"template {name}") if deleted else None


def suppression_added(client_id: int, address: str, _added: object) -> Act:
    """Record that a person suppressed an address."""
    return Act("suppression.added", client_id, mark(address))


def suppression_removed(client_id: int, address: str, removed: bool) -> Act | None:
    """Record that an address is no longer suppressed."""
    return Act("suppression.removed", client_id, mark(address)) if removed else None


def domain_added(added: tuple[Known, bool]) -> Act | None:
    """Record a new domain and its keys."""
    known, new = added
    if not new:
        return None
    selectors = [key.selector for key in known.keys]
    return Act("domain.added", known.domain.client_id, f"domain {known.domain.domain}", {"keys": selectors})


def domain_rotated(known: Known | None) -> Act | None:
    """Record that a domain has new keys, which replace the current ones once DNS has them."""
    if known is None:
        return None
    selectors = [key.selector for key in known.keys if key.state == "new"]
    return Act("domain.rotated", known.domain.client_id, f"domain {known.domain.domain}", {"keys": selectors})


def domain_removed(domain: Domain | None) -> Act | None:
    """Record that a domain was removed with its keys."""
    return Act("domain.removed", domain.client_id, f"domain {domain.domain}") if domain else None


def callback(act: str, client_id: int, fields: Iterable[str], row: Row | None) -> Act | None:
    """Record an act on a callback endpoint. Only names of fields are recorded: a URL may hold a token."""
    return Act(f"callback.{act}", client_id, f"callback {row['id']}", {"fields": sorted(fields)}) if row else None


def callback_tested(client_id: int, endpoint: int, made: int | None) -> Act | None:
    """Record that a test callback was sent to an endpoint."""
    return Act("callback.tested", client_id, f"callback {endpoint}", {"delivery": made}) if made else None


def callbacks_retried(client_id: int, endpoint: int, moved: Sequence[object]) -> Act | None:
    """Record a step of retrying all failed callbacks to an endpoint."""
    return Act("callbacks.retried", client_id, f"callback {endpoint}", {"count": len(moved)}) if moved else None


def destination(done: str, client_id: int, fields: Iterable[str], row: Row | None) -> Act | None:
    """Record that a destination was created, changed, rotated or deleted. `fields`: the fields that were set."""
    if row is None:
        return None
    about = {"kind": row["kind"], "fields": sorted(fields)}
    return Act(f"destination.{done}", client_id, f"destination {row['name']}", about)


def retried(client_id: int, filters: Collection[str], moved: Sequence[object]) -> Act | None:
    """Record a step of a retry of many notifications: the names of the filters, without their values."""
    about = {"count": len(moved), "filters": sorted(filters)}
    return Act("notifications.retried", client_id, None, about) if moved else None


def cancelled(client_id: int, ids: Sequence[int]) -> Act | None:
    """Record a step of cancelling all notifications of a client."""
    return Act("notifications.cancelled", client_id, None, {"count": len(ids)}) if ids else None


def export_begun(client_id: int, recipient: str | None, *, attachments: bool, resumed: bool) -> Act:
    """Record the start of an export, of all data or of one recipient's."""
    about = {"recipient": mark(recipient)} if recipient else {}
    return Act("export.begun", client_id, None, {**about, "attachments": attachments, "resumed": resumed}, "begun")


def block_dropped(step: Step) -> Act:
    """Record that retention dropped a block."""
    return Act("block.dropped", None, f"block {step.block}", {"rows": step.rows})


_NAMES = {
    "rate_limit": "rateLimit",
    "daily_quota": "dailyQuota",
    "pending_limit": "pendingLimit",
    "phone_region": "phoneRegion",
    "providers": "providers",
}
