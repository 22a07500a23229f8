"""Peewee models of the tables. The migrations have the CHECKs and indexes, with the reasons for them."""

from __future__ import annotations

from peewee import (
    BigAutoField,
    BigIntegerField,
    BooleanField,
    CompositeKey,
    IntegerField,
    Model,
    TextField,
    UUIDField,
)
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField

from db.database import database

STATUSES = ("pending", "processing", "sent", "failed", "cancelled")
FINAL = ("sent", "failed", "cancelled")
DELIVERY_STATUSES = ("unconfirmed", "delivered", "bounced", "complained")  # what is known since it was sent, in order
CALLBACK = "callback"  # the type and the priority of callbacks, which tell a client how a notification ended
PRIORITIES = ("high", "normal", "bulk")  # the priorities that a client may ask for
REASONS = ("manual", "unsubscribed", "bounced", "complained")  # why an address is suppressed


class Table(Model):
    class Meta:
        database = database


class Notification(Table):
    id = BigAutoField()
    type = TextField()
    recipient = TextField()
    subject = TextField()
    message = TextField()
    html = TextField(null=True)
    status = TextField()
    attempt_count = IntegerField()
    retry_count = IntegerField()
    claim = BigIntegerField()
    claimed_at = DateTimeTZField(null=True)
    claimed_by = UUIDField(null=True)
    alone = BooleanField()
    last_error = TextField(null=True)
    failure_reason = TextField(null=True)
    created_at = DateTimeTZField()
    next_attempt_at = DateTimeTZField(null=True)
    dispatch_after = DateTimeTZField(null=True)
    on_uncertain = TextField()
    client_id = BigIntegerField()
    sandbox = BooleanField()
    in_doubt_since = DateTimeTZField(null=True)
    expires_at = DateTimeTZField(null=True)
    finished_at = DateTimeTZField(null=True)
    mail = BinaryJSONField(null=True)
    queue = TextField(column_name="lane")
    send_at = DateTimeTZField(null=True)
    parked = BooleanField()
    template = TextField(null=True)
    template_version = IntegerField(null=True)
    mailboxes = BinaryJSONField(null=True)
    tags = BinaryJSONField(null=True, index=False)
    metadata = BinaryJSONField(null=True, index=False)
    callback_id = BigIntegerField(null=True)
    subject_id = BigIntegerField(null=True)
    erased_at = DateTimeTZField(null=True)
    key_id = BigIntegerField(null=True)
    failover = TextField()
    delivery_status = TextField(null=True)

    class Meta:
        table_name = "notifications"


class Attempt(Table):
    notification_id = BigIntegerField()
    number = IntegerField()
    outcome = TextField()
    worker = UUIDField()
    provider = TextField()
    started_at = DateTimeTZField()
    finished_at = DateTimeTZField()
    phase = TextField(null=True)
    reply_code = IntegerField(null=True)
    enhanced_code = TextField(null=True)
    text = TextField(null=True)
    provider_message_id = TextField(null=True)
    report_id = BigIntegerField(null=True)

    class Meta:
        table_name = "attempts"
        primary_key = CompositeKey("notification_id", "number")


class Worker(Table):
    id = UUIDField(primary_key=True)
    host = TextField()
    pid = IntegerField()
    threads = IntegerField()
    started_at = DateTimeTZField()
    seen_at = DateTimeTZField()
    steady_since = DateTimeTZField()

    class Meta:
        table_name = "workers"
