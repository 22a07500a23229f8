"""Faults of the mail server: down, flapping, silent, slow, dropping connections; and a long backlog."""

from __future__ import annotations

import ssl
import time
from collections import Counter

import trustme

from benchmarks.fault_rows import row
from benchmarks.fault_scene import THREADS, Scene
from benchmarks.processes import wait_until
from tests.smtp import Drop, Hang, Reply
from tests.wake_ups import WakeUps

AWAY = 60.0


def _probes(scene: Scene) -> str:
    sql = "SELECT count(*) FROM attempts WHERE outcome = 'provider-down'"
    return f"{scene.system.sql.rows(sql)[0][0]} attempts met it"


def _ramp(scene: Scene, since: float) -> str:
    """Return the number of arrivals in each of the first seconds, as text."""
    arrivals = Counter(int(mail.at - since) for mail in scene.server.mails if mail.at >= since)
    first = min(arrivals, default=0)
    return "arrivals per second on return: " + ", ".join(str(arrivals[first + n]) for n in range(5))


@row("away", "SMTP refuses connections for 60 s, longer than all retries", scripted=True)
def away(scene: Scene) -> None:
    """Notifications are posted in the first ten seconds of the outage."""
    scene.work()
    scene.server.stop()
    scene.post(10)
    time.sleep(AWAY)
    probes = _probes(scene)
    scene.server.start()
    back = time.monotonic()
    scene.healed()
    scene.finish()
    scene.note = f"{probes}; {_ramp(scene, back)}"


@row("flapping", "SMTP up for 2 s, away for 2 s, 6 times", scripted=True)
def flapping(scene: Scene) -> None:
    """Connections break during a mail, so the outcome of the last mail of a connection may be unknown."""
    scene.server.delay = 0.005
    scene.work()
    scene.post(20)
    for _ in range(6):
        time.sleep(2)
        scene.server.stop()
        time.sleep(2)
        scene.server.start()
    scene.healed()
    scene.finish()
    uncertain = scene.system.sql.rows("SELECT count(*) FROM attempts WHERE outcome = 'uncertain'")[0][0]
    scene.note = f"{uncertain} unknown outcomes; {_probes(scene)}"


@row("421", "SMTP answers 421 for 15 s", scripted=True)
def busy(scene: Scene) -> None:
    """The 421 is the greeting."""
    scene.server.on("connect", Reply(421, "4.3.2 not now"), times=None)
    scene.work()
    scene.post(5)
    time.sleep(15)
    scene.note = f"{len(scene.server.refusals)} connections met it"
    scene.server.script.clear()
    scene.healed()


@row("greeting", "the greeting hangs for 20 s", scripted=True)
def greeting(scene: Scene) -> None:
    """Count the connections that wait for the greeting at the same time, after the breaker has opened."""
    scene.server.on("connect", Hang(), times=None)
    scene.work()
    scene.post(5)
    wait_until(lambda: bool(scene.system.sql.rows("SELECT 1 FROM providers WHERE opened_at IS NOT NULL")), "open")
    time.sleep(5)
    deadline, together = time.monotonic() + 12, 0
    while time.monotonic() < deadline:
        together = max(together, scene.server.hanging)
        time.sleep(0.01)
    scene.note = f"at most {together} probe at a time; {_probes(scene)}"
    scene.promise(together <= 1, "more than one probe at a time")
    scene.server.script.clear()
    scene.server.release()
    scene.healed()


@row("auth", "AUTH refused for 15 s", scripted=True)
def auth(scene: Scene) -> None:
    """The password was changed at the server."""
    scene.server.users["shop"] = "old"
    url = scene.server.url.replace("://", "://shop:new@") + "?starttls=off"
    for _ in range(2):
        scene.system.start_workers(threads=THREADS, smtp_url=url)
    scene.post(5)
    time.sleep(15)
    scene.note = _probes(scene)
    scene.server.users["shop"] = "new"
    scene.healed()


