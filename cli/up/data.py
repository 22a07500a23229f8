"""DATA_DIR: the directory of the data of `notify up`, and the lock that keeps others out of it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from api.dashboard.mailbox import Mailbox
from cli.servers import StartError, identity

DEFAULT = ".data"
URL = "url"  # file in the runtime directory: the address of the API
# The path of a Unix socket has room for at least 104 bytes, and the servers append their own names.
LONGEST = 60


@dataclass(frozen=True, slots=True)
class DataRoot:
    """Paths of the files in DATA_DIR."""

    path: Path

    @property
    def mail(self) -> Path:
        """Directory of the caught mails."""
        return self.path / "mail"

    @property
    def mailbox(self) -> Mailbox:
        """Reader of the caught mails."""
        return Mailbox(self.mail)

    @property
    def runtime(self) -> Path:
        """File with the path of the runtime directory, while `notify up` runs."""
        return self.path / "runtime"

    def log(self, name: str) -> Path:
        """Return the path of the log file of a server."""
        directory = self.path / "log"
        directory.mkdir(mode=0o700, exist_ok=True)
        return directory / f"{name}.log"


def root(environ: Mapping[str, str]) -> DataRoot:
    """Return DATA_DIR, or `.data` in the current directory if it is not set."""
    return DataRoot(Path(environ.get("DATA_DIR") or DEFAULT).absolute())


@contextmanager
def claimed(data: DataRoot) -> Iterator[None]:
    """Lock the data directory: two PostgreSQL or Valkey servers on the same files destroy them."""
    try:
        identity.enterable(data.path)
        handle = os.open(data.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StartError(
            f"{data.path} cannot be used ({error.strerror}): set DATA_DIR to a directory that you may write to"
        ) from error
    try:
        _lock(handle, data)
        yield
    finally:
        os.close(handle)


@contextmanager
def runtime(data: DataRoot) -> Iterator[Path]:
    """Make the runtime directory, which holds the sockets and has a short path; remove it at the end.

    The same data directory always gets the same runtime directory. Its path is written into the data directory,
    for commands that run with another TMPDIR.
    """
    place = _place(data)
    try:
        identity.enterable(data.path)
        data.runtime.write_bytes(os.fsencode(place))
        yield place
    finally:
        data.runtime.unlink(missing_ok=True)
        shutil.rmtree(place, ignore_errors=True)


def runtime_of_another(data: DataRoot) -> Path | None:
    """Return the runtime directory of the `notify up` that runs on `data`; None if none runs, or it is not ours."""
    try:
        place = Path(os.fsdecode(data.runtime.read_bytes()))
        return place if place.is_absolute() and _ours(place) else None
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None


def url_of_another(data: DataRoot) -> str | None:
    """Return the address of the API of the `notify up` that runs on `data`; None if none runs."""
    place = runtime_of_another(data)
    try:
        return (place / URL).read_text().strip() if place else None
    except FileNotFoundError:  # It is still starting.
        return None


def _lock(handle: int, data: DataRoot) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(handle, 20).decode().strip() or "unknown"
        raise StartError(
            f"Another `notify up` (process {holder}) runs on {data.path}: stop it, or set DATA_DIR to another directory"
        ) from None
    os.truncate(handle, 0)
    os.write(handle, f"{os.getpid()}\n".encode())


def _place(data: DataRoot) -> Path:
    """Make the runtime directory. Its name depends on the data directory, so that a crash leaves only one behind.

    Raises StartError where a directory of another user is in the way.
    """
    place = identity.enterable(_named(data))
    if not _ours(place):
        raise StartError(f"{place} belongs to another user: remove it, or set TMPDIR to a directory of your own")
    return place


def _named(data: DataRoot) -> Path:
    mark = hashlib.sha256(os.fsencode(data.path.resolve())).hexdigest()[:10]
    parent = Path(tempfile.gettempdir())
    if len(os.fsencode(parent)) > LONGEST:
        parent = Path("/tmp")  # noqa: S108  # `_place` refuses a directory of another user
    return parent / f"notify-{os.geteuid()}-{mark}"


def _ours(place: Path) -> bool:
    """Return whether the directory is ours and others can neither list it nor write to it."""
    found = place.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o066
