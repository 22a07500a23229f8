"""What is learnt of a mail server before a mail is sent."""

from __future__ import annotations

from math import inf
from typing import NamedTuple


class Handshake(NamedTuple):
    """`tls`: the version of TLS, None in clear. `certificate_days`: until it expires, None where nobody checks it.

    `most`: octets that a mail may have; infinite where the server tells none.
    """

    seconds: float
    tls: str | None
    certificate_days: float | None
    logged_in: bool
    most: float = inf
