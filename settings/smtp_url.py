"""Accounts on mail servers, from URLs such as smtp://user:pass@host:587?starttls=required."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote

from settings.errors import SettingsError
from settings.hosts import is_domain_name

STARTTLS = ("required", "optional", "off")
DKIM = ("sign", "relay")


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """The mail server and the account on it.

    `tls` (`smtps://`) encrypts from the first byte; `starttls` is one of STARTTLS. `ca` is the path of a file with
    certificates, or empty. `dkim`: `sign`, or `relay` if the server signs. `variable`: the setting that it comes from,
    for messages. `dsn`: the parameters of RFC 3461 are used if it offers them. `return_path`: the domain of the return
    path, `off` for none; empty for RETURN_PATH_DOMAIN.
    """

    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False
    starttls: str = "optional"
    ca: str = ""
    dkim: str = "sign"
    variable: str = "SMTP_URL"
    dsn: bool = True
    return_path: str = ""

    @property
    def name(self) -> str:
        """host:port, the name of the provider of SMTP_URL in records, metrics and Redis."""
        return f"{self.host}:{self.port}"


def account(variable: str, parts: SplitResult, options: Mapping[str, str]) -> SmtpServer:
    """Return the account of a URL of this form; raise SettingsError if it is malformed."""
    if not parts.hostname or parts.path.strip("/"):
        raise SettingsError(f"{variable} must look like smtp://user:pass@host:587 or smtps://user:pass@host:465")
    if unknown := set(options) - {"starttls", "ca", "dkim", "dsn", "return_path"}:
        known = "starttls, ca, dkim, dsn, return_path, connections, rate, daily, priority, weight, from or reports"
        raise SettingsError(f"{variable} has an unknown option {min(unknown)!r}: use {known}")
    # A password crosses the network in clear text only if the URL says starttls=off.
    starttls = options.get("starttls", "required" if parts.password else "optional")
    if starttls not in STARTTLS:
        raise SettingsError(f"{variable} has starttls={starttls}: give one of {', '.join(STARTTLS)}")
    dkim = options.get("dkim", DKIM[0])
    if dkim not in DKIM:
        raise SettingsError(f"{variable} has dkim={dkim}: give sign, or relay if the mail server signs")
    dsn, return_path = options.get("dsn", "auto"), options.get("return_path", "")
    if dsn not in {"auto", "off"}:
        raise SettingsError(f"{variable} has dsn={dsn}: give one of auto, off")
    if return_path not in {"", "off"} and not (is_domain_name(return_path) and "." in return_path):
        raise SettingsError(f"{variable} has return_path={return_path!r}: give a domain, or off")
    return SmtpServer(
        host=parts.hostname,
        port=parts.port or (465 if parts.scheme == "smtps" else 587),
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        tls=parts.scheme == "smtps",
        starttls=starttls,
        ca=options.get("ca", ""),
        dkim=dkim,
        variable=variable,
        dsn=dsn == "auto",
        return_path=return_path,
    )
