"""The clients have all of the API's operations and fields, and both have the same methods."""

from __future__ import annotations

import inspect
import json
import re
import typing
from typing import Any

import pytest

from actors.channels.registry import channels
from notification_client import (
    AsyncClient,
    Client,
    destinations,
    domains,
    endpoints,
    fields,
    models,
    stored_data,
    suppressions,
    templates,
)
from notification_client.decoding import Model, camel
from tests.processes import ROOT

SOURCE = ROOT / "clients" / "python" / "src" / "notification_client"
OPENAPI = json.loads((ROOT / "api" / "schemas" / "openapi.json").read_text())
SCHEMAS = OPENAPI["components"]["schemas"]
# Operations for operators, browsers and monitoring, which a program that sends needs not; `request` reaches them.
NOT_OF_A_CLIENT = re.compile(
    r"/api/(clients|keys|audit|history|pauses$|pauses/channels|providers|reports)|/u/|/healthz|/readyz|/metrics|/openapi"
)
MODELS: dict[str, type[Model]] = {
    "Notification": models.Notification,
    "Attachment": models.AttachmentInfo,
    "Attempt": models.Attempt,
    "Event": models.Event,
    "Limits": models.Limits,
    "Template": templates.Template,
    "Preview": templates.Preview,
    "Suppression": suppressions.Suppression,
    "CallbackWithSecret": endpoints.CallbackEndpoint,
    "DeliveryWithAttempts": endpoints.Delivery,
    "CallbackHealth": endpoints.CallbackHealth,
    "CallbacksRetried": endpoints.CallbacksRetried,
    "Domain": domains.Domain,
    "DomainRecord": domains.DomainRecord,
    "DomainKey": domains.DomainKey,
    "DestinationWithSecret": destinations.Destination,
    "Pause": stored_data.Pause,
}
# Internal to the server; `json` has them.
LEFT_OUT = {"worker"}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_has_every_field_that_the_api_documents(name: str) -> None:
    known = {camel(field) for field in typing.get_type_hints(MODELS[name])}

    assert set(SCHEMAS[name]["properties"]) - LEFT_OUT <= known


def test_every_field_of_a_new_notification_is_typed() -> None:
    shared = json.loads((ROOT / "api" / "schemas" / "notification.json").read_text())["properties"]
    own = [json.loads(channel.schema.read_text())["properties"] for channel in channels().values()]
    typed = {camel(field) for field in fields.NewNotification.__annotations__} - {"idempotencyKey"}

    assert typed == set(shared).union(*own)


def test_every_filter_is_typed() -> None:
    parameters = OPENAPI["paths"]["/api/notifications"]["get"]["parameters"]
    retried = json.loads((ROOT / "api" / "schemas" / "retry.json").read_text())["properties"]["filter"]["properties"]

    assert {camel(field) for field in fields.Filters.__annotations__} == {p["name"] for p in parameters} - {
        *("limit", "cursor"),
    }
    assert {camel(field) for field in fields.FailedFilters.__annotations__} == set(retried)


def test_every_operation_has_a_method_or_a_reason_to_lack_one() -> None:
    paths = {path for path in OPENAPI["paths"] if not NOT_OF_A_CLIENT.search(path)}
    made = {
        re.sub(r'"(\w[\w-]*)"|(\w+)', lambda part: part[1] or "{}", call).replace(", ", "/").replace("/*versioned", "")
        for file in SOURCE.glob("*.py")
        for call in re.findall(r"\bpath\(([^()*]+)(?:, \*versioned)?\)", file.read_text())
    }

    assert {re.sub(r"\{\w+\}", "{}", path.removeprefix("/api/")) for path in paths} - made <= {
        "templates/{}/versions/{}",  # made of parts
    }


GROUPS: tuple[tuple[Any, Any], ...] = (
    (Client, AsyncClient),
    (templates.Templates, templates.AsyncTemplates),
    (suppressions.Suppressions, suppressions.AsyncSuppressions),
    (domains.Domains, domains.AsyncDomains),
    (endpoints.CallbackEndpoints, endpoints.AsyncCallbackEndpoints),
    (destinations.Destinations, destinations.AsyncDestinations),
    (stored_data.StoredData, stored_data.AsyncStoredData),
)


@pytest.mark.parametrize(("ordinary", "asynchronous"), GROUPS)
def test_both_clients_have_the_same_methods(ordinary: Any, asynchronous: Any) -> None:
    def methods(kind: Any) -> dict[str, tuple[str, Any]]:
        public = {name: method for name, method in inspect.getmembers(kind) if not name.startswith("_")}
        return {
            name: (inspect.getdoc(method) or "", list(inspect.signature(method).parameters.values()))
            for name, method in public.items()
            if inspect.isfunction(method)
        }

    assert methods(ordinary) == methods(asynchronous)
    assert all(doc for doc, _ in methods(ordinary).values())
