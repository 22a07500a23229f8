"""The database: whether it can be asked, whether it may lose what it has, how much room there is."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from cli.doctor import planning, work
from cli.doctor.disk import free
from cli.doctor.findings import PROBLEM, WARNING, Finding, ok, problem, warning, worst
from db import database, diagnosis, fitness, migrations, pulse
from settings import Settings, SettingsError, postgres_url

CHECK = "database"
NEWEST = 18  # version of PostgreSQL that this project is tested with, or stands by
SLOW = 0.010  # seconds for a question; each notification costs several
APART = 2.0  # seconds between two clocks that nobody need worry about
LONG = 3_600.0  # seconds that a transaction may be open
AGED, STOPPING = 1_000_000_000, 1_900_000_000  # transactions; the server stops at 2,100 million
PER_SYSTEM = 12  # connections of an API process and a worker process, besides READ_THREADS
ASKED = 5  # times; the quickest answer counts, because the other probes take our CPU meanwhile

# name, the value that is wrong, how bad, what it means
DANGEROUS = (
    ("fsync", "off", PROBLEM, "when the machine crashes, the whole database can be lost"),
    ("full_page_writes", "off", PROBLEM, "when the machine crashes, pages can be left half written"),
    ("synchronous_commit", "off", PROBLEM, "when the server crashes, accepted notifications are forgotten"),
    ("autovacuum", "off", WARNING, "tables grow and get slower, and in the end the server stops"),
)


def findings(chosen: Settings) -> Iterator[Finding]:
    """Over one connection; what needs a schema only where there is one."""
    try:
        database.bind(chosen)
    except SettingsError as error:
        if chosen.database_url:
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
            elif "workers" not in diagnosis.forbidden():
                yield from work.unrecorded(pulse.workers(chosen.worker_timeout))
    except database.Unavailable as error:
        yield problem(CHECK, f"cannot be used: {error}", "start it, or put DATABASE_URL right")
    finally:
        database.database.close()


def _server() -> Iterator[Finding]:
    server = diagnosis.server()
    took = min(_asked() for _ in range(ASKED))
    said = f"PostgreSQL {server.release} answers in {took * 1000:.1f} ms"
    if server.version // 10_000 < fitness.OLDEST:
        yield problem(CHECK, said, f"this version is too old: use {fitness.OLDEST} or newer")
    elif server.version // 10_000 > NEWEST:
        yield warning(CHECK, said, f"nothing newer than {NEWEST} was tried: expect surprises")
    elif took > SLOW:
        yield warning(CHECK, said, "that is slow: have it in the same data centre")
    else:
        yield ok(CHECK, said)
    if server.replica:
        yield problem(
            CHECK, "it takes no writes", "point DATABASE_URL at the primary, or end default_transaction_read_only"
        )
    if server.clear:
        yield warning(CHECK, "the way to it is not encrypted", "add ?sslmode=verify-full to DATABASE_URL")
    yield _clock()
    if diagnosis.on_this_machine() and (place := diagnosis.data_directory()):
        yield from free("the database's disk", place)


def _options(chosen: Settings) -> Iterator[Finding]:
    """What DATABASE_URL says that is not done, and what stands between."""
    for name in postgres_url.parse(chosen.database_url, os.environ).ignored:
        yield warning(CHECK, f"DATABASE_URL has {name}, which is ignored", f"remove it: {postgres_url.IGNORED[name]}")
    if database.database.pooled():
        yield ok(CHECK, "a pooler stands between: each transaction brings its settings with it")


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
        "have both set by NTP: due times go by the database's clock, certificates and signatures by this one",
    )


def _dangers() -> Iterator[Finding]:
    values = diagnosis.in_force([name for name, *_ in DANGEROUS])
    found = [(name, level, means) for name, wrong, level, means in DANGEROUS if values.get(name) == wrong]
    for name, level, means in found:
        yield Finding(CHECK, level, f"{name} is off: {means}", f"set {name} = on")
    if not found:
        yield ok(CHECK, "what is committed survives a crash")


def _room(chosen: Settings) -> Iterator[Finding]:
    room, needed = diagnosis.room(), PER_SYSTEM + chosen.read_threads
    said = f"{room.left} connections are left"
    if room.left < needed:
        raise_it = "raise max_connections (or the role's limit), or start fewer processes"
        yield warning(CHECK, f"{said}; an API and a worker process take {needed}", raise_it)
    else:
        yield ok(CHECK, said)
    if room.longest > LONG:
        end = "find it in pg_stat_activity by xact_start, and end it"
        yield warning(
            CHECK, f"a transaction has been open for {room.longest / 3600:.1f} hours: nothing is cleaned up", end
        )
    if room.age > AGED:
        grade = problem if room.age > STOPPING else warning
        yield grade(
            CHECK, f"transaction numbers are {room.age:,} old; at 2,100,000,000 it stops", "VACUUM, and see why not"
        )


def _rights() -> Iterator[Finding]:
    if names := diagnosis.forbidden():
        yield problem(
            CHECK, f"this user may not read and write {', '.join(names)}", "grant it, or connect as the owner"
        )
    elif names := diagnosis.not_owned():
        fix = "have this user own them: blocks are made and dropped, and migrations run, by the owner"
        yield warning(CHECK, f"this user does not own {', '.join(names)}", fix)


def _schema() -> Iterator[Finding]:
    try:
        migrations.check()
    except fitness.Unfit as error:
        yield problem("schema", *_parted(str(error)))
    else:
        yield ok("schema", "the database is at this version")


def _parted(sentence: str) -> tuple[str, str]:
    what, _, fix = sentence.partition(": ")
    return what, fix
