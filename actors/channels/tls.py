"""TLS of the clients that reach providers and targets over HTTPS."""

from __future__ import annotations

import ssl
from functools import cache


@cache
def https_context() -> ssl.SSLContext:
    """Return this process's context, with the certificate authorities of the machine. Do not change it.

    It is one for all clients, because reading the authorities takes 10 to 20 ms of CPU.
    """
    return ssl.create_default_context()
