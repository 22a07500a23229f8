"""How a command ends that could not do what it was asked: a sentence on stderr and an exit code."""

from __future__ import annotations

import click

# The one place where they are told; help, manual and docs/cli.md repeat it.
CODES = {
    0: "done",
    1: "refused, or not there; what was looked at has a problem",
    2: "wrong usage: an unknown option, a value that cannot be",
    3: "no server answers: the API, or the database",
    4: "a setting must be put right first",
    75: "not done in time: run it again",
    130: "stopped by Ctrl-C, SIGTERM or SIGHUP, after what was begun was finished",
}


class Refused(click.ClickException):
    """The request was refused, or what it names is not there."""

    exit_code = 1


class Unreachable(click.ClickException):
    """No server answers."""

    exit_code = 3


class Misconfigured(click.ClickException):
    """A setting must be put right first."""

    exit_code = 4


class Late(click.ClickException):
    """Time ran out; nothing is wrong with asking again (EX_TEMPFAIL of sysexits.h)."""

    exit_code = 75


class Stopped(click.ClickException):
    """Whoever ran it has had enough (128 + SIGINT, as shells have it)."""

    exit_code = 130
