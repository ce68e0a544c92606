"""The Kubernetes objects of the chart: the API's schemas, security, secrets, and names that must agree."""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
import yaml
from kubernetes_validate import utils as schemas

from clients.kubernetes_chart import (
    ALL_OPTIONS,
    KEDA,
    KUBERNETES,
    PARTS,
    Object,
    component,
    container_of,
    objects,
    of_kind,
    pod_of,
    selected,
    variables_of,
    workloads,
)
from parley.gateway.settings import NODE_NAME

VARIANTS: dict[str, dict[str, Any]] = {"defaults": {}, "all options": ALL_OPTIONS, "keda": KEDA}
CUSTOM = {"monitoring.coreos.com", "keda.sh", "rabbitmq.com", "mongodbcommunity.mongodb.com"}
"""Groups of custom resources, whose schemas no package has."""
OLDEST = "1.27"
SECRETS = ["REDIS_URL", "RABBITMQ_URL", "MONGO_URL"]
TRACES = "OTEL_EXPORTER_OTLP_HEADERS"
SECRETS_OF_GATEWAYS = ["JWT_SECRET", "JWT_SECRET_PREVIOUS", "S3_ACCESS_KEY", "S3_SECRET_KEY"]
EXAMPLES = ("rabbitmq.yaml", "mongodb.yaml", "redis.yaml")
SELECTORS = ("Service", "PodDisruptionBudget", "NetworkPolicy")


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS)
def values(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Values of the chart."""
    return dict(request.param)


@pytest.fixture(autouse=True)
def _schemas_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read each schema once; the library reads megabytes for each object."""
    monkeypatch.setattr(schemas, "schema_contents", schema_contents)


schema_contents = cache(schemas.schema_contents)


def errors_in(found: list[Object], version: str) -> list[str]:
    """Return where objects deviate from the API's schemas, in which other fields are forbidden."""
    errors = []
    for each in found:
        if each["apiVersion"].partition("/")[0] in CUSTOM:
            continue
        try:
            schemas.validate(each, version, strict=True)
        except schemas.ValidationError as error:
            errors.append(f"{each['kind']} {each['metadata']['name']}: {error.message}")
    return errors


@pytest.mark.parametrize("version", [OLDEST, schemas.latest_version()])
def test_an_object_matches_the_schema_of_the_api(values: dict[str, Any], version: str) -> None:
    found = objects(values)
    assert len(found) > 15
    assert errors_in(found, version) == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_matches_the_schema_of_the_api(name: str) -> None:
    found = list(yaml.safe_load_all((KUBERNETES / "examples/servers" / name).read_text()))
    assert errors_in(found, schemas.latest_version()) == []
    assert {each["metadata"]["namespace"] for each in found} == {"parley"}


def test_a_field_that_the_api_does_not_know_is_found() -> None:
    (account,) = of_kind("ServiceAccount").values()
    assert errors_in([{**account, "automountToken": False}], OLDEST)


def test_an_object_of_a_namespace_names_it(values: dict[str, Any]) -> None:
    assert {each["metadata"]["namespace"] for each in objects(values)} == {"parley"}


@pytest.mark.parametrize("part", PARTS)
def test_a_pod_meets_the_restricted_security_standard(part: str, values: dict[str, Any]) -> None:
    pod, container = pod_of(part, values), container_of(part, values)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert {kind for volume in pod["volumes"] for kind in volume} <= {
        "name",
        "emptyDir",
        "projected",
        "configMap",
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize("part", PARTS)
def test_a_pod_has_a_user_by_number_and_no_rights_at_the_api(part: str) -> None:
    # The kubelet cannot tell whether the name of an image's user is root's.
    assert pod_of(part)["securityContext"]["runAsUser"] == 10001
    assert pod_of(part)["automountServiceAccountToken"] is False
    assert pod_of(part)["serviceAccountName"] in of_kind("ServiceAccount")


@pytest.mark.parametrize("part", PARTS)
def test_no_variable_of_a_service_can_be_taken_for_a_setting(part: str) -> None:
    assert pod_of(part)["enableServiceLinks"] is False


@pytest.mark.parametrize("part", PARTS)
def test_memory_is_limited_and_processor_time_is_not(part: str) -> None:
    resources = container_of(part)["resources"]
    assert set(resources["requests"]) == {"cpu", "memory"}
    assert set(resources["limits"]) == {"memory"}


@pytest.mark.parametrize("part", PARTS)
def test_pods_spread_over_zones_and_nodes(part: str) -> None:
    spread = pod_of(part)["topologySpreadConstraints"]
    assert [each["topologyKey"] for each in spread] == [
        "topology.kubernetes.io/zone",
        "kubernetes.io/hostname",
    ]
    assert [selected(each["labelSelector"]["matchLabels"]) for each in spread] == [{part}, {part}]


@pytest.mark.parametrize("kind", SELECTORS)
def test_each_part_is_selected_by_its_own_objects(kind: str, values: dict[str, Any]) -> None:
    for each in of_kind(kind, values).values():
        selector = each["spec"].get("podSelector") or each["spec"]["selector"]
        labels = selector if kind == "Service" else selector["matchLabels"]
        assert selected(labels, values) == {component(each)}
    assert {component(each) for each in of_kind(kind).values()} == set(PARTS)


@pytest.mark.parametrize("part", PARTS)
def test_probes_and_services_name_a_port_of_the_container(part: str) -> None:
    container = container_of(part)
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    probes = [value for key, value in container.items() if key.endswith("Probe")]
    assert len(probes) >= 2
    assert {probe["httpGet"]["port"] for probe in probes} <= set(ports)
    for service in of_kind("Service").values():
        if selected(service["spec"]["selector"]) == {part}:
            assert {port["targetPort"] for port in service["spec"]["ports"]} <= set(ports)
    assert ports["http"] == {"gateway": 8001, "worker": 9001, "nginx": 8080, "admin": 8082}[part]


@pytest.mark.parametrize(("drain", "least"), [(5, 5 + 5 + 15), (90.5, 5 + 91 + 15)])
def test_a_gateway_is_given_the_time_of_its_drain(drain: float, least: int) -> None:
    values = {"gateway": {"drainSeconds": drain}}
    assert float(variables_of("gateway", values)["DRAIN_SECONDS"]) == drain
    assert pod_of("gateway", values)["terminationGracePeriodSeconds"] >= least
    assert container_of("gateway", values)["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", "5"]


def test_nginx_knows_the_gateways_by_names_that_dns_has() -> None:
    gateways, services = workloads()["gateway"], of_kind("Service")
    variables = variables_of("nginx", {"clusterDomain": "example.internal"})
    any_of_them, _, domain = variables["GATEWAYS"].partition(".")
    assert domain == "parley.svc.example.internal:8001"
    assert "clusterIP" not in services[any_of_them]["spec"]
    stateful_set, pods, domain = variables["GATEWAY_PODS"].split(".", 2)
    assert domain == "parley.svc.example.internal"
    assert stateful_set == gateways["metadata"]["name"]
    assert pods == gateways["spec"]["serviceName"]
    assert services[pods]["spec"]["clusterIP"] == "None"
    # A gateway that drains is not ready, and keeps its polling clients until it has told them.
    assert services[pods]["spec"]["publishNotReadyAddresses"] is True


@pytest.mark.parametrize("release", ["parley", "chat", "a-very-long-name-of-a-release-that-helm-just-allows"])
def test_the_name_of_a_gateway_s_pod_is_a_node_name(release: str) -> None:
    (gateways,) = (each for each in objects({}, release) if each["kind"] == "StatefulSet")
    # Kubernetes appends a hash to the name for a label, which may have 63 characters.
    assert len(gateways["metadata"]["name"]) <= 52
    assert re.fullmatch(NODE_NAME, f"{gateways['metadata']['name']}-1234")
    (container,) = gateways["spec"]["template"]["spec"]["containers"]
    (name,) = (each for each in container["env"] if each["name"] == "NODE_NAME")
    assert name["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}


@pytest.mark.parametrize(
    ("part", "values", "names"),
    [
        ("gateway", {}, [*SECRETS, "JWT_SECRET"]),
        ("gateway", ALL_OPTIONS, [*SECRETS, TRACES, *SECRETS_OF_GATEWAYS]),
        ("gateway", {"secrets": {"JWT_SECRET": None}}, SECRETS),
        ("worker", ALL_OPTIONS, [*SECRETS, TRACES]),
        ("admin", {}, SECRETS),
        ("admin", ALL_OPTIONS, [*SECRETS, TRACES]),
    ],
)
def test_a_service_reads_its_secrets_from_files(part: str, values: dict[str, Any], names: list[str]) -> None:
    files = {key: value for key, value in variables_of(part, values).items() if key.endswith("_FILE")}
    assert files == {f"{name}_FILE": f"/secrets/{name}" for name in names}
    (volume,) = (each for each in pod_of(part, values)["volumes"] if each["name"] == "secrets")
    mounted = [item["path"] for each in volume["projected"]["sources"] for item in each["secret"]["items"]]
    assert mounted == names
    assert of_kind("Secret", values) == {}
    assert not set(names) & set(variables_of(part, values))


@pytest.mark.parametrize("part", PARTS)
def test_a_network_policy_allows_what_a_part_needs(part: str) -> None:
    spec = of_kind("NetworkPolicy")[f"parley-{part}"]["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    peers = {peer for rule in spec["egress"] for peer in parts_of(rule.get("to", ()))}
    assert peers == ({"gateway"} if part == "nginx" else {"gateway", "worker"})
    open_to_all = {port["port"] for rule in spec["egress"] if "to" not in rule for port in rule["ports"]}
    servers = {6379, 6380, 26379, 5672, 5671, 27017}
    served = {"nginx": {53}, "gateway": {53, 443} | servers}
    assert open_to_all == served.get(part, {53} | servers)
    if part == "admin":
        assert spec["ingress"] == []
        return
    (rule,) = spec["ingress"]
    assert [port["port"] for port in rule["ports"]] == ["http"]
    senders = {"nginx": set(), "gateway": set(PARTS), "worker": {"gateway", "worker", "admin"}}
    assert parts_of(rule.get("from", ())) == senders[part]


def test_the_admin_page_is_reached_from_where_it_is_allowed_only() -> None:
    (rule,) = of_kind("NetworkPolicy", ALL_OPTIONS)["parley-admin"]["spec"]["ingress"]
    assert rule["from"] == ALL_OPTIONS["networkPolicy"]["admin"]
    assert [port["port"] for port in rule["ports"]] == ["http"]
    assert "parley-admin" not in str(of_kind("Ingress", ALL_OPTIONS))


def test_the_admin_page_is_the_command_of_the_worker_s_image_and_knows_all_services() -> None:
    container, variables = container_of("admin"), variables_of("admin")
    assert container["image"] == container_of("worker")["image"]
    assert container["command"] == ["parley", "admin"]
    assert variables["PARLEY_GATEWAYS"] == variables_of("gateway")["PARLEY_GATEWAYS"]
    assert variables["PARLEY_WORKERS"] == variables_of("worker")["PARLEY_WORKERS"]
    assert "JWT_SECRET_FILE" not in variables
    assert workloads({"admin": {"replicas": 0}})["admin"]["spec"]["replicas"] == 0


def parts_of(peers: Sequence[Object]) -> set[str]:
    """Return the parts that these peers of a network policy select."""
    selectors = [each["podSelector"]["matchLabels"] for each in peers if "podSelector" in each]
    return {part for selector in selectors for part in selected(selector)}
