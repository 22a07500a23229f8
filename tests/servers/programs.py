"""Where the distribution keeps its servers, and the user that they run as."""

from __future__ import annotations

import os
import pwd
import shutil
from pathlib import Path

# /usr/sbin is not in every user's PATH; Debian keeps PostgreSQL's programs outside of it.
SEARCHED = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def program(name: str, package: str) -> str:
    """Return the absolute path of a server's program; fail with the package to install where there is none."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *SEARCHED])
    if found := shutil.which(name, path=path):
        return found
    raise AssertionError(f"{name} is not installed: apt-get install {package}")


def postgresql(name: str) -> str:
    """Return the path of one of PostgreSQL's server programs, of the newest version that is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: float(path.parts[4]))
    return str(found[-1]) if found else program(name, "postgresql")


def unprivileged(name: str) -> str | None:
    """Return "uid:gid" of a user for a server that refuses to run as root; None where we are not root."""
    if os.geteuid() != 0:
        return None
    user = pwd.getpwnam(name)
    return f"{user.pw_uid}:{user.pw_gid}"
