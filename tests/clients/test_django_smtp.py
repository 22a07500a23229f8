"""Django's own SMTP backend delivers through `notify smtp`, with STARTTLS and an API key as the password."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from smtplib import SMTPAuthenticationError
from typing import cast

import django
import pytest
import trustme
from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.smtp import EmailBackend
from django.test import override_settings

from tests.acceptance.world import World
from tests.eventually import eventually
from tests.submission import Submission, files, serving


@pytest.fixture(scope="module")
def server(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Submission]:
    """A server with a certificate for 127.0.0.1, of an authority that this module trusts as it does the system's."""
    directory, authority = tmp_path_factory.mktemp("tls"), trustme.CA()
    made = authority.issue_cert("127.0.0.1")
    chain = b"".join(pem.bytes() for pem in made.cert_chain_pems)
    authority.cert_pem.write_to_path(str(directory / "authority.pem"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(directory / "authority.pem"))
        with serving(world.system, *files(directory, (chain, made.private_key_pem.bytes()))) as server:
            yield server


def backend(server: Submission, key: str) -> EmailBackend:
    options = {"host": "127.0.0.1", "port": server.port, "username": "apikey", "password": key}
    options |= {"use_tls": True, "timeout": 30}
    if django.VERSION < (6, 1):
        return EmailBackend(**options)  # type: ignore[arg-type]
    smtp = {"BACKEND": "django.core.mail.backends.smtp.EmailBackend", "OPTIONS": options}
    with override_settings(MAILERS={"default": smtp}):
        return cast(EmailBackend, mail.mailers["default"])


def test_a_mail_of_django_arrives_completely(world: World, server: Submission, key: str, tmp_path: Path) -> None:
    recipient, copy, hidden = world.recipients(3)
    message = EmailMultiAlternatives(
        "Größe", "Grüße ☀", "Shöp <noreply@sender.example>", [f"Ann <{recipient}>"], cc=[copy], bcc=[hidden]
    )
    message.attach_alternative("<p>Grüße", "text/html")
    report = tmp_path / "report.pdf"
    report.write_bytes(b"%PDF\r\n\x00\xff")
    message.attach_file(str(report))

    assert backend(server, key).send_messages([message]) == 1

    eventually(lambda: world.mail_server.mails_to(recipient), within=20, saying=world.system.logs)
    [taken] = world.mail_server.mails_to(recipient)
    parsed = taken.parsed
    assert set(taken.recipients) == {recipient, copy, hidden}
    assert (parsed["Subject"], parsed["From"].addresses[0].display_name) == ("Größe", "Shöp")
    assert [(one.display_name, one.addr_spec) for one in parsed["To"].addresses] == [("Ann", recipient)]
    assert [one.addr_spec for one in parsed["Cc"].addresses] == [copy]
    assert hidden not in taken.raw.decode()
    texts = [parsed.get_body((kind,)).get_content().strip() for kind in ("plain", "html")]  # type: ignore[union-attr]
    assert texts == ["Grüße ☀", "<p>Grüße"]
    [attached] = parsed.iter_attachments()
    assert (attached.get_filename(), attached.get_content_type()) == ("report.pdf", "application/pdf")
    assert attached.get_payload(decode=True) == b"%PDF\r\n\x00\xff"


def test_a_wrong_key_raises_an_error_in_django(server: Submission) -> None:
    message = EmailMultiAlternatives("Hi", "Hello", None, ["ann@example.com"])

    with pytest.raises(SMTPAuthenticationError, match="The password must be an API key"):
        backend(server, "wrong").send_messages([message])
