"""Requests that each provider signs, sent to a running API over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from actors.reports.providers import Received
from cli.servers.valkey import Valkey
from settings.report_source import ReportSource
from tests.client import Response
from tests.integration.api import Api, running
from tests.reports import sns, twilio
from tests.reports.providers import PROVIDERS
from tests.reports.requests import Provider, json

PUBLIC = "https://notify.example.com/mail"
FORMS = {
    "ses": "ses://KEYID:SECRET@eu-west-1?",
    "mailgun": "mailgun://:KEY@api.mailgun.net/example.com?",
    **{kind: f"{kind}://:KEY@?" for kind in ("sendgrid", "resend", "postmark", "brevo")},
}
KINDS = pytest.mark.parametrize("kind", sorted(set(PROVIDERS) - {"ses"}))


def account(kind: str, source: ReportSource) -> str:
    """Return the URL of an account whose webhooks these are: a mail server's where no API is supported."""
    url = FORMS.get(kind, f"smtp://mail.example.com?reports_by={kind}&")
    return f"{url}reports={quote(','.join(source.keys or source.secrets), safe='')}"


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    providers = {f"provider_{kind}": account(kind, one.source) for kind, one in PROVIDERS.items()}
    settings: dict[str, Any] = {"public_url": PUBLIC, "unsubscribe_secret": "u" * 32, **providers}
    with running(module_database_url, redis_server.url, auth="required", **settings) as api:
        yield api


def address(kind: str) -> str:
    return f"{PUBLIC}/api/reports/{kind}?notify_token=tok-1"


def signed(provider: Provider) -> Received:
    payload = provider.documented[0].payload
    if provider.kind == "twilio":
        return twilio.signed(payload, twilio.KEYS[0], address("twilio"))
    return provider.sign(payload, 0, datetime.now(UTC))


def post(api: Api, kind: str, received: Received, path: str = "") -> Response:
    url = urlsplit(address(kind))
    # The proxy takes away the path of PUBLIC_URL.
    target = path or f"{url.path.removeprefix('/mail')}?{url.query}"
    return api.client.request("POST", target, received.body, dict(received.headers))


@KINDS
def test_a_genuine_webhook_is_accepted_without_a_key(api: Api, kind: str) -> None:
    answer = post(api, kind, signed(PROVIDERS[kind]))

    assert (answer.status, answer.json) == (200, {"events": 1})


@KINDS
def test_a_webhook_without_its_signature_is_refused(api: Api, kind: str) -> None:
    received = signed(PROVIDERS[kind])
    if PROVIDERS[kind].headers:
        assert post(api, kind, received._replace(headers={})).status == 403
    if PROVIDERS[kind].covers_body:
        body = received.body.replace(b"ann@example.com", b"eve@example.com").replace(b"41791234567", b"41790000000")
        assert post(api, kind, received._replace(body=body)).status == 403
    if kind == "mailgun":
        assert (
            post(api, kind, received._replace(body=received.body.replace(b'"token":"6', b'"token":"7'))).status == 403
        )


def test_a_request_to_another_address_than_twilio_has_signed_is_refused(api: Api) -> None:
    assert post(api, "twilio", signed(PROVIDERS["twilio"]), "/api/reports/twilio?notify_token=tok-2").status == 403


def test_a_message_of_a_topic_of_another_account_is_refused(api: Api) -> None:
    message = sns.signed(sns.message(json({}).decode(), datetime.now(UTC), TopicArn=sns.OTHER_TOPIC))

    assert post(api, "ses", sns.posted(message)).status == 403
