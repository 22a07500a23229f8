"""PgBouncer between the system and its database, where it is installed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
from psycopg2.extensions import parse_dsn

from cli.servers import exec_with_parent_death
from tests import embedded
from tests.eventually import eventually
from tests.processes import Group
from tests.system import free_port


def installed() -> str | None:
    """Where it is; /usr/sbin is on the PATH of few."""
    return shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")


@contextmanager
def pooled(url: str, directory: Path, mode: str, connections: int = 20, **settings: object) -> Iterator[str]:
    """DATABASE_URL of the same database behind a PgBouncer with this `pool_mode`; its log is in `directory`.

    `settings` are more of PgBouncer's; what is not said is as its package has it.
    """
    program = installed()
    assert program
    dsn, port = parse_dsn(url), free_port()
    password = f" password='{dsn['password'].replace(chr(39), 2 * chr(39))}'" if "password" in dsn else ""
    values = {"pool_mode": mode, "default_pool_size": connections, "max_client_conn": 500, **settings}
    # It refuses to be root, and nobody else can enter a directory of root's.
    with embedded.short_directory() as place:
        place.chmod(0o755)
        file = place / "pgbouncer.ini"
        file.write_text(
            f"[databases]\n{dsn['dbname']} = host={dsn['host']} port={dsn['port']} user={dsn['user']}{password}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
            + "".join(f"{name} = {value}\n" for name, value in values.items())
        )
        environ = {"PATH": os.environ["PATH"]}
        group = Group([program, str(file)], environ, directory / "pgbouncer.log", place, _user(dsn["host"]))
        through = f"postgresql://{dsn['user']}@127.0.0.1:{port}/{dsn['dbname']}"
        try:
            eventually(lambda: _answers(through), within=10, saying=group.log.read_text)
            yield through
        finally:
            group.kill()


def _user(host: str) -> str | None:
    """Return the user to run it as where we are root, which it refuses: one that may enter the socket's directory."""
    if os.geteuid() != 0:
        return None
    owner = Path(host).stat().st_uid if host.startswith("/") else exec_with_parent_death.NOBODY
    return exec_with_parent_death.NAMESPACE if owner == 0 else f"{owner}:{owner}"


def _answers(url: str) -> bool:
    try:
        with closing(psycopg2.connect(url)):
            return True
    except psycopg2.OperationalError:
        return False
