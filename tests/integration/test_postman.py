"""The Postman collection in docs/ runs as it stands, in its order, and covers the whole API."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from cli.servers.valkey import Valkey
from tests.client import Response
from tests.contract import CheckedClient
from tests.integration.api import Api, running
from tests.processes import ROOT

FILE = ROOT / "docs" / "postman_collection.json"
COLLECTION = json.loads(FILE.read_text())
NOBODY = "999999999"
STATUS = re.compile(r"pm\.response\.to\.have\.status\((\d+)\)")
KEPT = re.compile(r'pm\.collectionVariables\.set\("(\w+)", pm\.response\.json\(\)\.(\w+)\)')


def requests(items: list[Any] = COLLECTION["item"]) -> list[Any]:
    """The requests of all folders, in their order."""
    return [found for item in items for found in (requests(item["item"]) if "item" in item else [item])]


def shape(path: str) -> str:
    """A path with {} for whatever stands in it for one thing."""
    return re.sub(r"\{+\w+\}+", "{}", path)


def script(item: Any) -> str:
    """Return the script that Postman runs after the answer."""
    return "\n".join(line for event in item["event"] for line in event["script"]["exec"])


def begins_a_run(item: Any) -> bool:
    """Return whether Postman gives `run` a new value before this request."""
    return 'pm.collectionVariables.set("run", Date.now().toString(36));' in script(item)


def filled(text: str, variables: Mapping[str, str]) -> str:
    """Fill in the variables as Postman does, and raise KeyError for one that is not set."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: variables[found[1]], text)


def send(client: CheckedClient, request: Any, variables: Mapping[str, str]) -> Response:
    url = urlsplit(filled(request["url"]["raw"], variables))
    body = filled(request["body"]["raw"], variables).encode() if "body" in request else None
    headers = {header["key"]: filled(header["value"], variables) for header in request["header"]}
    return client.request(request["method"], f"{url.path}?{url.query}" if url.query else url.path, body, headers)


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url, domain_keys_secret="s" * 32) as api:
        yield api


@pytest.fixture(scope="module")
def variables(api: Api) -> dict[str, str]:
    """Carried from one request to the next."""
    given = {variable["key"]: variable["value"] for variable in COLLECTION["variable"]}
    return given | {"baseUrl": f"http://127.0.0.1:{api.port}"}


@pytest.mark.parametrize("item", requests() * 2, ids=lambda item: str(item["name"]))
def test_each_request_of_the_collection_is_answered_as_described_in_two_runs(
    api: Api, variables: dict[str, str], item: Any
) -> None:
    if begins_a_run(item):
        variables["run"] = f"{time.time_ns():x}"
    answer = send(api.client, item["request"], variables)

    [expected] = STATUS.findall(script(item))
    assert answer.status == int(expected)
    for name, field in KEPT.findall(script(item)):
        assert answer.json[field] is not None
        variables[name] = str(answer.json[field])


def test_the_collection_covers_every_operation_and_the_faults_of_each_kind(api: Api) -> None:
    named = {"{channel}": "email", "{name}": "postman-{}", "{number}": "1", "{address}": "postman-{}@example.com"}
    named |= {"{provider}": "backup", "{domain}": "postman-{}.example.com"}
    sent = {
        (i["request"]["method"], shape("/" + "/".join(i["request"]["url"]["path"]).replace(NOBODY, "{}")))
        for i in requests()
    }
    documented = {
        (method.upper(), shape(re.sub(r"\{\w+\}", lambda found: named.get(found[0], found[0]), path)))
        for path, item in api.contract.document["paths"].items()
        for method in item.keys() - {"parameters"}
    }

    assert {operation for operation in documented if "/u/" not in operation[1]} <= sent
    assert {method for method, path in sent if path.startswith("/u/")} == {"GET", "POST"}
    assert {status for item in requests() for status in STATUS.findall(script(item))} == {
        *("200", "201", "202", "204", "400", "404", "405", "409", "415", "422")
    }


def test_the_collection_matches_the_output_of_its_generator() -> None:
    made = subprocess.run([sys.executable, "docs/postman.py"], cwd=ROOT, capture_output=True, check=True)

    assert FILE.read_bytes() == made.stdout, "run: python docs/postman.py > docs/postman_collection.json"


def test_the_generator_fails_for_an_operation_without_a_step(tmp_path: Path) -> None:
    for name in ("docs/postman.py", "docs/postman_walk.py", "api/schemas/openapi.json"):
        copy = tmp_path / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text((ROOT / name).read_text().replace('Step("showLimits"),', ""))
    made = subprocess.run([sys.executable, tmp_path / "docs" / "postman.py"], capture_output=True, check=False)

    assert (made.returncode, made.stdout) == (1, b"")
    assert b"no step for showLimits" in made.stderr


def test_the_parts_of_each_url_match_the_whole_url() -> None:
    for item in requests():
        url = item["request"]["url"]
        query = "&".join(f"{part['key']}={part['value']}" for part in url.get("query", []))
        assert url["raw"] == "/".join(url["host"] + url["path"]) + (f"?{query}" if query else "")


def test_the_collection_has_version_2_1_and_the_expected_variables() -> None:
    assert COLLECTION["info"]["schema"] == "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
    assert {variable["key"] for variable in COLLECTION["variable"]} == {
        *("baseUrl", "key", "id", "cursor", "run", "clientId", "keyId", "callbackId", "erasureId", "templateVersion")
    }


def test_a_run_of_the_collection_does_not_change_existing_data(api: Api) -> None:
    """Whatever it deletes, erases or takes off the suppression list has the number of the run in its name."""
    removing = [i["request"]["url"]["raw"] for i in requests() if i["request"]["method"] == "DELETE"]
    named = [url for url in removing if "/templates/" in url or "/suppressions/" in url]
    assert len(named) == 3
    assert all("postman-{{run}}" in url for url in named)
    [erasing] = [i for i in requests() if i["request"]["url"]["raw"].endswith("/api/erasures")]
    assert json.loads(erasing["request"]["body"]["raw"])["recipient"] == "postman-{{run}}@example.com"
