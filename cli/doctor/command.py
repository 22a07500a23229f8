"""`notify doctor`: look at everything that must be right, and say of each fault how to mend it."""

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
ANSWER = 0.8  # of the time for a probe: for one answer, so that who does not answer is told by name


@click.command(short_help="Look for what is wrong, and say how to mend it.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=1, max=300),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long it may take in all; what has not answered by then is a problem.",
)
@click.option("--strict", is_flag=True, help="Warnings are exit code 1 too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def doctor(timeout: float, strict: bool, as_json: bool) -> None:
    """Look at settings, database, schema, Redis, mail server, clocks, disks, workers and backlog, all at once.

    Nothing is changed and no mail is sent: the mail server is greeted, logged in to, and left. A warning
    works now and may not tomorrow; a problem does not work, or can lose what was accepted.
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
        "mail": lambda: [warning("mail", "was not looked at", "put the settings right first")],
        "disk": _disks,
    }
    # What imports `actors` makes a broker out of this, which connects to nothing.
    os.environ.setdefault("REDIS_URL", chosen.redis.url)
    if any(sentence.startswith("REDIS_") for sentence in wrong):
        probes["redis"] = lambda: [warning("redis", "was not looked at", "put the settings right first")]
    elif wrong and chosen.redis.url:
        _import_actors(chosen.redis.url)
    if up and not (chosen.smtp.url or chosen.smtp.gmail_user):
        probes["mail"] = lambda: []  # The database knows whether the workers that run catch it or send it.
    elif not wrong and chosen.redis.url and (chosen.smtp.url or chosen.smtp.gmail_password):
        probes["mail"] = partial(lazy.attribute("cli.doctor.mail_server:findings"), chosen, ANSWER * timeout)
    return findings(probes, timeout)


def _import_actors(redis_url: str) -> None:
    """Import what looks at Redis with no setting but REDIS_URL: with a wrong one among them it would refuse to."""
    before = dict(os.environ)
    try:
        for variable in settings.VARIABLES:
            os.environ.pop(variable, None)
        os.environ["REDIS_URL"] = redis_url
        settings.load.cache_clear()
        lazy.attribute("actors.queue.broker:connect")
    finally:
        os.environ.clear()
        os.environ.update(before)
        settings.load.cache_clear()


def _let_in(chosen: Settings, environ: Mapping[str, str], *, up: bool) -> Settings:
    """As `notify up` reads AUTH and BIND; a BIND that is none was told among the settings."""
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
    return "\n".join([*lines, "", summary or "All is well."])


def _lines(one: Finding) -> list[str]:
    level = click.style(f"{one.level:<8}", fg=COLOURS[one.level])
    said = [f"  {level} {show.plain(one.what)}"]
    return [*said, f"           {show.plain(one.fix)}"] if one.fix else said


def _counted(counts: Mapping[str, Any], level: str) -> str:
    return f"{counts[level]} {level}{'s' if counts[level] != 1 else ''}"
