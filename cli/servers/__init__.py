"""PostgreSQL and Valkey, run from their binaries for `notify up` and for the tests."""


class StartError(Exception):
    """A part of `notify up` cannot start. The message names it and says what to do."""
