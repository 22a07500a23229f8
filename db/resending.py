"""Make the draft of a new notification with the content of an earlier one. Call within `connection()`."""

from __future__ import annotations

from db.attachments import stored
from db.client_view import VIEW
from db.database import rows
from db.idempotency import AS_DRAFTED
from db.records import Draft


def draft_of(id: int, client: int, *, only_sandbox: bool = False) -> Draft | None:
    """Return a notification as a draft, with its attachments and without its times; None if it is unknown or erased.

    `contents` lacks the attachments that `mail` lists but whose content was deleted.
    """
    found = rows(
        f"SELECT {AS_DRAFTED} FROM {VIEW} AS n"
        " WHERE n.id = %s AND n.client_id = %s AND (n.sandbox OR NOT %s)"
        " AND n.erased_at IS NULL",
        *(id, client, only_sandbox),
    )
    return Draft(*found[0])._replace(send_at=None, expires_at=None, contents=stored(id)) if found else None
