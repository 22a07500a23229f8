"""`python -m benchmarks.signing`: migrate the database at DATABASE_URL, and have the mails of MAIL_FROM signed."""

from __future__ import annotations

import settings
from actors.channels.email.domains import keys
from actors.channels.email.mailboxes import mail_from
from db import database, domains
from db.migrations import migrate


def main() -> None:
    """Add the domain of MAIL_FROM, with a key that signs as if DNS had it for an hour."""
    current = settings.load()
    database.bind(current.database)
    migrate()
    domain = mail_from(current.smtp.sender).domain
    with database.connection():
        domains.add(None, domain, keys.make(["rsa"], current.domains))
        database.rows("UPDATE domain_keys SET signs_from = now() - interval '1 hour' RETURNING id")


if __name__ == "__main__":
    main()
