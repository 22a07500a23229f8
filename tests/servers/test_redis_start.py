"""An unknown option of REDIS_URL stops every program with its name; known options take effect."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import trustme

from tests.processes import ROOT
from tests.servers.redis_parts import doctor, environment, redis_server
from tests.servers.stock_redis import StockRedis
from tests.system import free_port

pytestmark = pytest.mark.long

BIN = Path(sys.executable).parent
PROGRAMS = ("gunicorn", "dramatiq actors -p 1 -t 2", "notify up", "notify queues")
OPTIONS = {"?nonsense=1": "nonsense", "?decode_responses=true": "decode_responses", "?ssl_cert_reqs=": "ssl_cert_reqs"}


def ended(program: str, directory: Path, database_url: str, redis_url: str) -> subprocess.CompletedProcess[str]:
    environ = environment(database_url, redis_url, data_dir=directory, bind=f"127.0.0.1:{free_port()}")
    name, *words = program.split()
    command = [str(BIN / name), *words]
    return subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("query", OPTIONS)
def test_an_unknown_option_of_a_redis_url_stops_every_program(
    program: str, query: str, tmp_path: Path, database_url: str, stock_redis: StockRedis
) -> None:
    done = ended(program, tmp_path, database_url, f"redis://:geheim-geheim@127.0.0.1:{stock_redis.port}/0{query}")
    assert done.returncode == 4, done.stderr
    assert re.search(f"REDIS_URL has (an unknown|the) option '{OPTIONS[query]}'", done.stderr), done.stderr
    assert "geheim" not in done.stdout + done.stderr


def test_doctor_reports_the_unknown_option(database_url: str, stock_redis_url: str) -> None:
    code, found = doctor(database_url, f"{stock_redis_url}?family=6")
    assert code == 1
    assert [(one["level"], one["what"]) for one in found] == [("warning", "was not checked")]


def test_a_worker_that_needs_more_connections_than_it_may_have_does_not_start(
    tmp_path: Path, database_url: str, stock_redis_url: str
) -> None:
    words = "dramatiq actors -p 1 -t 80"
    done = ended(words, tmp_path, database_url, f"{stock_redis_url}?max_connections=64")
    assert done.returncode == 4, done.stderr
    assert "REDIS_URL has max_connections=64, but a worker with this number of threads needs 104" in done.stderr


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, str]]:
    """The port and the authority's file of a Redis that speaks TLS only."""
    authority = trustme.CA()
    folder = tmp_path_factory.mktemp("redis-tls")
    issued = authority.issue_cert("localhost")
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    issued.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    port = free_port()
    options = ["--tls-port", str(port), "--tls-auth-clients", "no", "--tls-ca-cert-file", str(folder / "ca.pem")]
    options += ["--tls-cert-file", str(folder / "cert.pem"), "--tls-key-file", str(folder / "key.pem")]
    with redis_server(*options):
        yield port, str(folder / "ca.pem")


@pytest.mark.parametrize(
    ("address", "query", "well"),
    [
        ("localhost", "ssl_ca_certs={ca}", True),
        ("127.0.0.1", "ssl_ca_certs={ca}", False),  # the certificate is for localhost
        ("127.0.0.1", "ssl_ca_certs={ca}&ssl_check_hostname=false", True),
        ("127.0.0.1", "ssl_cert_reqs=none", True),
        ("localhost", "", False),
    ],
)
def test_options_for_tls_take_effect(
    encrypted: tuple[int, str], database_url: str, address: str, query: str, *, well: bool
) -> None:
    port, ca = encrypted
    _, found = doctor(database_url, f"rediss://{address}:{port}/0?{query.format(ca=ca)}".rstrip("?"))
    assert bool([one for one in found if one["what"].startswith("a message passes")]) is well
    assert bool([one for one in found if "certificate" in one["what"].lower()]) is not well


def test_a_socket_with_a_database_number_works(tmp_path: Path, database_url: str) -> None:
    with redis_server("--unixsocket", "redis.sock", "--requirepass", "p@ss/w?rd#%") as server:
        place = f"{server.directory}/redis.sock?db=3"
        code_url = f"unix://:p%40ss%2Fw%3Frd%23%25@{place}"
        _, found = doctor(database_url, code_url, redis_namespace="mine")
        assert [one for one in found if one["what"].startswith("a message passes through it, under the namespace mine")]
        with redis.Redis(unix_socket_path=f"{server.directory}/redis.sock", password="p@ss/w?rd#%", db=3) as client:
            assert client.keys("*") == []
