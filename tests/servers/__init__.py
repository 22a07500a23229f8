"""Tests on the distribution's own servers with their default settings: `make test-servers`.

They need the packages postgresql, redis-server, pgbouncer, nginx, postfix, swaks, msmtp and git-email. A missing
program fails the tests: nothing here is skipped.
"""
