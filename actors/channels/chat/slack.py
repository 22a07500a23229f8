"""Slack: incoming webhooks, also of services that take the same requests, such as Mattermost and Rocket.Chat."""

from __future__ import annotations

import orjson

from actors.channels import Deferred, Receipt, Refused, Throttled, Uncertain, Undelivered
from actors.channels.chat.message import HEADERS, Message
from actors.channels.destination_answers import by_status, document, taken, undelivered, words
from actors.channels.webhook.http_client import Answer, Request
from db.destinations import Address

# What the body of an answer says, with whatever status.
_ERRORS: dict[str, type[Undelivered]] = {
    **dict.fromkeys(("ratelimited", "rate_limited", "message_limit_exceeded"), Throttled),
    **dict.fromkeys(("rollup_error", "internal_error", "service_unavailable", "request_timeout"), Deferred),
    **dict.fromkeys(("invalid_payload", "invalid_blocks", "invalid_blocks_format", "invalid_attachments"), Refused),
    **dict.fromkeys(("no_text", "msg_too_long", "msg_blocks_too_long", "too_many_attachments"), Refused),
    **dict.fromkeys(("user_not_found", "channel_not_found", "channel_is_archived", "is_archived"), Refused),
    **dict.fromkeys(("action_prohibited", "posting_to_general_channel_denied", "restricted_action"), Refused),
    **dict.fromkeys(("no_service", "no_service_id", "no_active_hooks", "no_team", "team_disabled"), Refused),
    **dict.fromkeys(("invalid_token", "account_inactive", "token_revoked", "org_login_required"), Refused),
}


def request(message: Message, destination: Address) -> Request:
    """Return the request that posts a message. Its text cannot mention anybody; `data` is sent as the client gave
    it."""
    body = {**message.data, "text": escaped(message.titled("*"))}
    return Request(destination.url, HEADERS, orjson.dumps(body))


def escaped(text: str) -> str:
    """Return a text with the three characters escaped that begin links and mentions, such as <!channel>."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def judge(answer: Answer) -> Receipt:
    """Return the receipt, or raise what the answer means. An error may come with the status 200."""
    said, text = document(answer), words(answer)
    if answer.status == 200 and (text == "ok" or said.get("ok") is True or said.get("success") is True):
        return taken(answer)
    error = str(said.get("error") or text)
    known = _ERRORS.get(error)
    if known is None and answer.status == 200 and said.get("ok") is False:
        known = Refused
    raise undelivered(known or (Uncertain if answer.status < 300 else by_status(answer)), answer, text)
