"""Probe of PostgreSQL: does it answer, can it lose data, and has it room left?"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from cli.doctor import domains, planning, work
from cli.doctor.disk import free
from cli.doctor.findings import PROBLEM, WARNING, Finding, ok, problem, warning, worst
from db import database, diagnosis, fitness, live_stats, migrations
from settings import Settings, SettingsError, postgres_url

CHECK = "database"
NEWEST = 18  # newest version of PostgreSQL that this project is tested with
SLOW = 0.010  # seconds for a query; each notification needs several
APART = 2.0  # seconds of difference between two clocks that does no harm
LONG = 3_600.0  # seconds that a transaction may be open
AGED, STOPPING = 1_000_000_000, 1_900_000_000  # age in transactions; the server stops at 2,100 million
PER_SYSTEM = 20  # connections of an API process and a worker process, plus READ_THREADS
ASKED = 5  # queries; the fastest answer counts, because other probes use the CPU at the same time

# setting, dangerous value, level, consequence
DANGEROUS = (
    ("fsync", "off", PROBLEM, "after a crash of the machine the whole database can be lost"),
    ("full_page_writes", "off", PROBLEM, "after a crash of the machine pages can be half written"),
    ("synchronous_commit", "off", PROBLEM, "after a crash of the server accepted notifications are lost"),
    ("autovacuum", "off", WARNING, "tables grow and become slow, and finally the server stops"),
)


def findings(chosen: Settings) -> Iterator[Finding]:
    """Yield the findings, over one connection. Checks that need the schema run only if it is there."""
    try:
        database.bind(chosen.database)
    except SettingsError as error:
        if chosen.database.url:
            yield problem(CHECK, *_parted(str(error)))
        return
    try:
        with database.connection():
            yield from _server()
            yield from _options(chosen)
            yield from _dangers()
            yield from _room(chosen)
            yield from (schema := list(_schema()))
            yield from (rights := list(_rights()))
            if worst(schema) == PROBLEM:
                return
            if worst(rights) != PROBLEM:
                yield from planning.findings()
                yield from work.findings(chosen)
                yield from domains.findings(chosen)
            elif "workers" not in diagnosis.forbidden():
                yield from work.unrecorded(live_stats.workers(chosen.delivery.worker_timeout))
    except database.Unavailable as error:
        yield problem(CHECK, f"cannot be used: {error}", "start it, or correct DATABASE_URL")
    finally:
        database.database.close()


def _server() -> Iterator[Finding]:
    server = diagnosis.server()
    took = min(_asked() for _ in range(ASKED))
    said = f"PostgreSQL {server.release} answers in {took * 1000:.1f} ms"
    if server.version // 10_000 < fitness.OLDEST:
        yield problem(CHECK, said, f"this version is too old: use {fitness.OLDEST} or newer")
    elif server.version // 10_000 > NEWEST:
        yield warning(CHECK, said, f"use {NEWEST} or older: this project is not tested with newer versions")
    elif took > SLOW:
        yield warning(CHECK, said, "this is slow: run it in the same data centre")
    else:
        yield ok(CHECK, said)
    if server.replica:
        yield problem(
            CHECK, "it is read-only", "point DATABASE_URL at the primary, or turn off default_transaction_read_only"
        )
    if server.clear:
        yield warning(CHECK, "the connection is not encrypted", "add ?sslmode=verify-full to DATABASE_URL")
    yield _clock()
    if diagnosis.on_this_machine() and (place := diagnosis.data_directory()):
        yield from free("the database's disk", place)


def _options(chosen: Settings) -> Iterator[Finding]:
    """Yield findings on options in DATABASE_URL that are ignored, and on a pooler."""
    for name in postgres_url.parse(chosen.database.url, os.environ).ignored:
        yield warning(CHECK, f"DATABASE_URL has {name}, which is ignored", f"remove it: {postgres_url.IGNORED[name]}")
    if database.database.pooled():
        yield ok(CHECK, "connections go through a pooler: every transaction sets its own settings")


def _asked() -> float:
    begun = time.monotonic()
    diagnosis.clock()
    return time.monotonic() - begun


def _clock() -> Finding:
    before = time.time()
    theirs = diagnosis.clock()
    apart = theirs - (before + time.time()) / 2
    if abs(apart) <= APART:
        return ok("clock", "this machine and the database agree on the time")
    return warning(
        "clock",
        f"the database is {abs(apart):.0f} s {'ahead of' if apart > 0 else 'behind'} this machine",
        "synchronise both with NTP: due times use the database's clock, certificates and signatures this one",
    )


def _dangers() -> Iterator[Finding]:
    values = diagnosis.in_force([name for name, *_ in DANGEROUS])
    found = [(name, level, means) for name, wrong, level, means in DANGEROUS if values.get(name) == wrong]
    for name, level, means in found:
        yield Finding(CHECK, level, f"{name} is off: {means}", f"set {name} = on")
    if not found:
        yield ok(CHECK, "committed data survive a crash")


def _room(chosen: Settings) -> Iterator[Finding]:
    room, needed = diagnosis.room(), PER_SYSTEM + chosen.store.read_threads
    said = f"{room.left} connections are left"
    if room.left < needed:
        raise_it = "raise max_connections (or the role's limit), or start fewer processes"
        yield warning(CHECK, f"{said}; an API process and a worker process need {needed}", raise_it)
    else:
        yield ok(CHECK, said)
    if room.longest > LONG:
        end = "find it in pg_stat_activity by xact_start, and end it"
        what = f"a transaction has been open for {room.longest / 3600:.1f} hours, so that vacuum removes no rows"
        yield warning(CHECK, what, end)
    if room.age > AGED:
        grade = problem if room.age > STOPPING else warning
        yield grade(
            CHECK,
            f"the oldest transaction id is {room.age:,} transactions old; at 2,100,000,000 the server stops",
            "run VACUUM, and find out why autovacuum does not",
        )


def _rights() -> Iterator[Finding]:
    if names := diagnosis.forbidden():
        yield problem(
            CHECK, f"this user may not read and write {', '.join(names)}", "grant it, or connect as the owner"
        )
    elif names := diagnosis.not_owned():
        fix = "make this user the owner, who alone can create and drop partitions and run migrations"
        yield warning(CHECK, f"this user does not own {', '.join(names)}", fix)


def _schema() -> Iterator[Finding]:
    try:
        migrations.check()
    except fitness.Unusable as error:
        yield problem("schema", *_parted(str(error)))
    else:
        yield ok("schema", "the database is at this version")


def _parted(sentence: str) -> tuple[str, str]:
    what, _, fix = sentence.partition(": ")
    return what, fix
