"""Checks of docker/ without Docker: every named file and command exists, and privileges are restricted."""

from __future__ import annotations

import configparser
import json
import re
from fnmatch import fnmatch
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

import settings
from actors.channels.email.smtp_provider import LAST_ANSWER
from api.rendering.pool import MEMORY
from cli.main import COMMANDS
from tests.accounts import mail_server

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
OURS = ("api", "worker", "migrate")
VARIABLE = re.compile(r"\$\{(\w+)(?::([?-])([^}]*))?\}")
MONITORING = ("prometheus", "grafana")
# Read where the metrics are served; harmless where they are not.
OF_METRICS = {"METRICS_BIND", "METRICS_TOKEN"}
FILLED = {
    "POSTGRES_PASSWORD": "0a1b2c",
    "REDIS_PASSWORD": "3d4e5f",
    "SMTP_URL": "smtp://u:p@mail.example:587",
    "MAIL_FROM": "Shop <a@example.com>",
}


@cache
def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's, as (name, arguments)."""
    text = re.sub(r"^#.*\n", "", (DOCKER / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    pairs = [line.partition(" ") for line in text.splitlines() if line.strip()]
    return [(name, re.sub(r"\s+", " ", arguments).strip()) for name, _, arguments in pairs]


def arguments(name: str) -> list[str]:
    return [given for instruction, given in instructions() if instruction == name]


def copied() -> list[str]:
    """Return the paths that the build copies from the project."""
    return [source for given in arguments("COPY") for source in given.split(" ")[:-1]]


@cache
def compose() -> dict[str, Any]:
    """compose.yaml with the variables of a filled .env put in."""
    document: dict[str, Any] = yaml.safe_load(VARIABLE.sub(value, (DOCKER / "compose.yaml").read_text()))
    return document


def value(variable: re.Match[str]) -> str:
    name, kind, default = variable.groups()
    assert name in FILLED or kind == "-", f"{name} has no default and does not stand in .env.example"
    return FILLED.get(name, default)


def seconds(duration: str) -> int:
    number, unit = re.fullmatch(r"(\d+)([smh])", duration).groups()  # type: ignore[union-attr]
    return int(number) * {"s": 1, "m": 60, "h": 3600}[unit]


def commands() -> list[list[str]]:
    from_compose = [compose()["services"][name].get("command") for name in OURS]
    return [json.loads(given) for given in arguments("CMD")] + [command for command in from_compose if command]


def test_the_image_build_finds_all_files_and_copies_all_packages() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    packages = [name.strip("*") for name in setup["options.packages.find"]["include"].split()]
    needed = {"setup.cfg", "pyproject.toml", "README.md", "LICENSE", "gunicorn.conf.py", *packages}
    assert set(copied()) == needed
    assert [source for source in copied() if not (ROOT / source).exists()] == []


def test_dockerignore_lets_through_only_files_that_the_build_copies() -> None:
    lines = [
        line for line in (DOCKER / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] not in ("#", "")
    ]
    assert lines[0] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == set(copied())


def test_images_are_pinned_to_a_version_that_the_project_supports() -> None:
    [image] = [given.removeprefix("PYTHON=") for given in arguments("ARG")]
    assert re.fullmatch(r"python:3\.(1[1-4])-slim-bookworm", image)
    assert {given.split(" ")[0] for given in arguments("FROM")} == {"${PYTHON}"}
    services = compose()["services"]
    postgres = re.fullmatch(r"postgres:(\d+)-alpine", services["postgres"]["image"])
    assert postgres is not None
    assert 14 <= int(postgres[1]) <= 18
    assert re.fullmatch(r"valkey/valkey:[89]\.\d+-alpine", services["redis"]["image"])


def test_the_image_runs_as_an_unprivileged_user_and_writes_no_bytecode() -> None:
    assert arguments("USER") == ["10001:10001"]
    assert any("--uid 10001" in given for given in arguments("RUN"))
    assert "PYTHONDONTWRITEBYTECODE=1" in arguments("ENV")[0]
    assert arguments("STOPSIGNAL") == ["SIGTERM"]
    assert "embedded" not in (DOCKER / "Dockerfile").read_text()


def test_every_command_in_the_compose_file_exists() -> None:
    scripts = {script.name for script in entry_points(group="console_scripts")}
    assert len(commands()) == 3
    for program, *words in commands():
        assert program in scripts
        if program == "dramatiq":
            assert find_spec(words[0]) is not None
        if program == "notify":
            assert words[0] in COMMANDS


def test_the_health_check_requests_an_existing_path() -> None:
    [check] = [json.loads(given.partition("CMD ")[2]) for given in arguments("HEALTHCHECK")]
    assert check[:2] == ["python", "-c"]
    compile(check[2], "HEALTHCHECK", "exec")
    [(port, path)] = re.findall(r"'http://127\.0\.0\.1:(\d+)(/\w+)'", check[2])
    assert any(f'"{path}"' in module.read_text() for module in (ROOT / "api").rglob("*.py"))
    assert compose()["services"]["api"]["environment"]["BIND"].endswith(f":{port}")
    assert f"BIND=0.0.0.0:{port}" in arguments("ENV")[0]


@pytest.mark.parametrize("service", OURS)
def test_every_variable_is_a_setting_with_a_valid_value(service: str) -> None:
    environment = compose()["services"][service]["environment"]
    assert set(environment) <= settings.VARIABLES.keys() | OF_METRICS
    assert all(isinstance(value, str) for value in environment.values())
    read = settings.read(environment)
    read.database.require()
    read.redis.require()
    assert read.http.auth == "required"
    if service != "migrate":
        assert read.smtp.sender == FILLED["MAIL_FROM"]


def test_the_password_of_the_mail_server_is_for_workers_alone() -> None:
    environments = {name: compose()["services"][name]["environment"] for name in OURS}
    assert [name for name, given in environments.items() if "SMTP_URL" in given] == ["worker"]
    assert mail_server(settings.read(environments["worker"])).host == "mail.example"
    for name in ("api", "migrate"):
        assert not {"SMTP_URL", "EMAIL_USER", "EMAIL_PASS"} & environments[name].keys()
    # What signs links and opens the metrics is nothing that the schema is changed with.
    assert not [name for name in environments["migrate"] if re.search("SECRET|TOKEN|MAIL", name)]


def test_every_service_has_limits_of_memory_and_processes() -> None:
    for name, service in compose()["services"].items():
        assert re.fullmatch(r"\d+[mg]", service["mem_limit"]), name
        assert 0 < service["pids_limit"] <= 512, name
    usual = settings.Settings()
    each = usual.templates.processes * MEMORY + usual.http.bodies_limit
    assert size(compose()["services"]["api"]["mem_limit"]) > usual.process.web_concurrency * each


def size(text: str) -> int:
    return int(text[:-1]) * {"m": 2**20, "g": 2**30}[text[-1]]


def test_redis_requires_the_password_that_every_service_uses() -> None:
    services = compose()["services"]
    command = services["redis"]["command"]
    password = command[command.index("--requirepass") + 1]
    assert password == services["redis"]["environment"]["REDISCLI_AUTH"] == FILLED["REDIS_PASSWORD"]
    for name in OURS:
        assert urlsplit(services[name]["environment"]["REDIS_URL"]).password == password


def test_the_example_env_file_contains_every_variable_that_compose_requires() -> None:
    asked = {name for name, *_ in VARIABLE.findall((DOCKER / "compose.yaml").read_text())}
    offered = re.findall(r"^(\w+)=", (DOCKER / ".env.example").read_text(), flags=re.MULTILINE)
    assert set(offered) == asked
    assert any(fnmatch(".env", line) for line in (DOCKER / ".gitignore").read_text().splitlines())


def test_ports_are_published_on_this_machine_only() -> None:
    published = {name: service["ports"] for name, service in compose()["services"].items() if "ports" in service}
    assert published == {
        "api": ["127.0.0.1:8000:8000"],
        "prometheus": ["127.0.0.1:9090:9090"],
        "grafana": ["127.0.0.1:3000:3000"],
    }


def test_monitoring_starts_only_with_its_profile() -> None:
    services = compose()["services"]
    assert {name for name, service in services.items() if "profiles" in service} == set(MONITORING)
    assert all(services[name]["profiles"] == ["monitoring"] for name in MONITORING)
    for name in MONITORING:
        assert re.fullmatch(r"(prom|grafana)/\w+:v?\d+\.\d+\.\d+", services[name]["image"])
        assert "no-new-privileges:true" in services[name]["security_opt"]


def test_prometheus_scrapes_the_api_and_every_worker_with_the_token() -> None:
    prometheus = compose()["services"]["prometheus"]
    config = yaml.safe_load((DOCKER / "prometheus" / "prometheus.yml").read_text())
    api, worker = config["scrape_configs"]
    services = compose()["services"]
    [target] = api["static_configs"][0]["targets"]
    assert target == f"api:{services['api']['environment']['BIND'].rpartition(':')[2]}"
    [names] = worker["dns_sd_configs"]
    assert (names["names"], names["port"]) == (["worker"], 9191)
    assert "METRICS_BIND" in services["worker"]["environment"]
    [token] = prometheus["configs"]
    assert {job["authorization"]["credentials_file"] for job in (api, worker)} == {token["target"]}
    assert token["source"] in compose()["configs"]
    assert config["rule_files"] == ["alerts.yml"]
    assert "--config.file=/etc/prometheus/prometheus.yml" in prometheus["command"]
    assert "./prometheus:/etc/prometheus:ro" in prometheus["volumes"]


def test_grafana_finds_prometheus_and_the_dashboards() -> None:
    grafana = compose()["services"]["grafana"]
    provisioning = DOCKER / "grafana" / "provisioning"
    [source] = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    [provider] = yaml.safe_load((provisioning / "dashboards" / "notifications.yaml").read_text())["providers"]
    mounts = dict(volume.split(":")[1::-1] for volume in grafana["volumes"])
    assert mounts["/etc/grafana/provisioning"] == "./grafana/provisioning"
    assert mounts[provider["options"]["path"]] == "./grafana"
    assert grafana["environment"]["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"


@pytest.mark.parametrize("service", OURS)
def test_our_services_run_with_restricted_privileges(service: str) -> None:
    definition = compose()["services"][service]
    assert definition["read_only"] is True
    assert definition["tmpfs"] == ["/tmp"]
    assert definition["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in definition["security_opt"]
    assert "volumes" not in definition


def test_services_start_in_order_and_are_started_again() -> None:
    services = compose()["services"]
    for name, service in services.items():
        assert service["restart"] == ("no" if name == "migrate" else "unless-stopped")
        assert "container_name" not in service  # or it could not be scaled
        for needed, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "test" in services[needed]["healthcheck"]
            else:
                assert (needed, how["condition"]) == ("migrate", "service_completed_successfully")
    for name in ("api", "worker"):
        assert set(services[name]["depends_on"]) == {"migrate", "redis"}


def test_services_have_time_to_finish_their_work_before_they_are_killed() -> None:
    usual = settings.Settings()
    services = compose()["services"]
    assert seconds(services["worker"]["stop_grace_period"]) > LAST_ANSWER + usual.process.shutdown_grace
    assert seconds(services["api"]["stop_grace_period"]) > 2 * usual.process.shutdown_grace + usual.redis.timeout


def test_redis_persists_its_data() -> None:
    command = compose()["services"]["redis"]["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert (options["--appendonly"], options["--maxmemory-policy"]) == ("yes", "noeviction")


def test_data_are_in_volumes_that_are_declared() -> None:
    services = compose()["services"]
    sources = {volume.partition(":")[0] for service in services.values() for volume in service.get("volumes", [])}
    mounted = {source for source in sources if not source.startswith("./")}
    assert mounted == set(compose()["volumes"])
    assert all((DOCKER / source).is_dir() for source in sources - mounted)
    # Where the image keeps its data since version 18.
    assert services["postgres"]["volumes"] == ["postgres:/var/lib/postgresql"]
    assert services["redis"]["volumes"] == ["redis:/data"]
