"""Programs of the distribution that speak only SMTP: swaks, msmtp and git send-email."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.keys import key
from tests.servers.programs import program
from tests.smtp import SmtpServer
from tests.smtp.records import Mail
from tests.submission import Submission, serving
from tests.system import System

SENDER = "noreply@sender.example"
PATCH = "Schöne Änderung\n"


@pytest.fixture
def system(tmp_path: Path, stock_database_url: str, stock_redis_url: str, smtp_server: SmtpServer) -> Iterator[System]:
    """The API, which needs keys, and workers."""
    urls = {"database_url": stock_database_url, "redis_url": stock_redis_url, "smtp_url": smtp_server.url}
    system = System(tmp_path, **urls, auth="required")
    try:
        system.start_api()
        system.start_workers()
        yield system
    finally:
        system.stop()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for localhost with its key, in one file, which signs itself."""
    path = tmp_path / "server.pem"
    openssl = program("openssl", "openssl")
    options = "-newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    run(openssl, "req", "-x509", *options.split(), "-keyout", path, "-out", path, environ={})
    return path


@pytest.fixture
def server(system: System, certificate: Path) -> Iterator[Submission]:
    with serving(system, "--certificate", str(certificate)) as server:
        yield server


def run(*command: str | Path, environ: Mapping[str, str], given: bytes = b"") -> str:
    """Run a program of the distribution to its end; what it prints."""
    kept = {"PATH": os.environ["PATH"], **environ}
    done = subprocess.run(command, input=given, env=kept, capture_output=True, timeout=240, check=False)
    said = (done.stdout + done.stderr).decode(errors="replace")
    assert done.returncode == 0, said
    return said


def arrived(smtp_server: SmtpServer, recipient: str, system: System) -> Mail:
    [mail] = eventually(lambda: smtp_server.mails_to(recipient), within=30, saying=system.logs)
    return mail


def test_swaks_sends_a_text_and_a_file_over_tls(system: System, server: Submission, smtp_server: SmtpServer) -> None:
    said = run(
        *(program("swaks", "swaks"), "--server", f"localhost:{server.port}", "--tls", "--auth", "PLAIN"),
        *("--auth-user", "apikey", "--auth-password", str(key(system.sql)), "--from", SENDER),
        *("--to", "ann@example.com", "--header", "Subject: Hi", "--body", "Hello", "--attach-type", "text/csv"),
        *("--attach-name", "a.csv", "--attach", "a;b"),
        environ={},
    )

    assert "250 2.0.0 Stored as notification" in said
    read = arrived(smtp_server, "ann@example.com", system).parsed
    body = read.get_body(("plain",))
    assert body is not None
    assert (read["Subject"], body.get_content().strip()) == ("Hi", "Hello")
    [file] = read.iter_attachments()
    assert (file.get_filename(), file.get_content().strip()) == ("a.csv", "a;b")


def test_msmtp_sends_a_mail_given_to_sendmail(
    system: System, server: Submission, smtp_server: SmtpServer, certificate: Path, tmp_path: Path
) -> None:
    config = tmp_path / "msmtprc"
    config.write_text(f"""
account default
host localhost
port {server.port}
tls on
tls_trust_file {certificate}
auth on
user apikey
password {key(system.sql)}
from {SENDER}
""")
    config.chmod(0o600)
    mail = f"From: Shop <{SENDER}>\nTo: root\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\n\n.\nSchön\n".encode()

    run(
        program("msmtp", "msmtp"),
        f"--file={config}",
        "--",
        "bob@example.com",
        given=mail,
        environ={"HOME": str(tmp_path)},
    )

    read = arrived(smtp_server, "bob@example.com", system).parsed
    assert (read["Subject"], read["To"], read["From"]) == ("Grüße", "bob@example.com", f"Shop <{SENDER}>")
    assert read.get_content().splitlines() == [".", "Schön"]


def test_git_sends_a_patch_that_can_be_applied(
    system: System, server: Submission, smtp_server: SmtpServer, certificate: Path, tmp_path: Path
) -> None:
    git, home = program("git", "git"), tmp_path / "home"
    home.mkdir()
    who = {"HOME": str(home), "EMAIL": SENDER, "GIT_AUTHOR_NAME": "Shöp", "GIT_COMMITTER_NAME": "Shöp"}
    who |= {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": str(home / "config")}
    one = home / "one"
    run(git, "init", "-q", one, environ=who)
    (one / "a.txt").write_text("a\n")
    run(git, "-C", one, "add", ".", environ=who)
    run(git, "-C", one, "commit", "-qm", "Begin", environ=who)
    run(git, "clone", "-q", one, home / "two", environ=who)
    (one / "a.txt").write_text(PATCH)
    run(git, "-C", one, "commit", "-qam", "Ändere", environ=who)

    run(
        *(
            git,
            "-C",
            one,
            "send-email",
            "--quiet",
            "--confirm=never",
            "--suppress-cc=all",
            "--to",
            "Ann <ann@example.com>",
        ),
        *("--cc", "bob@example.com", "--smtp-server", "localhost", "--smtp-server-port", str(server.port)),
        *("--smtp-encryption", "tls", "--smtp-ssl-cert-path", certificate, "--smtp-user", "apikey"),
        *("--smtp-pass", str(key(system.sql)), "-1"),
        environ=who,
    )

    mail = arrived(smtp_server, "ann@example.com", system)
    assert mail.recipients == ("ann@example.com", "bob@example.com")
    run(git, "-C", home / "two", "am", "-q", given=mail.raw, environ=who)
    assert (home / "two" / "a.txt").read_text() == PATCH
