"""Run a program as a given user, so that the kernel ends it when its parent dies.

    python -m cli.servers.exec_with_parent_death PARENT SIGNAL IDENTITY COMMAND...

This is a program and no Popen(preexec_fn=...), because Python code between fork and exec can deadlock if other
threads run: the supervisor has one for the mail catcher.
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
    """Return the words to put before a command, so that this program runs it.

    `identity` is MYSELF, NAMESPACE or "uid:gid". The kernel sends `on_death` to the command when this process dies.
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
    """Change the user, ask for a signal at the parent's death, and execute the program."""
    parent, on_death, identity, *command = sys.argv[1:]
    _become(identity)
    # After the change of user, which clears the setting (prctl(2), PR_SET_PDEATHSIG).
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
    """Enter a user namespace that maps the id of `nobody` to ours: PostgreSQL then does not see root.

    See user_namespaces(7).
    """
    uid, gid = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER):
        sys.exit(f"no user namespace: {os.strerror(ctypes.get_errno())}")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} {gid} 1")


if __name__ == "__main__":
    main()
