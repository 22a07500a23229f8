"""Choice of the user that PostgreSQL runs as: it refuses to run as root."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cli.servers import StartError, exec_with_parent_death

# An attempt, because access lists and mounts decide too and mode bits do not show them.
_PROBE = '"$0" --version && for place; do cd "$place" || exit 1; done'


@dataclass(frozen=True, slots=True)
class Identity:
    """User to run as: `word` for exec_with_parent_death, `uid` and `gid` as the owner of the server's files."""

    word: str
    uid: int
    gid: int

    def own(self, path: Path) -> None:
        """Make a directory, if it is missing, that belongs to this user and is closed to all others."""
        path.mkdir(mode=0o700, exist_ok=True)
        path.chmod(0o700)
        if os.geteuid() == 0:
            os.chown(path, self.uid, self.gid)


def enterable(path: Path) -> Path:
    """Make a directory that only we can list. If we are root, others may enter it, as PostgreSQL's user must."""
    path.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
    return path


def choose(binary: Path, cluster: Path, reach: Sequence[Path]) -> Identity:
    """Return a user that can run `binary` on `cluster` and enter each directory in `reach`; raises StartError.

    This is the current user, unless that is root. Then it is the owner of existing data. For new data it is
    `nobody`, or else root in a user namespace, where PostgreSQL sees another user.
    """
    if os.geteuid() != 0:
        return _myself(exec_with_parent_death.MYSELF)
    for identity in _possible(cluster):
        if _can(identity, binary, reach):
            return identity
    raise StartError(
        f"PostgreSQL refuses to run as root, and no other user can both run {binary} and enter {cluster}: "
        "run `notify up` as an ordinary user, or set DATABASE_URL"
    )


def _possible(cluster: Path) -> Iterator[Identity]:
    owner = cluster.stat() if cluster.exists() else None
    if owner and owner.st_uid != 0:
        yield _user(owner.st_uid, owner.st_gid)
        return
    if owner is None:
        yield from _nobody()
    yield _myself(exec_with_parent_death.NAMESPACE)


def _myself(word: str) -> Identity:
    return Identity(word, os.geteuid(), os.getegid())


def _user(uid: int, gid: int) -> Identity:
    return Identity(f"{uid}:{gid}", uid, gid)


def _nobody() -> Iterator[Identity]:
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return
    yield _user(entry.pw_uid, entry.pw_gid)


def _can(identity: Identity, binary: Path, reach: Sequence[Path]) -> bool:
    command = ["/bin/sh", "-c", _PROBE, str(binary), *map(str, reach)]
    probe = subprocess.run(  # noqa: S603  # words of our own
        exec_with_parent_death.prefix(identity.word, signal.SIGKILL) + command, capture_output=True, check=False
    )
    return probe.returncode == 0
