"""The page of a certificate is fetched over TLS that is verified, without redirects, and within bounds."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from actors.reports.providers import fetching
from actors.reports.providers.fetching import LIMIT, fetch

PAGES = {
    "/pem": (200, b"certificate"),
    "/?Action=Confirm&Token=a%20b": (200, b"confirmed"),
    "/largest": (200, b"x" * LIMIT),
    "/larger": (200, b"x" * (LIMIT + 1)),
    "/moved": (302, b""),
    "/gone": (404, b"certificate"),
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, page = PAGES[self.path]
        self.send_response(status)
        self.send_header("Content-Length", str(len(page)))
        self.send_header("Location", "/pem")
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        serving.socket = context.wrap_socket(serving.socket, server_side=True)
        thread = threading.Thread(target=serving.serve_forever, args=(0.02,))
        thread.start()
        yield f"localhost:{serving.server_port}"
        serving.shutdown()
        thread.join()


def get(url: str) -> bytes:
    return asyncio.run(fetch(url))


@pytest.mark.parametrize("path", ["/pem", "/?Action=Confirm&Token=a%20b", "/largest"])
def test_a_page_is_fetched_with_its_query(server: str, path: str) -> None:
    assert get(f"https://{server}{path}") == PAGES[path][1]


@pytest.mark.parametrize("path", ["/larger", "/moved", "/gone"])
def test_a_status_other_than_200_or_a_large_page_is_an_error(server: str, path: str) -> None:
    with pytest.raises(OSError, match="localhost"):
        get(f"https://{server}{path}")


def test_a_certificate_for_another_name_or_of_an_unknown_authority_is_an_error(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        get(f"https://{server.replace('localhost', '127.0.0.1')}/pem")
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(ssl.SSLCertVerificationError):
        get(f"https://{server}/pem")


def test_a_server_that_hangs_or_refuses_connections_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/pem"
        with monkeypatch.context() as patched:
            patched.setattr(fetching, "TIMEOUT", 0.2)
            with pytest.raises(TimeoutError):
                get(url)
    with pytest.raises(ConnectionRefusedError):
        get(url)
