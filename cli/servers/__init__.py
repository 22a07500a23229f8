"""Real servers from binaries: PostgreSQL and Valkey for a laptop and for the tests."""


class StartError(Exception):
    """Something of `notify up` cannot start; the message says what and what to do."""
