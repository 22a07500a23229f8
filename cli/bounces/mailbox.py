"""Mailbox of `notify bounces --imap`, from its URL."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from settings import SettingsError
from settings.hosts import split_url

EXAMPLE = "imaps://bounces%40example.com@imap.example.com/INBOX"
PORTS = {"imaps": 993, "imap": 143}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailbox:
    """Folder of an account at an IMAP server.

    `starttls`: encryption begins with the command STARTTLS instead of the first octet; there is none without. `move_to`
    is the folder for messages that were stored, or empty to delete them.
    """

    host: str
    port: int
    starttls: bool
    user: str
    password: str = field(repr=False)
    folder: str
    move_to: str
    tls: ssl.SSLContext = field(repr=False)


def mailbox(url: str, password: str, move_to: str) -> Mailbox:
    """Return the mailbox of a URL such as EXAMPLE. Raises SettingsError."""
    parts = split_url("--imap", url)
    folder = unquote(parts.path.removeprefix("/")) or "INBOX"
    if parts.password is not None:
        raise SettingsError(
            "--imap holds a password, which other users of the machine can see: set IMAP_PASSWORD instead"
        )
    if parts.scheme not in PORTS or not parts.hostname or not parts.username:
        raise SettingsError(f"--imap must look like {EXAMPLE}, with the user's @ written as %40")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := set(options) - {"ca"}:
        raise SettingsError(f"--imap has an unknown option {min(unknown)!r}: use ca, a PEM file with certificates")
    for name, value in (("--imap", unquote(parts.username) + folder), ("--move-to", move_to)):
        if not value.isprintable():
            raise SettingsError(f"{name} has a control character: give a user and a folder without")
    if move_to.upper() == folder.upper():
        raise SettingsError(f"--move-to is the folder of --imap, {folder!r}: give another one")
    if not password:
        raise SettingsError("--imap needs a password: set IMAP_PASSWORD, or give --password-file")
    return Mailbox(
        host=parts.hostname,
        port=parts.port or PORTS[parts.scheme],
        starttls=parts.scheme == "imap",
        user=unquote(parts.username),
        password=password,
        folder=folder,
        move_to=move_to,
        tls=_context(options.get("ca", "")),
    )


def password_in(file: Path) -> str:
    """Return the password in a file, without the end of its line. Raises SettingsError."""
    try:
        return file.read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise SettingsError(f"--password-file {file} cannot be read ({reason}): give a text file") from None


def _context(ca: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca or None)
    except OSError as error:  # ssl.SSLError is one.
        reason = getattr(error, "reason", None) or error.strerror
        raise SettingsError(f"--imap has ca={ca}, which cannot be used ({reason}): give a PEM file") from None
