"""The documents in docker/kubernetes/, parsed, and the pods that their selectors select."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1] / "docker" / "kubernetes"
Document = dict[str, Any]
# Of the kinds that are not Kubernetes' own: what we use of KEDA 2 and of the Prometheus operator.
NAME = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
OTHERS: dict[str, Any] = {
    "ScaledObject": {
        "required": ["scaleTargetRef", "triggers"],
        "additionalProperties": False,
        "properties": {
            "scaleTargetRef": NAME,
            **{name: {"type": "integer"} for name in ("minReplicaCount", "maxReplicaCount", "pollingInterval")},
            "fallback": {"type": "object", "required": ["failureThreshold", "replicas"]},
            "advanced": {"properties": {"horizontalPodAutoscalerConfig": {"type": "object"}}},
            "triggers": {
                "items": {
                    "required": ["type", "metadata"],
                    "properties": {
                        "type": {"const": "prometheus"},
                        "metricType": {"enum": ["AverageValue", "Value"]},
                        "metadata": {
                            "required": ["serverAddress", "query", "threshold"],
                            "additionalProperties": {"type": "string"},
                        },
                    },
                },
            },
        },
    },
    "PodMonitor": {
        "required": ["selector", "podMetricsEndpoints"],
        "additionalProperties": False,
        "properties": {
            "selector": {"type": "object", "minProperties": 1},
            "podMetricsEndpoints": {
                "items": {
                    "required": ["port", "path", "authorization"],
                    "properties": {"authorization": {"required": ["credentials"], "properties": {"credentials": NAME}}},
                }
            },
        },
    },
}


@cache
def documents() -> tuple[Document, ...]:
    """All manifests, the example of a Secret included, without the kustomizations."""
    files = sorted(path for path in ROOT.glob("**/*.yaml") if path.name != "kustomization.yaml")
    return tuple(document for path in files for document in yaml.safe_load_all(path.read_text()))


def of_kind(*kinds: str) -> list[Document]:
    """Those of these kinds; there is one at least."""
    found = [document for document in documents() if document["kind"] in kinds]
    assert found, kinds
    return found


def named(kind: str, name: str) -> Document:
    """The one of this kind and name."""
    [found] = [document for document in of_kind(kind) if document["metadata"]["name"] == name]
    return found


def template(document: Document) -> Document:
    """The pods of a Deployment or Job."""
    found: Document = document["spec"]["template"]
    return found


def container(document: Document) -> Document:
    """The one container of a Deployment or Job."""
    [found] = template(document)["spec"]["containers"]
    return dict(found)


def component(document: Document) -> str:
    """Return the component that the pods of a document are labelled with."""
    return str(template(document)["metadata"]["labels"]["app.kubernetes.io/component"])


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Return True if a label selector selects labels: matchLabels, and matchExpressions with In."""
    unknown = set(selector) - {"matchLabels", "matchExpressions"}
    assert not unknown
    expressions = selector.get("matchExpressions", [])
    assert all(expression["operator"] == "In" for expression in expressions)
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and all(
        labels.get(expression["key"]) in expression["values"] for expression in expressions
    )


def selected(selector: Mapping[str, Any]) -> set[str]:
    """The components whose pods a selector selects."""
    workloads = of_kind("Deployment", "Job")
    return {component(w) for w in workloads if selects(selector, template(w)["metadata"]["labels"])}


def egress(name: str) -> Iterator[tuple[list[Any], list[Mapping[str, Any]]]]:
    """Of the policies that apply to a component: peers (empty: anywhere) and ports."""
    for policy in of_kind("NetworkPolicy"):
        if name in selected(policy["spec"]["podSelector"]):
            for rule in policy["spec"].get("egress", []):
                yield rule.get("to", []), rule["ports"]
