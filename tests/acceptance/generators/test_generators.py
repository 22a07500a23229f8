"""Clients that well-known generators make of /openapi.json send a mail and find it again, without a workaround."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.conftest import NewWorld
from tests.acceptance.generators.tools import HERE, compiled, needed, node_project, node_tool, run
from tests.acceptance.world import World
from tests.eventually import eventually
from tests.keys import key

pytestmark = pytest.mark.long

# openapi-generator says so of every document of OpenAPI 3.1, and of every API with a parameter `type`, a word of Go.
# (The "model" that it renames is the type of the same parameter, of which it makes no file.)
FORESEEN = re.compile(r"3\.1 support is still in beta|type \(reserved word\) cannot")
# And of a named array whose items have no name. FinalStatuses is one, because openapi-python-client makes one type of
# it instead of four. Its items cannot be named: they share values with Status, and in Go each value is one constant.
OF_AN_ARRAY = "Failed to get the schema name: null"
# It makes no function for a report, which is a mail or what a provider sends.
NOT_JSON = {
    "WARNING parsing POST /api/reports within operation. Endpoint will not be generated.",
    "Unsupported content type message/rfc822",
    "WARNING parsing POST /api/reports/{provider} within operation. Endpoint will not be generated.",
    "Unsupported content type */*",
}
GO_MODULE = ("--git-host", "example.com", "--git-user-id", "notifications", "--git-repo-id", "client")
Sends = Callable[..., None]


@pytest.fixture(scope="module")
def world(new_world: NewWorld) -> World:
    """The system with keys required."""
    world = new_world(auth="required")
    world.system.start_api()
    world.system.start_workers()
    return world


@pytest.fixture
def document(world: World, tmp_path: Path) -> Path:
    """The document as the API serves it, in an empty directory."""
    path = tmp_path / "openapi.json"
    path.write_bytes(world.system.client.get("/openapi.json").raw)
    return path


@pytest.fixture
def sends(world: World) -> Sends:
    """Runs a program that sends a mail and lists the notifications like it, and waits for the mail."""

    def check(*command: object, cwd: Path) -> None:
        recipient, secret = world.recipient(), key(world.system.sql, ["send", "read"])
        said = run(*command, f"http://127.0.0.1:{world.system.port}", secret, recipient, cwd=cwd)
        sent, *found = said.split()
        assert found == [sent]
        eventually(
            lambda: [mail for mail in world.mail_server.mails if mail.recipients == (recipient,)],
            within=20,
            saying=world.system.logs,
        )

    return check


def test_the_linter_of_openapi_documents_finds_no_fault(document: Path) -> None:
    """Redocly, with its recommended rules."""
    said = run(node_tool("redocly"), "lint", "--format=json", document, cwd=document.parent, REDOCLY_TELEMETRY="off")

    found, _ = json.JSONDecoder().raw_decode(said[said.index("{") :])
    assert found["problems"] == []


def test_openapi_typescript_makes_types_that_compile(document: Path, sends: Sends) -> None:
    node_project(document.parent, "openapi_typescript.ts")
    said = run(node_tool("openapi-typescript"), document, "-o", "generated.ts", cwd=document.parent)

    assert "warn" not in said.lower()
    sends("node", compiled(document.parent), cwd=document.parent)


def test_hey_api_makes_a_client_that_works(document: Path, sends: Sends) -> None:
    node_project(document.parent, "hey_api.ts")
    shutil.copy(HERE / "hey_api.config.mjs", document.parent)
    said = run(node_tool("openapi-ts"), "-f", "hey_api.config.mjs", cwd=document.parent)

    assert "warn" not in said.lower()
    sends("node", compiled(document.parent), cwd=document.parent)


def test_openapi_python_client_makes_a_client_that_works(document: Path, sends: Sends) -> None:
    target = document.parent / "generated"
    generate = ("openapi-python-client", "generate", "--meta", "none", "--path", document, "--output-path", target)
    said = run(*generate, cwd=document.parent)

    assert ["Generating", str(target)] in [line.split() for line in said.splitlines()]
    assert set(re.findall(r"(?:WARNING|ERROR|Unsupported|Unable).*", said)) <= NOT_JSON
    shutil.copy(HERE / "programs" / "openapi_python_client.py", document.parent)
    sends(sys.executable, "openapi_python_client.py", cwd=document.parent)


def test_openapi_generator_makes_a_client_for_go_that_works(document: Path, sends: Sends) -> None:
    needed("java", "default-jre-headless")
    go = needed("go", "golang-go")
    generate = ("openapi-generator-cli", "generate", "-g", "go", "-i", document, "-o", "client", *GO_MODULE)
    said = run(*generate, cwd=document.parent)

    warnings = [line for line in said.splitlines() if "WARN" in line or "ERROR" in line]
    unforeseen = [line for line in warnings if not FORESEEN.search(line)]
    assert len(unforeseen) <= 1
    assert all(OF_AN_ARRAY in line for line in unforeseen)
    client = document.parent / "client"
    (client / "program").mkdir()
    shutil.copy(HERE / "programs" / "openapi_generator.go", client / "program" / "main.go")
    run(go, "build", "-o", "built", "./program", cwd=client)
    sends(client / "built", cwd=client)
