"""Accounts of push services, from PROVIDER_<NAME>, and their key files."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from actors.channels import registry
from actors.channels.push.keys import service_account, signing_key
from settings import SettingsError, examined, read
from settings.push_accounts import CONNECTIONS, FORMS, PushAccount
from tests.providers import push_keys
from tests.providers.push_keys import KEY_ID, TEAM_ID, TOPIC, pem


def account(url: str) -> PushAccount:
    [provider] = read({"PROVIDER_APP": url}).named_providers
    assert isinstance(provider.account, PushAccount)
    return provider.account


def said(url: str) -> str:
    """The sentence with which this is refused."""
    with pytest.raises(SettingsError) as refused:
        read({"PROVIDER_APP": url})
    return str(refused.value)


@pytest.mark.parametrize("kind", sorted(FORMS))
def test_the_example_url_of_an_error_message_is_accepted(kind: str) -> None:
    assert (account(FORMS[kind]).kind, account(FORMS[kind]).variable) == (kind, "PROVIDER_APP")
    assert account(FORMS[kind]).name


@pytest.mark.parametrize("kind", sorted(FORMS))
def test_a_push_account_allows_100_requests_at_a_time_by_default(kind: str) -> None:
    assert read({"PROVIDER_APP": FORMS[kind]}).named_providers[0].connections == CONNECTIONS


def test_an_account_of_apple_names_its_key_its_team_and_the_app() -> None:
    found = account(f"apns://{KEY_ID}:{TEAM_ID}@{TOPIC}?key=/a/Auth.p8&connections=50")

    assert (found.key, found.team, found.topic, found.file) == (KEY_ID, TEAM_ID, TOPIC, "/a/Auth.p8")
    assert found.url == "https://api.push.apple.com"
    assert account(f"apns://{KEY_ID}:{TEAM_ID}@{TOPIC}?key=/a&sandbox=1").url == "https://api.sandbox.push.apple.com"


@pytest.mark.parametrize("url", ["fcm:///a%20b/key.json", "fcm://?key=/a%20b/key.json"])
def test_an_account_of_fcm_names_its_file(url: str) -> None:
    assert account(url).file == "/a b/key.json"


def test_an_account_of_web_push_has_a_contact_address() -> None:
    found = account("webpush://ops%40example.com?key=/a.pem&endpoint=http://127.0.0.1:1")

    assert (found.contact, found.file, found.url) == ("ops@example.com", "/a.pem", "http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("fcm://host/key.json", "PROVIDER_APP must look like fcm:///path/to/service-account.json"),
        ("fcm://", "PROVIDER_APP must look like fcm:///path/to/service-account.json"),
        ("fcm:///a.json?key=/b.json", "PROVIDER_APP must look like fcm:///path/to/service-account.json"),
        ("fcm://?key=key.json", "must name its key file by an absolute path, as in fcm:///path/to"),
        ("fcm:///a.json?sandbox=1", "has an unknown option 'sandbox': use endpoint, key, connections"),
        ("apns://A-B:DEF123GHIJ@com.example?key=/a", "must look like apns://KEYID:TEAMID@com.example.app"),
        ("apns://ABC123DEFG@com.example?key=/a", "must look like apns://KEYID:TEAMID@com.example.app"),
        ("apns://ABC123DEFG:DEF123GHIJ@?key=/a", "must look like apns://KEYID:TEAMID@com.example.app"),
        ("apns://ABC123DEFG:DEF123GHIJ@com.example", "must name its key file by an absolute path"),
        ("apns://ABC123DEFG:DEF123GHIJ@com.example?key=/a&sandbox=yes", "has sandbox=yes: give 1"),
        ("webpush://ops?key=/a", "must look like webpush://ops%40example.com"),
        ("webpush://a%0ab%40example.com?key=/a", "must look like webpush://ops%40example.com"),
        ("webpush://ops%40example.com?key=/a&endpoint=http://10.0.0.1", "has an endpoint that is not https"),
    ],
)
def test_a_malformed_account_is_refused_with_its_form(url: str, sentence: str) -> None:
    assert sentence in said(url)


def test_all_faults_of_an_account_are_reported_together() -> None:
    _, faults = examined({"PROVIDER_A": "fcm://", "PROVIDER_B": "apns://x"})

    assert len([fault for fault in faults if fault.startswith("PROVIDER_")]) == 2


def test_a_worker_does_not_start_with_a_key_file_that_is_missing() -> None:
    with pytest.raises(SettingsError, match=r"PROVIDER_APP: the key file /none\.json cannot be read: No such file"):
        registry.check(read({"PROVIDER_APP": "fcm:///none.json"}))


def test_a_key_file_that_is_missing_or_unreadable_is_one_sentence(tmp_path: Path) -> None:
    missing = account(f"webpush://ops%40example.com?key={tmp_path}/none.pem")
    with pytest.raises(SettingsError) as refused:
        signing_key(missing)
    assert str(refused.value) == (
        f"PROVIDER_APP: the key file {tmp_path}/none.pem cannot be read: No such file or directory"
    )
    with pytest.raises(SettingsError, match="Is a directory"):
        service_account(account(f"fcm://{tmp_path}"))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"-----BEGIN PRIVATE KEY-----\nhush\n-----END PRIVATE KEY-----",
        pem(push_keys.rsa_key()),
        pem(ec.generate_private_key(ec.SECP384R1())),
    ],
    ids=["empty", "binary", "broken", "RSA", "P-384"],
)
def test_a_file_that_holds_no_p256_key_is_refused_without_its_content(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    with pytest.raises(SettingsError) as refused:
        signing_key(account(f"apns://{KEY_ID}:{TEAM_ID}@{TOPIC}?key={path}"))

    assert "give a private key on the curve P-256 in PEM" in str(refused.value)
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize(
    "change",
    [
        {"project_id": "../other"},
        {"project_id": ""},
        {"private_key": "hush"},
        {"private_key": pem(push_keys.ec_key()).decode()},
        {"token_uri": "http://example.com/token"},
        {"token_uri": "https://[/"},
        {"token_uri": None, "private_key": None},
    ],
    ids=["path", "no project", "broken key", "wrong key", "http", "malformed", "null"],
)
def test_a_service_account_that_cannot_work_is_refused_without_its_key(change: dict[str, str], tmp_path: Path) -> None:
    path = push_keys.service_account(tmp_path, "https://oauth2.googleapis.com/token")
    assert isinstance(service_account(account(f"fcm://{path}")).key, rsa.RSAPrivateKey)
    path.write_bytes(orjson.dumps(orjson.loads(path.read_bytes()) | change))
    with pytest.raises(SettingsError, match=r"PROVIDER_APP: the key file .* is not usable") as refused:
        service_account(account(f"fcm://{path}"))

    assert "hush" not in str(refused.value)


def test_the_repr_of_an_account_shows_no_secret() -> None:
    assert "secret" not in repr(account(FORMS["fcm"]))
