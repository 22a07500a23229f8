"""A process that holds connections to a port as its lease grants them; a program for test_lease.py.

Arguments: REDIS_URL, the port, the most connections in all, how many are wanted, EXPIRES.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import time

import redis

from actors.channels import lease

EVERY = 0.1  # seconds


def hold(redis_url: str, port: int, connections: int, wanted: int) -> None:
    """Renew, close what is too many, open what is granted; until killed."""
    client = redis.Redis.from_url(redis_url)
    held = lease.ConnectionLease(client, lambda: "ours", f"127.0.0.1:{port}", connections)
    sockets: list[socket.socket] = []
    while True:
        granted = held.renew(wanted, len(sockets))
        while len(sockets) > granted:
            with contextlib.closing(sockets.pop()) as one:
                # The other side hears of it before Redis does.
                one.shutdown(socket.SHUT_RDWR)
        while len(sockets) < min(granted, wanted):
            sockets.append(socket.create_connection(("127.0.0.1", port)))
        time.sleep(EVERY)


if __name__ == "__main__":
    url, port, connections, wanted, expires = sys.argv[1:]
    lease.EXPIRES = float(expires)
    hold(url, int(port), int(connections), int(wanted))
