"""Comments on the columns whose names do not explain themselves, for people who look into the database."""

from db.migrations.steps import Statement

COMMENTS = {
    "attempts": {
        "number": "1 for the first attempt of the notification.",
        "outcome": "Result of the attempt: sent, refused, deferred, provider-down, uncertain or lost.",
        "worker": "Id of the worker process that made the attempt. Its row in workers may be deleted.",
        "provider": "Name of the provider, such as the address of the mail server; callback for a callback.",
        "phase": "Step of the conversation with the provider in which it ended, such as connect, rcpt or content.",
        "reply_code": "SMTP reply code or HTTP status of the provider.",
        "enhanced_code": "Enhanced status code of the reply (RFC 3463), such as 5.1.1.",
        "text": "Reply of the provider, or the error that took its place.",
    },
    "audit": {
        "act": "Administrative action, such as key.created.",
        "target": "Object of the action. A mail address is a digest.",
        "detail": "What the action changed. Never content, a secret, or a mail address in clear.",
        "actor": "Kind of actor, such as key, cli or worker.",
        "name": "User of the operating system for cli, host for worker.",
        "address": "IP address of the request.",
    },
    "backlog_counts": {
        "only_one": "Always true: the table has one row.",
        "counted_at": "Time of the last count of pending notifications.",
        "due_at": "Time from which a worker makes the next count.",
    },
    "backlogs": {"pending": "Number of pending notifications of the client at the last count."},
    "callbacks": {
        "events": "Final statuses that the endpoint is told of.",
        "old_secret": "Secret before the last rotation. It signs until old_secret_until.",
        "disabled_reason": "Why nothing is sent to the endpoint, such as an answer 410.",
    },
    "changes": {
        "at": "Time of the change.",
        "name": "Change of the notification, such as accepted or sent.",
    },
    "clients": {
        "rate_limit": "Notifications a minute. NULL: the limit of the settings.",
        "daily_quota": "Notifications a day, in UTC. NULL: the quota of the settings.",
        "pending_limit": "Notifications that may be pending. NULL: the limit of the settings.",
        "senders": "Addresses that the client may send from, besides MAIL_FROM. @example.com is a whole domain.",
        "disabled_at": "Time since when none of its keys works and none of its notifications is sent.",
    },
    "erasures": {
        "recipient": "Digest of the address, which stays.",
        "address": "Address to erase. NULL once the erasure is done.",
        "last_id": "Last notification that the erasure concerns: what was accepted later stays.",
        "stopped_at": "Time since when no further attempt at its notifications begins.",
        "due_at": "Time until which one process works at it; then another may continue.",
        "cancelled": "Number of pending notifications that were cancelled.",
        "erased": "Number of notifications whose content was erased.",
        "copies": "Number of notifications that had the address in cc or bcc.",
        "callbacks": "Number of callbacks whose content was erased.",
        "rest": "Ids that were being sent, whose last answers are still to be erased.",
        "keys_after": "Idempotency key that was examined last. NULL once all were.",
    },
    "events": {
        "name": "Event in the timeline that the notification and its attempts do not show, such as rescheduled.",
        "detail": "What the event changed.",
    },
    "history": {
        "client_id": "Id of the client. 0: all clients together.",
        "dimension": "What the counts are divided by, such as tag.",
        "hour": "Beginning of the hour in which the notifications ended.",
        "value": "Value of the dimension, such as the name of a tag. Empty: all that have no row of their own.",
        "class": "Class of the time to delivery, of db/history/classes.py. 0 if it was not sent.",
    },
    "history_new": {
        "type": "Type of the notifications, such as email.",
        "priority": "Priority of the notifications: high, normal or bulk.",
        "class": "Class of the time to delivery, of db/history/classes.py. 0 if it was not sent.",
    },
    "idempotency_keys": {
        "digest": "SHA-256 of the request: the same key with another request is refused.",
        "notification_id": "Notification that the request stored. NULL for a batch.",
        "answer": "Answer to a batch: the id of each item, or its errors. NULL for one notification.",
        "suppressed": "Suppressed address that made the notification fail when it was accepted.",
    },
    "installation": {
        "single": "Always true: the table has one row.",
        "id": "Identity of this database, from which the prefix of the keys in Redis is made.",
    },
    "keys": {
        "digest": "SHA-256 of the secret. The secret is not stored.",
        "sandbox": "True for a test key, whose notifications go to simulated recipients.",
        "last_used_at": "Time of the last use, to a minute.",
        "replaced_by": "Key that a rotation made from this one.",
    },
    "listeners": {
        "until": "Time until which changes of the client are recorded.",
        "since": "All changes after this id are recorded. NULL: older statements may still be running.",
    },
    "notifications": {
        "type": "Channel: email, or callback for a callback to a client.",
        "attempt_count": "Number of all attempts that were made, or may have been made.",
        "retry_count": "Number of failed attempts since the notification was accepted or retried by an operator.",
        "claim": "Number of the last claim. It only grows; who records an outcome must name it.",
        "claimed_by": "Id of the worker process that holds the claim.",
        "claimed_list": "Number of the claimed list. Below 0: the attempt may have begun when it was claimed.",
        "alone": "True after a rescue: the row may have killed a worker, so its wake-up message has no other id.",
        "next_attempt_at": "Time from which the next attempt may be made.",
        "dispatch_after": "Time from which the relay enqueues a wake-up message.",
        "rung": "True if a wake-up message was enqueued, or is about to be, since the row became pending.",
        "on_uncertain": "What to do if the outcome of an attempt is unknown: resend or hold.",
        "in_doubt_since": "For hold: the content may have gone out since then, so the outcome may be unknown.",
        "sandbox": "True if it was accepted with a test key. It goes to a simulated recipient.",
        "lane": "Priority: high, normal, bulk or callback.",
        "parked": "True if the relay met the row during a pause. A resume brings it back.",
        "mail": "Fields of the mail besides recipient, subject, message and html, such as cc. NULL if there are none.",
        "mailboxes": "Recipients as the suppression list writes them. NULL if recipient is the only one.",
        "callback_id": "Endpoint that a callback goes to.",
        "subject_id": "Notification that a callback is about.",
        "erased_at": "Time at which the content was erased.",
        "trace": "W3C traceparent, then tracestate after a space. NULL without tracing.",
        "key_id": "Key of the request. NULL if AUTH was off.",
        "throttled_since": "Time since when the provider refuses it because of our sending rate.",
    },
    "pauses": {
        "kind": "What is paused: client or channel, or disabled for a client that is disabled.",
        "name": "Id of the client, or name of the channel.",
        "resumed_at": "Time since when nothing is held. The row stays until every parked notification is back.",
    },
    "providers": {
        "opened_at": "Time at which the breaker opened. NULL while it is closed.",
        "reason": "Failure that opened the breaker.",
        "probe_after": "Time from which the next probe may be sent.",
        "wait": "Seconds to wait after the next failed probe.",
        "closed_at": "Time at which the breaker closed. The backlog is sent at a growing rate from then on.",
        "probe_by": "Id of the worker process that sends the probe.",
        "by_mails": "True if failures of particular mails opened the breaker, not a failed connection.",
        "probed_client": "Client whose notification was the last probe: the next probe is of another client.",
    },
    "retention_turns": {
        "only_one": "Always true: the table has one row.",
        "due_at": "Time from which a worker begins the next round of retention.",
        "swept_at": "Start of the last round that examined every row that may be too old.",
    },
    "schema_steps": {"step": "Digest of a step that is done, of a migration that is not."},
    "sending": {"ids": "Notifications that the worker may have begun to send."},
    "sessions": {"digest": "SHA-256 of the secret in the browser's cookie."},
    "suppression_counts": {"counted": "Number of counted entries of the client."},
    "suppressions": {
        "source": "Note on where the request came from.",
        "counted": "True if the entry counts towards SUPPRESSIONS_LIMIT: its client added it.",
        "erased": "True if the address is a digest, because it was erased.",
    },
    "template_names": {
        "version": "Last version of the template, also after its deletion: no number is used twice.",
        "digest": "Digest of the last version's content. NULL once the template is deleted.",
    },
    "workers": {
        "seen_at": "Time of the last heartbeat.",
        "steady_since": "Start of the heartbeats without a gap. Only such a worker may declare others dead.",
        "oldest_bells": "Time of the oldest wake-up message that it has fetched and not begun, by priority, in seconds "
        "since 1970.",
        "tallies": "Counters of outcomes since its start.",
        "timeout": "Its WORKER_TIMEOUT, in seconds.",
        "stuck_after": "Its STUCK_AFTER, in seconds.",
        "unrecorded": "Notifications whose outcomes it could not record yet.",
        "trouble": "Error that keeps it from recording outcomes.",
        "settings": "Settings that the API shows or compares.",
    },
}


def _statement(table: str, columns: dict[str, str]) -> Statement:
    quoted = ((name, text.replace("'", "''")) for name, text in columns.items())
    return Statement("; ".join(f"COMMENT ON COLUMN {table}.{name} IS '{text}'" for name, text in quoted))


STEPS = tuple(_statement(table, columns) for table, columns in COMMENTS.items())
