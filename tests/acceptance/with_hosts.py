"""`dramatiq tests.acceptance.with_hosts`: workers whose /etc/hosts is the file that TEST_HOSTS names. Needs root."""

from __future__ import annotations

import ctypes
import os

CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE = 0x20000, 0x1000, 0x4000, 0x40000  # linux/sched.h, linux/mount.h


def mount(source: str, target: str, flags: int) -> None:
    """mount(2), with no file system type."""
    if libc.mount(source.encode(), target.encode(), None, flags, None):
        raise OSError(ctypes.get_errno(), f"cannot mount {source} on {target}")


libc = ctypes.CDLL(None, use_errno=True)
# Of this thread and of those that it will start, and the import comes before any of those.
if libc.unshare(CLONE_NEWNS):
    raise OSError(ctypes.get_errno(), "cannot have mounts of its own")
mount("none", "/", MS_REC | MS_PRIVATE)
mount(os.environ["TEST_HOSTS"], "/etc/hosts", MS_BIND)

import actors  # noqa: E402, F401 - makes the broker, which Dramatiq then finds
