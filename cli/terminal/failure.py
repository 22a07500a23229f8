"""Errors of commands: each prints one sentence to stderr and sets the exit code."""

from __future__ import annotations

import click

# The only definition: --help and docs/cli.md are made from it.
CODES = {
    0: "success",
    1: "the request was refused, an object does not exist, or a check found a problem",
    2: "wrong usage: an unknown command or option, or an invalid value",
    3: "the API or the database does not answer, or is unavailable at the moment",
    4: "a setting is missing or invalid",
    75: "not finished in time: run the command again",
    130: "stopped by Ctrl-C, SIGTERM or SIGHUP; the step that was running was finished",
}


class Refused(click.ClickException):
    """The request was refused, or the object that it names does not exist."""

    exit_code = 1


class Unreachable(click.ClickException):
    """The API or the database does not answer, or is unavailable at the moment."""

    exit_code = 3


class Misconfigured(click.ClickException):
    """A setting is missing or invalid."""

    exit_code = 4


class Late(click.ClickException):
    """Time ran out, and the command may be run again (EX_TEMPFAIL of sysexits.h)."""

    exit_code = 75


class Stopped(click.ClickException):
    """A signal stopped the command (128 + SIGINT, the code that shells use)."""

    exit_code = 130
