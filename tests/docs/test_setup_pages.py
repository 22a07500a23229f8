"""The set-up page of each provider: its account sends mails, and its webhook is believed."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest

from actors.reports.providers import Forged
from settings import providers
from settings.providers import Provider
from tests.docs import setup_pages
from tests.integration.http_mailing import Mailer
from tests.providers.apis import KEY, SECRET, Fake
from tests.providers.server import Server
from tests.reports import mailgun, sendgrid
from tests.reports.providers import PROVIDERS
from tests.reports.requests import NOW, shown, with_secret

PAGES = sorted(path.stem for path in setup_pages.PLACE.glob("*.md"))
KINDS = [name for name in PAGES if name in PROVIDERS]
# What a reader fills in: what the fakes of the tests know.
OWN = {"KEYID": KEY, "SECRET": SECRET, "TOKEN": SECRET, "SIGNINGKEY": mailgun.KEYS[0]}
# The key of an account of SendGrid, whatever the page shows.
VERIFICATION = {"sendgrid": sendgrid.public(sendgrid.KEYS[0])}


def account(kind: str, more: str = "") -> Provider:
    """Return the provider of a page, with keys that the fakes know."""
    variable = f"PROVIDER_{kind.upper()}"
    url = setup_pages.settings(kind)[variable]
    if kind in VERIFICATION:
        url = re.sub("reports=[^&]+", f"reports={quote(VERIFICATION[kind], safe='')}", url)
    url = re.sub(r"\b[A-Z]{5,}\b", lambda word: quote(OWN.get(word[0], word[0]), safe=""), url)
    return providers.parse(variable, url + more)


def test_there_is_a_page_for_each_of_these() -> None:
    assert PAGES == ["mailgun", "postfix", "postmark", "sendgrid", "ses"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_account_of_a_page_sends_a_mail(kind: str) -> None:
    fake = Fake(kind)
    with Server(fake) as server:
        mailer = Mailer(kind, server.url, account=account(kind, f"&endpoint={server.url}"))
        try:
            assert "id-1" in mailer.send().text
        finally:
            mailer.hang_up()
    assert [taken.recipients for taken in fake.sink] == [["a@example.com"]]


@pytest.mark.parametrize("kind", KINDS)
def test_the_webhook_of_a_page_is_believed_and_a_forged_one_is_not(kind: str) -> None:
    ours, provider = account(kind), PROVIDERS[kind]
    assert ours.reports is not None
    delivered = next(one for one in provider.documented if one.becomes == "delivered")
    request = provider.sign(delivered.payload, 0, NOW)
    forged = request._replace(body=request.body.replace(b"ann@example.com", b"eve@example.com"))
    for secret in ours.reports.secrets[:1]:
        request = with_secret(request, secret)

    assert shown(provider.read(request, ours.reports)) == "delivered"
    with pytest.raises(Forged):
        provider.read(forged, ours.reports)
    assert f"https://notify.example.com/api/reports/{ours.name}" in re.sub(
        "reports:SECRET@", "", setup_pages.text(kind)
    )
