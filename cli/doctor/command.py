"""`notify doctor`: check the whole installation, and print a fix for every fault."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import click

import settings
from cli import lazy
from cli.doctor import environment
from cli.doctor.disk import free
from cli.doctor.findings import OK, PROBLEM, WARNING, Finding, warning, worst
from cli.doctor.probing import Probe, findings
from cli.terminal import show
from cli.up import data, running
from runtime import logs
from settings import Settings, SettingsError

COLOURS = {OK: "green", WARNING: "yellow", PROBLEM: "red"}
ANSWER = 0.8  # part of --timeout that one answer may take: the probe then has time left to name who did not answer


@click.command(short_help="Find faults of the installation, and how to fix them.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=1, max=300),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="The time for all checks; what has not answered by then is a problem.",
)
@click.option("--strict", is_flag=True, help="Exit with 1 after warnings too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def doctor(timeout: float, strict: bool, as_json: bool) -> None:
    """Check settings, database, schema, Redis, mail server, clocks, disks, workers and backlog in parallel.

    Nothing is changed and no mail is sent: on the mail server this only logs in. A warning is something that works
    now but may fail later. A problem is something that does not work, or that can lose accepted notifications.
    """
    found = _examined(timeout)
    result = worst(found)
    if as_json:
        click.echo(show.document(json.dumps({"status": result, "findings": [one._asdict() for one in found]})))
    else:
        click.echo(_report(found))
    if result == PROBLEM or (strict and result == WARNING):
        raise click.exceptions.Exit(1)


def _examined(timeout: float) -> list[Finding]:
    environ = dict(os.environ)
    given, wrong = settings.examined(environ)
    chosen = running.joined(given)
    up = bool(chosen.redis.url) and not given.redis.url
    chosen = _hurried(_let_in(chosen, environ, up=up), ANSWER * timeout)
    logs.configure(chosen.changed(LOG_LEVEL="error"))
    probes: dict[str, Probe] = {
        "settings": lambda: environment.findings(chosen, wrong, environ, up=up),
        "database": partial(lazy.attribute("cli.doctor.postgresql:findings"), chosen),
        "redis": partial(lazy.attribute("cli.doctor.redis_server:findings"), chosen),
        "mail": lambda: [warning("mail", "was not checked", "fix the settings first")],
        "disk": _disks,
    }
    if any(sentence.startswith("REDIS_") for sentence in wrong):
        probes["redis"] = lambda: [warning("redis", "was not checked", "fix the settings first")]
    if up and not (chosen.smtp.url or chosen.smtp.gmail_user or chosen.named_providers):
        probes["mail"] = lambda: []  # The work probe reports where the live workers send mail to.
    elif not wrong and chosen.redis.url and chosen.provider_names:
        probes["mail"] = partial(lazy.attribute("cli.doctor.mail_server:findings"), chosen, ANSWER * timeout)
    return findings(probes, timeout)


def _let_in(chosen: Settings, environ: Mapping[str, str], *, up: bool) -> Settings:
    """Apply the defaults of `notify up` for AUTH. An invalid BIND, which the settings probe reports, is replaced."""
    try:
        unsaid = not environ.get("AUTH", "").strip()
        return chosen.changed(AUTH="off") if up and unsaid and chosen.http.local else chosen
    except SettingsError:
        return chosen.changed(BIND=Settings().http.bind)


def _hurried(chosen: Settings, seconds: float) -> Settings:
    return chosen.changed(
        DB_CONNECT_TIMEOUT=min(chosen.database.connect_timeout, math.ceil(seconds)),
        DB_STATEMENT_TIMEOUT=min(chosen.database.statement_timeout, seconds),
        REDIS_TIMEOUT=min(chosen.redis.timeout, seconds),
    )


def _disks() -> Iterable[Finding]:
    place = data.root(os.environ).path
    return free("DATA_DIR's disk", place) if place.exists() else ()


def _report(found: list[Finding]) -> str:
    lines: list[str] = []
    for check in dict.fromkeys(one.check for one in found):
        lines.append(click.style(check, bold=True))
        for one in found:
            if one.check == check:
                lines += _lines(one)
    counts = Counter(one.level for one in found)
    summary = ", ".join(_counted(counts, level) for level in (PROBLEM, WARNING) if counts[level])
    return "\n".join([*lines, "", summary or "No problems found."])


def _lines(one: Finding) -> list[str]:
    level = click.style(f"{one.level:<8}", fg=COLOURS[one.level])
    said = [f"  {level} {show.plain(one.what)}"]
    return [*said, f"           {show.plain(one.fix)}"] if one.fix else said


def _counted(counts: Mapping[str, Any], level: str) -> str:
    return f"{counts[level]} {level}{'s' if counts[level] != 1 else ''}"
