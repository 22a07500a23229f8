"""Run a program on a leash: as a given user, and gone when its parent is.

    python -m cli.servers.exec_with_parent_death PARENT SIGNAL IDENTITY COMMAND...

A program of its own instead of Popen(preexec_fn=...): Python code between fork and exec can deadlock
where other threads run, and the supervisor has one for the mail catcher.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

from runtime import process

CLONE_NEWUSER = 0x10000000  # linux/sched.h
NOBODY = 65_534
MYSELF = "self"
NAMESPACE = "namespace"


def prefix(identity: str, on_death: signal.Signals) -> list[str]:
    """The words to put before a command, so that it runs on our leash.

    `identity` is MYSELF, NAMESPACE or "uid:gid"; `on_death` is sent to the program when we are gone.
    """
    return [
        sys.executable,
        "-P",
        "-m",
        "cli.servers.exec_with_parent_death",
        str(os.getpid()),
        str(int(on_death)),
        identity,
    ]


def main() -> None:
    """Change the user, tie the leash, become the program."""
    parent, on_death, identity, *command = sys.argv[1:]
    _become(identity)
    # Only now: a change of user clears it (prctl(2)).
    process.die_with_parent(int(parent), int(on_death))
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        os.execv(command[0], command)  # noqa: S606  # the whole purpose
    except OSError as error:
        sys.exit(f"cannot run {command[0]}: {error.strerror}")


def _become(identity: str) -> None:
    if identity == NAMESPACE:
        _enter_namespace()
    elif identity != MYSELF:
        uid, gid = map(int, identity.split(":"))
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)


def _enter_namespace() -> None:
    """Be root to the outside and nobody to ourselves: user_namespaces(7), a map of one id onto ours."""
    uid, gid = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER):
        sys.exit(f"no user namespace: {os.strerror(ctypes.get_errno())}")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} {gid} 1")


if __name__ == "__main__":
    main()
