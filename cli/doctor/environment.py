"""Probe of the settings: every invalid one, and variables that look like a misspelt setting."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping

from actors.channels import registry
from cli.doctor.findings import Finding, ok, problem, warning
from settings import VARIABLES, Settings, SettingsError
from settings.removed import REMOVED

CHECK = "settings"
# Variables that commands read, but not `settings`.
OTHERS = {"NOTIFY_URL", "NOTIFY_KEY", "DATA_DIR", "CATCHER_KEEP"}
KNOWN = VARIABLES.keys() | OTHERS
ALIKE = 0.84  # difflib ratio; RETRY_MIN_BACKOF and RETRY_MIN_BACKOFF have 0.97, DB_URL and DATABASE_URL 0.67
USUAL = {
    **dict.fromkeys(("DB_URL", "POSTGRES_URL", "POSTGRESQL_URL", "PG_URL", "DATABASE_URI"), "DATABASE_URL"),
    **dict.fromkeys(("SMTP_URI", "SMTP_HOST", "SMTP_SERVER", "MAIL_URL", "EMAIL_URL"), "SMTP_URL"),
    **dict.fromkeys(("EMAIL_FROM", "FROM_EMAIL", "SMTP_FROM", "DEFAULT_FROM_EMAIL"), "MAIL_FROM"),
    **dict.fromkeys(("EMAIL_PASSWORD",), "EMAIL_PASS"),
    **dict.fromkeys(("REDIS_URI", "REDIS_HOST"), "REDIS_URL"),
}


def findings(chosen: Settings, wrong: list[str], environ: Mapping[str, str], *, up: bool) -> Iterator[Finding]:
    """Yield the findings on the settings.

    `wrong` are the faults that `settings.examined` found. `up`: `notify up` runs, which chooses what is not set.
    """
    wrong = [*wrong, *_missing(chosen, wrong, up=up)]
    for sentence in wrong:
        what, _, fix = sentence.partition(": ")
        yield problem(CHECK, what, fix or "change one of them")
    if not wrong:
        given = sum(1 for name in KNOWN - OTHERS if environ.get(name, "").strip())
        yield ok(CHECK, f"{given} are set, the others have their defaults, and all are valid")
    for name in sorted(REMOVED & environ.keys()):
        yield warning(CHECK, f"{name} is set, but is no longer a setting", "remove it")
    for name, meant in _misspelt(environ):
        yield warning(CHECK, f"{name} is set, but is no setting", f"did you mean {meant}? Otherwise remove it")


def _missing(chosen: Settings, wrong: list[str], *, up: bool) -> Iterator[str]:
    for group in (chosen.database, chosen.redis):
        try:
            group.require()
        except SettingsError as error:
            yield str(error)
    if up:
        return
    try:
        registry.check(chosen)
    except SettingsError as error:
        if str(error) not in wrong:
            yield str(error)


def _misspelt(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name in sorted(environ.keys() - KNOWN - REMOVED):
        bare = name.removeprefix("NOTIFY_")
        meant = USUAL.get(name) or ((bare in KNOWN and bare) or _alike(name))
        # If the right setting is there too, this one probably belongs to another program.
        if meant and not (name in USUAL and environ.get(meant)):
            yield name, meant
        elif name.startswith("NOTIFY_") and not meant:
            yield name, "NOTIFY_URL or NOTIFY_KEY"


def _alike(name: str) -> str:
    return next(iter(difflib.get_close_matches(name, KNOWN, 1, ALIKE)), "")
