"""The directory that `notify up` keeps its data in, and the right to use it alone."""

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
# A socket's path has room for 104 bytes at least, and the servers add their own names.
LONGEST = 60


@dataclass(frozen=True, slots=True)
class DataRoot:
    """Where things lie under DATA_DIR."""

    path: Path

    @property
    def mail(self) -> Path:
        """The caught mails."""
        return self.path / "mail"

    @property
    def mailbox(self) -> Mailbox:
        """The caught mails, to read."""
        return Mailbox(self.mail)

    @property
    def runtime(self) -> Path:
        """File that names the directory of the sockets while `notify up` runs."""
        return self.path / "runtime"

    def log(self, name: str) -> Path:
        """The log of a server."""
        directory = self.path / "log"
        directory.mkdir(mode=0o700, exist_ok=True)
        return directory / f"{name}.log"


def root(environ: Mapping[str, str]) -> DataRoot:
    """DATA_DIR, else `.data` under the current directory."""
    return DataRoot(Path(environ.get("DATA_DIR") or DEFAULT).absolute())


@contextmanager
def claimed(data: DataRoot) -> Iterator[None]:
    """Hold the data root for life: two servers on one directory destroy it, and one of them says nothing."""
    try:
        identity.enterable(data.path)
        handle = os.open(data.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StartError(
            f"{data.path} cannot be used ({error.strerror}): set DATA_DIR to a directory of yours"
        ) from error
    try:
        _lock(handle, data)
        yield
    finally:
        os.close(handle)


@contextmanager
def runtime(data: DataRoot) -> Iterator[Path]:
    """A short directory for sockets, the same for the same data; gone when done.

    The data root names it, for commands that run with another TMPDIR.
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
    """Where the sockets are of a `notify up` that runs on these data; None where there is no directory of ours."""
    try:
        place = Path(os.fsdecode(data.runtime.read_bytes()))
        return place if place.is_absolute() and _ours(place) else None
    except (FileNotFoundError, NotADirectoryError, PermissionError):
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
    """Named by the data, so that it is found again after a crash; another's directory is never used."""
    place = identity.enterable(_named(data))
    if not _ours(place):
        raise StartError(f"{place} belongs to somebody else: remove it, or set TMPDIR to a directory of yours")
    return place


def _named(data: DataRoot) -> Path:
    mark = hashlib.sha256(os.fsencode(data.path.resolve())).hexdigest()[:10]
    parent = Path(tempfile.gettempdir())
    if len(os.fsencode(parent)) > LONGEST:
        parent = Path("/tmp")  # noqa: S108  # what is made there is ours alone
    return parent / f"notify-{os.geteuid()}-{mark}"


def _ours(place: Path) -> bool:
    """Whether nobody else can list it or put anything there."""
    found = place.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o066
