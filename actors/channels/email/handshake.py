"""Result of probing a mail server without sending a mail."""

from __future__ import annotations

from math import inf
from typing import NamedTuple


class ServerProperties(NamedTuple):
    """Properties of a mail server.

    `seconds`: duration of the probe. `tls`: version of TLS, None without encryption. `certificate_days`: days until
    the certificate expires, None if it is not verified. `most`: octets that a mail may have (RFC 1870), infinite if
    the server announces no limit.
    """

    seconds: float
    tls: str | None
    certificate_days: float | None
    logged_in: bool
    most: float = inf
