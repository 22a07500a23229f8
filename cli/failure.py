"""How a command ends that could not do what it was asked: a sentence on stderr and an exit code."""

from __future__ import annotations

import click


class Refused(click.ClickException):
    """The request was refused, or what it names is not there."""

    exit_code = 1


class Unreachable(click.ClickException):
    """No server answers."""

    exit_code = 3


class Misconfigured(click.ClickException):
    """A setting must be put right first."""

    exit_code = 4
