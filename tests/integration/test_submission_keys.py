"""Logging in at the SMTP server with API keys, with and without TLS."""

from __future__ import annotations

import smtplib
import ssl
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from email.policy import SMTP

import pytest
import trustme

from cli.servers.valkey import Valkey
from tests.eventually import eventually
from tests.integration.api import Api, running
from tests.keys import key
from tests.submission import Submission, begin, files, mail, serving


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url, auth="required") as api:
        yield api


@pytest.fixture(scope="module")
def server(api: Api) -> Iterator[Submission]:
    with serving(api) as server:
        yield server


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def certified(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """The options for a certificate that the authority has signed."""
    made = authority.issue_cert("127.0.0.1", "localhost")
    chain = b"".join(pem.bytes() for pem in made.cert_chain_pems)
    return files(tmp_path_factory.mktemp("tls"), (chain, made.private_key_pem.bytes()))


@pytest.fixture(scope="module")
def tls_server(api: Api, certified: tuple[str, ...]) -> Iterator[Submission]:
    """A server that other machines could reach."""
    with serving(api, *certified, listen="0.0.0.0:0") as server:
        yield server


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def submit(client: smtplib.SMTP) -> tuple[int, bytes]:
    client.mail("a@example.com")
    client.rcpt("ann@example.com")
    return client.data(mail().as_bytes(policy=SMTP))


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_a_key_is_the_password_with_any_user_name(api: Api, server: Submission, mechanism: str) -> None:
    with server.client() as client:
        client.esmtp_features["auth"] = mechanism
        client.login("anything", str(key(api.sql)))
        assert submit(client)[0] == 250


def test_auth_plain_may_come_with_its_command_or_after_a_challenge(api: Api, server: Submission) -> None:
    given = b64encode(f"\0apikey\0{key(api.sql)}".encode()).decode()

    with server.client() as client:
        assert client.docmd("AUTH", f"PLAIN {given}")[0] == 235
    with server.client() as client:
        assert client.docmd("AUTH", "PLAIN")[0] == 334
        assert client.docmd(given)[0] == 235


@pytest.mark.parametrize("password", ["wrong", "ntf_live_1_wrong", "x\r\nX-Evil: y", "ключ", ""])
def test_a_password_that_is_no_key_is_a_535(server: Submission, password: str) -> None:
    given = b64encode(f"\0apikey\0{password}".encode()).decode()

    with server.client() as client:
        code, text = client.docmd("AUTH", f"PLAIN {given}")
        assert (code, text[:5]) == (535, b"5.7.8")
        assert client.mail("a@example.com")[0] == 530


@pytest.mark.parametrize("argument", ["PLAIN ???", "PLAIN bm90aGluZw==", "LOGIN ???"])
def test_a_malformed_login_is_a_501(server: Submission, argument: str) -> None:
    with server.client() as client:
        assert client.docmd("AUTH", argument)[0] == 501


def test_after_three_wrong_passwords_the_connection_ends(server: Submission) -> None:
    given = b64encode(b"\0apikey\0wrong").decode()

    with server.client() as client:
        codes = [client.docmd("AUTH", f"PLAIN {given}")[0] for _ in range(4)]
    assert codes == [535, 535, 535, 421]


def test_a_mail_without_a_required_key_is_a_530(server: Submission) -> None:
    with server.client() as client:
        code, text = client.mail("a@example.com")
    assert (code, text[:5]) == (530, b"5.7.0")


def test_a_key_without_the_scope_send_is_a_535_that_names_the_scope(api: Api, server: Submission) -> None:
    with server.client(str(key(api.sql, ["read"]))) as client:
        code, text = submit(client)
    assert (code, text[:5]) == (535, b"5.7.8")
    assert b"'send'" in text


def test_a_key_revoked_during_the_session_is_a_535(api: Api, server: Submission) -> None:
    made = key(api.sql)
    with server.client(str(made)) as client:
        assert submit(client)[0] == 250
        api.sql.rows("UPDATE keys SET revoked_at = now() WHERE id = %s RETURNING 1", made.id)
        eventually(lambda: submit(client)[0] == 535)


def test_a_mail_belongs_to_the_client_of_its_key(api: Api, server: Submission) -> None:
    [(shop,)] = api.sql.rows("INSERT INTO clients (name) VALUES ('shop') RETURNING id")
    with server.client(str(key(api.sql, of=shop))) as client:
        submit(client)
    assert api.sql.rows("SELECT count(*) FROM notifications WHERE client_id = %s", shop) == [(1,)]


def test_no_key_is_in_the_log(api: Api, server: Submission) -> None:
    text = str(key(api.sql))
    with server.client(text):
        pass
    with server.client() as client:
        client.docmd(b64encode(text.encode()).decode())
        client.docmd(text)
        client.docmd("AUTH", "LOGIN")
        client.docmd(text)

    log = server.group.log.read_text()
    assert text.rpartition("_")[2] not in log
    assert b64encode(text.encode()).decode() not in log


def test_with_a_certificate_a_login_needs_starttls(api: Api, tls_server: Submission, authority: trustme.CA) -> None:
    with tls_server.client() as client:
        assert "starttls" in client.esmtp_features
        assert "auth" not in client.esmtp_features
        given = b64encode(f"\0apikey\0{key(api.sql)}".encode()).decode()
        assert client.docmd("AUTH", f"PLAIN {given}")[0] == 538
        assert client.mail("a@example.com")[0] == 530

        client.starttls(context=trusting(authority))
        client.ehlo("client.example")
        assert "starttls" not in client.esmtp_features
        assert client.mail("a@example.com")[0] == 530
        client.login("apikey", str(key(api.sql)))
        assert submit(client)[0] == 250


def test_a_command_injected_before_starttls_is_not_run(tls_server: Submission, authority: trustme.CA) -> None:
    with tls_server.client() as client:
        client.send("STARTTLS\r\nNOOP injected\r\n")
        assert client.getreply()[0] == 220
        assert client.sock is not None
        client.sock = trusting(authority).wrap_socket(client.sock, server_hostname="127.0.0.1")
        client.file = None
        # The answer to NOOP would have one line.
        assert b"SIZE" in client.docmd("EHLO", "client.example")[1]


def test_a_failed_handshake_ends_the_connection_only(tls_server: Submission, authority: trustme.CA) -> None:
    with closing(tls_server.client()) as client:
        assert client.docmd("STARTTLS")[0] == 220
        client.send("NOOP, but no handshake\r\n" * 20)
        with pytest.raises((ssl.SSLError, OSError, smtplib.SMTPServerDisconnected)):
            trusting(authority).wrap_socket(client.sock, server_hostname="127.0.0.1")  # type: ignore[arg-type]

    eventually(lambda: "submission.tls_failed" in tls_server.group.log.read_text())
    with tls_server.client() as client:
        assert client.noop()[0] == 250


def test_the_length_of_an_answer_to_a_challenge_is_limited(server: Submission) -> None:
    with server.client() as client:
        assert client.docmd("AUTH", "LOGIN")[0] == 334
        assert client.docmd("a" * 5_000)[0] == 500


def test_a_server_reachable_from_outside_does_not_start_for_an_api_without_auth(
    module_database_url: str, redis_server: Valkey, certified: tuple[str, ...]
) -> None:
    with running(module_database_url, redis_server.url, auth="off") as open_api:
        group = begin(open_api, *certified, listen="0.0.0.0:0")
        eventually(lambda: not group.running, within=20)

        assert group.stop() == 1
        assert "The API needs no key (AUTH=off), so every machine could send" in group.log.read_text()


def test_a_server_reachable_from_outside_does_not_start_without_an_api(api: Api, certified: tuple[str, ...]) -> None:
    group = begin(api, *certified, listen="0.0.0.0:0", url="http://127.0.0.1:9")
    eventually(lambda: not group.running, within=20)

    assert group.stop() == 3
    assert "It must run before this server listens beyond loopback" in group.log.read_text()


def test_a_taken_port_is_reported(api: Api, server: Submission) -> None:
    group = begin(api, listen=f"127.0.0.1:{server.port}")
    eventually(lambda: not group.running, within=20)

    assert group.stop() == 1
    assert f"Cannot listen on 127.0.0.1:{server.port} (" in group.log.read_text()
