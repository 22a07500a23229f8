"""Checks of docker/kubernetes/ without a cluster: its shape, and that all it names exists and fits."""

from __future__ import annotations

import ipaddress
import re
import shutil
import subprocess

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft202012Validator

import settings
from actors.channels.email.smtp_provider import LAST_ANSWER
from actors.channels.webhook import networks
from actors.queue.priorities import PRIORITIES
from cli.main import COMMANDS
from tests import kubernetes as k8s
from tests.accounts import mail_server

VERSIONS = ("1.30", "1.37")
WORKERS = ("worker", "worker-urgent")
USUAL = settings.Settings()
SECRETS = {name for name, (_, field) in settings.VARIABLES.items() if not field.repr}
# Read where the metrics are served; harmless where they are not.
OF_METRICS = {"METRICS_BIND", "METRICS_TOKEN"}
FILLED = {
    "DATABASE_URL": "postgresql://u:p@db/n",
    "REDIS_URL": "redis://r:6379/0",
    "SMTP_URL": "smtp://u:p@m.example:587",
}


def title(document: k8s.Document) -> str:
    return f"{document['kind']}/{document['metadata']['name']}"


def given() -> dict[str, str]:
    lines = (k8s.ROOT / "base" / "settings.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


def validated(document: k8s.Document, versions: tuple[str, ...] = VERSIONS) -> None:
    if schema := k8s.OTHERS.get(document["kind"]):
        Draft202012Validator(schema).validate(document["spec"])
        return
    for version in versions:
        kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("document", k8s.documents(), ids=title)
def test_every_manifest_matches_the_schema_of_kubernetes(document: k8s.Document) -> None:
    validated(document)
    assert "namespace" not in document["metadata"]


def test_a_deliberate_mistake_in_a_manifest_is_found() -> None:
    api = yaml.safe_load(yaml.safe_dump(k8s.named("Deployment", "notification-api")))
    api["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="readynessProbe"):
        validated(api)


def test_kustomizations_list_exactly_the_existing_files() -> None:
    for path in k8s.ROOT.glob("**/kustomization.yaml"):
        kustomization = yaml.safe_load(path.read_text())
        listed = [*kustomization.get("resources", []), *kustomization.get("components", [])]
        listed += [
            env for generator in kustomization.get("configMapGenerator", []) for env in generator.get("envs", [])
        ]
        assert [name for name in listed if not (path.parent / name).exists()] == []
        files = {file.name for file in path.parent.iterdir()} - {"kustomization.yaml", "secret.example.yaml"}
        assert files <= set(listed), path


@pytest.mark.parametrize("folder", ["base", "example/system", "example/migrate-before", "example/migrate-after"])
def test_the_rendered_manifests_match_the_schema_of_kubernetes(folder: str) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    rendered = subprocess.run([kubectl, "kustomize", k8s.ROOT / folder], capture_output=True, text=True, check=True)
    found = list(yaml.safe_load_all(rendered.stdout))
    for document in found:
        validated(document, VERSIONS[-1:])
    labels = {document["metadata"]["labels"]["app.kubernetes.io/name"] for document in found}
    assert labels == {"notification-system"}
    if folder != "base":
        assert {document["metadata"]["namespace"] for document in found} == {"notifications"}
        images = {k8s.container(document)["image"] for document in found if document["kind"] in ("Deployment", "Job")}
        assert images == {"registry.example.com/notification-system:0.1.0"}


def test_every_selector_matches_the_labels_of_its_pods() -> None:
    for deployment in k8s.of_kind("Deployment"):
        own = {k8s.component(deployment)}
        assert k8s.selected(deployment["spec"]["selector"]) == own
        [spread] = k8s.template(deployment)["spec"]["topologySpreadConstraints"]
        assert k8s.selected(spread["labelSelector"]) == own
        budget = k8s.named("PodDisruptionBudget", deployment["metadata"]["name"])
        assert k8s.selected(budget["spec"]["selector"]) == own
    [service] = k8s.of_kind("Service")
    assert k8s.selected({"matchLabels": service["spec"]["selector"]}) == {"api"}
    for scaler in k8s.of_kind("HorizontalPodAutoscaler", "ScaledObject"):
        assert k8s.named("Deployment", scaler["spec"]["scaleTargetRef"]["name"])
    watched = [k8s.selected(monitor["spec"]["selector"]) for monitor in k8s.of_kind("PodMonitor")]
    assert watched == [{"api"}, set(WORKERS)]


def test_the_config_map_has_known_settings_and_the_secret_has_the_secrets() -> None:
    [secret] = k8s.of_kind("Secret")
    assert set(secret["stringData"].values()) == {""}
    assert set(secret["stringData"]) <= SECRETS | OF_METRICS
    assert set(given()) & SECRETS == set()
    names = settings.VARIABLES.keys() | OF_METRICS
    assert set(given()) <= names
    for workload in k8s.of_kind("Deployment", "Job"):
        assert {env["name"] for env in k8s.container(workload).get("env", [])} <= names
    read = settings.read(given() | FILLED)
    assert (read.http.auth, read.smtp.sender) == ("required", "noreply@example.com")
    assert mail_server(read).host == "m.example"


def test_pods_get_their_settings_from_the_config_map_and_the_secret() -> None:
    for deployment in k8s.of_kind("Deployment"):
        sources = [next(iter(source.values()))["name"] for source in k8s.container(deployment)["envFrom"]]
        assert sources == ["notification-settings", "notification-system"]
    for job in k8s.of_kind("Job"):
        [url] = [env for env in k8s.container(job)["env"] if "valueFrom" in env]
        assert url["valueFrom"]["secretKeyRef"] == {"name": "notification-system", "key": "DATABASE_URL"}


def test_every_priority_is_served_by_one_group_of_workers() -> None:
    served = [k8s.container(k8s.named("Deployment", f"notification-{name}"))["args"] for name in WORKERS]
    queues = [queue for args in served for queue in args[args.index("--queues") + 1 :]]
    assert sorted(queues) == sorted(priority.queue for priority in PRIORITIES.values())
    assert {args[0] for args in served} == {"dramatiq"}


def test_workers_are_scaled_by_the_pending_notifications_of_their_own_priorities() -> None:
    for scaler in k8s.of_kind("ScaledObject"):
        args = k8s.container(k8s.named("Deployment", scaler["metadata"]["name"]))["args"]
        [trigger] = scaler["spec"]["triggers"]
        priorities = re.fullmatch(
            r'max\(notify_oldest_due_seconds\{priority=~"([^"]+)"\}\)', trigger["metadata"]["query"]
        )
        assert priorities is not None
        watched = {priority.queue for name, priority in PRIORITIES.items() if re.fullmatch(priorities[1], name)}
        assert watched == set(args[args.index("--queues") + 1 :])


def test_probes_use_paths_and_commands_that_exist() -> None:
    app = (k8s.ROOT.parents[1] / "api" / "app.py").read_text()
    for deployment in k8s.of_kind("Deployment"):
        pod = k8s.container(deployment)
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            probe = pod[name]
            if "httpGet" in probe:
                assert f'"{probe["httpGet"]["path"]}"' in app
                assert probe["httpGet"]["port"] in {port["name"] for port in pod["ports"]}
            else:
                program, command = probe["exec"]["command"]
                assert (program, command in COMMANDS) == ("notify", True)
                # A worker must have had the time to report again after an outage of the database.
                assert pod["livenessProbe"]["failureThreshold"] > 1


def test_pods_have_time_to_finish_their_work_before_they_are_killed() -> None:
    read = settings.read(given() | FILLED)
    for name in WORKERS:
        spec = k8s.template(k8s.named("Deployment", f"notification-{name}"))["spec"]
        assert spec["terminationGracePeriodSeconds"] > LAST_ANSWER + read.process.shutdown_grace
    api = k8s.named("Deployment", "notification-api")
    pause = int(k8s.container(api)["lifecycle"]["preStop"]["exec"]["command"][1])
    grace = k8s.template(api)["spec"]["terminationGracePeriodSeconds"]
    assert grace > pause + 2 * read.process.shutdown_grace + read.redis.timeout


@pytest.mark.parametrize("workload", k8s.of_kind("Deployment", "Job"), ids=title)
def test_pods_run_with_restricted_privileges_and_bounded_resources(workload: k8s.Document) -> None:
    spec, pod = k8s.template(workload)["spec"], k8s.container(workload)
    assert spec["automountServiceAccountToken"] is False
    assert (spec["securityContext"]["runAsNonRoot"], spec["securityContext"]["runAsUser"]) == (True, 10001)
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert set(pod["resources"]["requests"]) == {"cpu", "memory"}
    assert "memory" in pod["resources"]["limits"]
    assert [volume["emptyDir"]["medium"] for volume in spec.get("volumes", [])] in ([], ["Memory"])
    compose = yaml.safe_load((k8s.ROOT.parent / "compose.yaml").read_text())
    assert pod["image"] == compose["x-app"]["image"]


def reachable(name: str) -> set[int]:
    """Ports at which a component may reach any address."""
    return {port["port"] for peers, ports in k8s.egress(name) if not peers for port in ports}


def test_network_policies_allow_exactly_the_needed_connections() -> None:
    closed = k8s.named("NetworkPolicy", "notification-closed")["spec"]
    everybody = {"api", "migrate", *WORKERS}
    assert (k8s.selected(closed["podSelector"]), set(closed)) == (everybody, {"podSelector", "policyTypes"})
    stores = {5432, 6379}
    assert [reachable(name) for name in ("api", "migrate", *WORKERS)] == [
        *(stores, stores),
        *[stores | {25, 465, 587}] * 2,
    ]
    for name in everybody:
        # Of its peers one is the names' server, which has labels of its own.
        [names] = [peers for peers, ports in k8s.egress(name) if ports[0]["port"] == 53]
        assert names[0]["podSelector"]["matchLabels"] == {"k8s-app": "kube-dns"}
    [rule] = k8s.named("NetworkPolicy", "notification-api")["spec"]["ingress"]
    [port] = k8s.container(k8s.named("Deployment", "notification-api"))["ports"]
    assert rule["ports"][0]["port"] == port["name"]
    assert given()["BIND"].endswith(f":{port['containerPort']}")


def test_only_workers_that_send_callbacks_may_reach_public_addresses() -> None:
    peers = {name: [p for p, _ in k8s.egress(name) if p and "ipBlock" in p[0]] for name in ("api", "migrate", *WORKERS)}
    assert [name for name, found in peers.items() if found] == ["worker"]
    [[four, six]] = peers["worker"]
    assert four["ipBlock"]["cidr"] == "0.0.0.0/0"
    assert set(map(ipaddress.IPv4Network, four["ipBlock"]["except"])) == set(networks._NOT_PUBLIC_4)
    assert ipaddress.IPv6Network(six["ipBlock"]["cidr"]) == networks._GLOBAL_6
    assert set(map(ipaddress.IPv6Network, six["ipBlock"]["except"])) == set(networks._NOT_PUBLIC_6)