@row("tls", "untrusted TLS certificate for 15 s", scripted=True)
def tls(scene: Scene) -> None:
    """An operator ends the fault by restarting the workers with another SMTP_URL."""
    authority, scene.server.tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(scene.server.tls)
    ca = scene.system.directory / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    url = f"{scene.server.url}?starttls=required"
    for _ in range(2):
        scene.system.start_workers(threads=THREADS, smtp_url=url)
    scene.post(5)
    time.sleep(15)
    scene.note = f"{_probes(scene)}; recovery begins with a restart of the workers"
    scene.system.only_workers(0)
    for _ in range(2):
        scene.system.start_workers(threads=THREADS, smtp_url=f"{url}&ca={ca}")
    scene.healed()


@row("lone", "one notification to a server that never returns", size=1, scripted=True, failed=1)
def lone(scene: Scene) -> None:
    """The notification fails after five real attempts."""
    scene.server.stop()
    scene.work()
    scene.fill()
    scene.healed()
    scene.finish()
    [(attempts, outcomes)] = scene.system.sql.rows("SELECT count(*), array_agg(DISTINCT outcome) FROM attempts")
    scene.note = f"{attempts} attempts, {', '.join(outcomes)}"
    scene.promise(attempts == 5, "not 5 attempts")


TALL = "a line of a long mail\n" * 400_000  # 8.8 MB: more than the buffers of a socket hold


@row("drops", "SMTP drops the connection in each phase", scripted=True,
     message_limit=10_000_000, body_limit=20_000_000)  # fmt: skip
def drops(scene: Scene) -> None:
    """From RCPT on, the script chooses by recipient; in earlier phases it affects the next connections."""
    for recipient, phase in zip(scene.recipients(150), ("rcpt", "data", "dot") * 50, strict=True):
        scene.server.on(phase, Drop(), to=recipient)  # type: ignore[arg-type]
    for phase in ("connect", "ehlo", "mail"):
        scene.server.on(phase, Drop(), times=4)  # type: ignore[arg-type]
    scene.server.on("body", Drop(), to="tall@recipient.example")
    tall = scene.system.client.notify("tall@recipient.example", message=TALL).json["id"]
    scene.accepted[tall] = "tall@recipient.example"
    scene.fill()
    # Start the workers only now: a single notification would meet one drop after the other until its attempts end.
    scene.work()
    scene.healed()
    scene.finish()
    found = scene.system.sql.rows(
        "SELECT phase, outcome, count(*) FROM attempts WHERE outcome <> 'sent' GROUP BY 1, 2 ORDER BY 2, 1"
    )
    scene.note = "; ".join(f"{phase} {outcome} {count}" for phase, outcome, count in found)
    counts = {(phase, outcome): count for phase, outcome, count in found}
    scene.promise(counts.get(("content", "uncertain")) == 50, "misjudged")
    scene.promise(counts.get(("content", "deferred")) == 1, "the drop within the content did not happen")


@row("slow", "SMTP takes 30 s per reply for 8 recipients", scripted=True)
def slow(scene: Scene) -> None:
    """Half of all threads wait for SMTP_TIMEOUT."""
    for recipient in list(scene.recipients(8)):
        scene.server.on("rcpt", Reply(250, delay=30), to=recipient)
    scene.work()
    scene.post(8)
    scene.healed()
    scene.finish()
    [(slow, lost)] = scene.system.sql.rows(
        "SELECT count(*) FILTER (WHERE outcome = 'deferred'), count(*) FILTER (WHERE outcome = 'lost') FROM attempts"
    )
    scene.promise(lost == 0, "a live worker was considered dead")
    scene.note = f"{slow} timed out after {scene.system.environ['SMTP_TIMEOUT']} s; {lost} workers considered dead"


@row("backlog", "a backlog, slow provider, RELAY_GRACE 10 (default)", size=100_000, relay_grace=10)
def backlog(scene: Scene) -> None:
    """Wake-up messages are counted in Redis itself; each id in each message counts once."""
    scene.ground.sink.delay(12)
    with WakeUps(scene.ground.valkey.url) as wake_ups:
        scene.flood()
        for _ in range(2):
            scene.system.start_workers(threads=32)
        scene.healed()
        scene.finish()
    scene.wake_ups = wake_ups.enqueued / scene.size
    scene.promise(scene.wake_ups <= 1.1, "more than 1.1 wake-ups each")
    scene.note = f"Redis held at most {wake_ups.longest} messages, {wake_ups.memory / 1e6:.1f} MB"
