"""Free space on disks of this machine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from cli.doctor.findings import Finding, ok, problem, warning

GIB = 2**30
SHORT, FULL = 5 * GIB, GIB // 4  # bytes
PART = 0.1  # of the disk; less than this and less than SHORT is a warning


def free(name: str, place: Path | str) -> Iterator[Finding]:
    """Yield a finding on the disk that holds `place`; nothing if this user may not look there."""
    try:
        usage = shutil.disk_usage(place)
    except OSError:
        return
    said = f"{name} has {usage.free / GIB:.1f} of {usage.total / GIB:.1f} GiB free"
    fix = "free some space, or delete old notifications (RETENTION_SENT, `notify retention`)"
    if usage.free < FULL:
        yield problem("disk", said, fix)
    elif usage.free < SHORT and usage.free < PART * usage.total:
        yield warning("disk", said, fix)
    else:
        yield ok("disk", said)
