"""Checks of docker/systemd/ without an installation: systemd takes it, and all that it names fits."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import settings
from actors.channels.email.smtp_provider import LAST_ANSWER
from actors.queue.priorities import PRIORITIES
from cli.main import COMMANDS

UNITS = Path(__file__).parents[2] / "docker" / "systemd"
SERVICES = ("notification-api", "notification-migrate", "notification-migrate-after", "notification-worker@")
PROGRAMS = "/opt/notification-system/venv/bin"
USUAL = settings.Settings()
SAFE = 20  # tenths, of the 100 of a service that may do anything


def options(unit: str) -> dict[str, list[str]]:
    """By name, all values that a unit gives, in order."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", (UNITS / unit).read_text(), flags=re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


def service(name: str) -> dict[str, list[str]]:
    return options(f"{name}.service")


def variables(name: str) -> dict[str, str]:
    lines = (UNITS / name).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units as they are once installed here, with an instance of the template."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    # The project may be in a directory whose name has spaces or specifiers.
    programs = str(Path(sys.executable).parent).replace("%", "%%").replace(" ", "\\x20")
    for unit in (*UNITS.glob("*.service"), *UNITS.glob("*.socket")):
        text = unit.read_text().replace(PROGRAMS, programs)
        (tmp_path / unit.name.replace("@", "@high")).write_text(text)
    return tmp_path


def analyzed(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", *words]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


def test_systemd_finds_no_fault(installed: Path) -> None:
    units = [f"./{unit.name}" for unit in sorted(installed.iterdir())]
    result = analyzed(installed, "verify", "--man=no", "--recursive-errors=no", *units)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_systemd_reports_a_deliberate_mistake_in_a_unit(installed: Path) -> None:
    unit = installed / "notification-api.service"
    unit.write_text(unit.read_text().replace("NoNewPrivileges=", "NoNewPrivilege="))
    assert "NoNewPrivilege" in analyzed(installed, "verify", "--man=no", "./notification-api.service").stderr


@pytest.mark.parametrize("name", SERVICES)
def test_services_pass_the_security_analysis_of_systemd(installed: Path, name: str) -> None:
    unit = f"./{name.replace('@', '@high')}.service"
    result = analyzed(installed, "security", "--offline=true", f"--threshold={SAFE}", unit)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_has_the_restrictions_that_the_analysis_cannot_check(name: str) -> None:
    given = service(name)
    closed = {"User": "notify", "NoNewPrivileges": "yes", "ProtectSystem": "strict", "CapabilityBoundingSet": ""}
    assert {option: given[option] for option in closed} == {option: [value] for option, value in closed.items()}
    assert "ReadWritePaths" not in given
    assert "u notify " in (UNITS / "notification-system.sysusers").read_text()


@pytest.mark.parametrize("name", SERVICES)
def test_every_program_exists(name: str) -> None:
    [command] = service(name)["ExecStart"]
    program, *words = command.split()
    assert program.rpartition("/")[0] == PROGRAMS
    assert program.rpartition("/")[2] in {script.name for script in entry_points(group="console_scripts")}
    if program.endswith("/notify"):
        assert words[0] in COMMANDS


def test_services_have_time_to_finish_and_only_their_main_process_is_signalled() -> None:
    api, worker = service("notification-api"), service("notification-worker@")
    assert int(worker["TimeoutStopSec"][0]) > LAST_ANSWER + USUAL.process.shutdown_grace
    assert int(api["TimeoutStopSec"][0]) > 2 * USUAL.process.shutdown_grace + USUAL.redis.timeout
    assert [unit["KillMode"] for unit in (api, worker)] == [["mixed"], ["mixed"]]
    assert [unit["Restart"] for unit in (api, worker)] == [["always"], ["always"]]


def test_programs_start_after_the_migration_and_the_socket_stays() -> None:
    for name in ("notification-api", "notification-worker@"):
        assert "notification-migrate.service" in service(name)["After"][0].split()
        assert "notification-migrate.service" in service(name)["Wants"][0].split()
    assert service("notification-api")["Requires"] == ["notification-api.socket"]
    assert options("notification-api.socket")["ListenStream"] == [variables("settings.env.example")["BIND"]]


def test_units_set_only_known_settings_and_no_secret() -> None:
    given = variables("settings.env.example")
    assert set(given) <= settings.VARIABLES.keys()
    assert {name for name, value in given.items() if not value} == {"DATABASE_URL", "REDIS_URL", "SMTP_URL"}
    assert settings.read(given).telemetry.log_format == "json"


def test_the_worker_instances_serve_every_priority_together() -> None:
    queues = []
    for path in UNITS.glob("worker-*.env"):
        words = variables(path.name)["OPTIONS"].split()
        queues += words[words.index("--queues") + 1 :]
    assert sorted(queues) == sorted(priority.queue for priority in PRIORITIES.values())
    assert service("notification-worker@")["ExecStart"][0].endswith(" $OPTIONS")
