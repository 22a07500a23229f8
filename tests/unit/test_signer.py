"""The keys that sign a mail: those of its client and domain at the time when it was written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from actors.channels import Deferred
from actors.channels.email.mail import Mail, compose
from actors.channels.email.mailboxes import Mailbox
from actors.channels.email.signer import PURPOSE, Signer
from db.domain_keys import SigningKey
from db.records import Claimed
from runtime.sealing import Sealer
from tests.dkim_keys import private

SECRET = "a secret of at least 32 characters"
AT = datetime(2026, 11, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
OWN = Mailbox("", "noreply@example.com")


def sealed(algorithm: str, secret: str = SECRET) -> bytes:
    der = private(algorithm).private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return Sealer([secret], PURPOSE).seal(der)


def key(id: int = 1, **values: Any) -> SigningKey:
    plain = SigningKey(id, 1, "example.com", "ed25519", f"s{id}", sealed("ed25519"), AT - HOUR, None)
    return plain._replace(**values)


def signer(*keys: SigningKey, secrets: tuple[str, ...] = (SECRET,)) -> Signer:
    made = Signer(secrets)
    made.replace(keys)
    return made


def written(at: datetime = AT, client: int = 1, sender: str = "", **options: Any) -> Claimed:
    """Return a notification that was written at this time. `sender`: its From, if it has one of its own."""
    plain = Claimed(5, 1, "email", "a@example.net", "Hi", "Hello", None, "resend", 0, at)
    options |= {"from": sender} if sender else {}
    return plain._replace(client_id=client, mail=options or None)


def sent(made: Signer, notification: Claimed) -> Mail:
    mail = compose(notification, OWN)
    return made.signed(mail, notification, own=mail.sender == OWN.address)


def selectors(mail: Mail) -> list[str]:
    head = mail.content.decode().partition("\r\nFrom:")[0]
    return [part.partition(";")[0] for part in head.split(" s=")[1:]]


def test_a_domain_without_keys_is_not_signed() -> None:
    assert selectors(sent(signer(key(domain="example.org")), written())) == []
    assert selectors(sent(signer(), written())) == []


def test_a_client_never_signs_with_the_key_of_another_one() -> None:
    made = signer(key(client_id=1))

    assert selectors(sent(made, written(client=1))) == ["s1"]
    assert selectors(sent(made, written(client=2))) == []


def test_the_domain_of_the_operator_signs_mails_from_mail_from_only() -> None:
    made = signer(key(client_id=None))

    assert selectors(sent(made, written(client=2))) == ["s1"]
    assert selectors(sent(made, written(client=2, sender="boss@example.com"))) == []


def test_the_domain_of_the_client_has_precedence_over_that_of_the_operator() -> None:
    made = signer(key(1, client_id=None), key(2, client_id=2))

    assert selectors(sent(made, written(client=2))) == ["s2"]
    assert selectors(sent(made, written(client=3))) == ["s1"]


@pytest.mark.parametrize("sender", ["a@sub.example.com", "a@example.com.evil.test", "a@evilexample.com"])
def test_subdomains_and_parents_of_a_domain_are_not_signed(sender: str) -> None:
    assert selectors(sent(signer(key()), written(sender=sender))) == []


def test_the_domain_of_the_sender_matches_in_any_case_and_in_unicode() -> None:
    made = signer(key(), key(2, domain="xn--mnchen-3ya.example"))

    assert selectors(sent(made, written(sender="a@EXAMPLE.com"))) == ["s1"]
    assert selectors(sent(made, written(sender="a@münchen.example"))) == ["s2"]


def test_a_rotation_between_two_attempts_changes_no_byte() -> None:
    notification = written(AT - timedelta(seconds=1))
    before = sent(signer(key(1)), notification)
    rotated = signer(key(1, signs_until=AT), key(2, signs_from=AT))

    assert sent(rotated, notification) == before
    assert selectors(before) == ["s1"]
    assert selectors(sent(rotated, written(AT))) == ["s2"]


def test_a_mail_that_is_older_than_the_domain_stays_unsigned_in_later_attempts() -> None:
    assert selectors(sent(signer(key()), written(AT - 2 * HOUR))) == []


def test_a_scheduled_mail_is_signed_by_the_key_of_its_time() -> None:
    made = signer(key(1, signs_until=AT), key(2, signs_from=AT))

    assert selectors(sent(made, written(AT - HOUR)._replace(send_at=AT + HOUR))) == ["s2"]


def test_mails_of_the_time_of_a_retired_key_are_signed_by_the_current_key() -> None:
    made = signer(key(1, private_key=None, signs_until=AT), key(2, signs_from=AT))

    assert selectors(sent(made, written(AT - timedelta(seconds=1)))) == ["s2"]


def test_the_rsa_signature_comes_first() -> None:
    made = signer(key(1, algorithm="rsa", private_key=sealed("rsa")), key(2))

    assert selectors(sent(made, written())) == ["s1", "s2"]


def test_without_the_secret_a_mail_of_a_signed_domain_waits() -> None:
    with pytest.raises(Deferred, match="DOMAIN_KEYS_SECRET is not set"):
        sent(signer(key(), secrets=()), written())
    with pytest.raises(Deferred, match="another DOMAIN_KEYS_SECRET"):
        sent(signer(key(), secrets=("b" * 32,)), written())


def test_a_worker_does_not_start_with_a_key_that_cannot_be_decrypted() -> None:
    assert signer(key()).fault() == ""
    assert signer(key(), secrets=()).fault() == (
        "example.com must be signed, but DOMAIN_KEYS_SECRET is not set: set it as it was, or remove the domain with "
        "`notify domains remove example.com`"
    )
    assert "another DOMAIN_KEYS_SECRET" in signer(key(), secrets=("b" * 32,)).fault()
    assert signer(key(private_key=None, signs_until=AT), secrets=()).fault() == ""


def test_keys_encrypted_with_an_older_secret_can_be_used() -> None:
    assert selectors(sent(signer(key(), secrets=("b" * 32, SECRET)), written())) == ["s1"]


def test_a_removed_key_signs_no_more() -> None:
    made = signer(key())
    assert selectors(sent(made, written())) == ["s1"]

    made.replace([])

    assert selectors(sent(made, written())) == []


def test_the_unsubscribe_headers_of_a_mail_are_signed() -> None:
    mail = sent(signer(key()), written(unsubscribe={"url": "https://example.com/u"}))

    assert "list-unsubscribe:list-unsubscribe-post" in "".join(mail.content.decode().split())
