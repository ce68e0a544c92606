"""The Helm chart: its values, what it refuses, scaling, monitoring, and the manifests made from it."""

import json
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from clients.alert_rules import alerts
from clients.kubernetes_chart import (
    ALL_OPTIONS,
    KEDA,
    KUBERNETES,
    HelmError,
    objects,
    of_kind,
    render,
    variables_of,
    workloads,
)
from parley.gateway.settings import Settings as GatewaySettings
from parley.persistence_worker.settings import Settings as WorkerSettings
from parley.shared.settings import SharedSettings
from parley.stack.parts.mongodb import TRANSACTION_SECONDS

ROOT = Path(__file__).parents[2]
SECRETS = {
    *("REDIS_URL", "RABBITMQ_URL", "MONGO_URL", "OTEL_EXPORTER_OTLP_HEADERS"),
    *("JWT_SECRET", "JWT_SECRET_PREVIOUS", "S3_ACCESS_KEY", "S3_SECRET_KEY"),
}
SET_BY_THE_CHART = {
    *("NODE_NAME", "GATEWAY_HOST", "GATEWAY_PORT", "WORKER_NAME", "WORKER_HOST", "WORKER_PORT"),
    *("DRAIN_SECONDS", "TRUSTED_PROXIES"),
}


def schema() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((KUBERNETES / "chart/values.schema.json").read_text())
    return loaded["properties"]  # type: ignore[no-any-return]


def test_helm_finds_nothing_wrong_with_the_chart() -> None:
    assert "0 chart(s) failed" in render["helm"]("lint", "--strict", str(KUBERNETES / "chart"))


@pytest.mark.parametrize("name", render["VALUES"])
def test_a_manifest_is_written_from_the_chart(name: str) -> None:
    written = (KUBERNETES / f"manifests/{name}.yaml").read_text()
    assert written == render["manifest"](name), "write it: python deploy/kubernetes/render.py"
    assert [each["kind"] for each in yaml.safe_load_all(written) if each]


def test_the_manifests_need_no_helm() -> None:
    for file in (KUBERNETES / "manifests").iterdir():
        assert "helm" not in file.read_text().lower()


def test_the_chart_has_the_version_of_parley() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    chart = yaml.safe_load((KUBERNETES / "chart/Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == version


@pytest.mark.parametrize(
    ("given", "cls"),
    [("settings", SharedSettings), ("gateway", GatewaySettings), ("worker", WorkerSettings)],
)
def test_the_values_may_have_each_setting_that_is_no_secret(given: str, cls: Any) -> None:
    part = schema()[given]
    allowed = (part if given == "settings" else part["properties"]["settings"])["propertyNames"]["enum"]
    assert set(allowed) == {f.name.upper() for f in fields(cls)} - SECRETS - SET_BY_THE_CHART
    assert len(allowed) == len(set(allowed))
    assert set(schema()["secrets"]["properties"]) == SECRETS


@pytest.mark.parametrize(
    "values",
    [
        {"settings": {"PARTITION": 8}},
        {"gateway": {"settings": {"JWT_SECRET": "secret"}}},
        {"gateway": {"settings": {"NODE_NAME": "g1"}}},
        {"secrets": {"REDIS_URL": "redis://redis"}},
        {"worker": {"autoscaling": {"by": "cpu"}}},
        {"gateways": 3},
    ],
    ids=str,
)
def test_values_that_would_be_ignored_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(HelmError, match="values don't meet the specifications"):
        objects(values)


def test_an_ingress_without_the_addresses_of_its_controller_is_refused() -> None:
    with pytest.raises(HelmError, match=r"ingress\.enabled needs trustedProxies"):
        objects({"ingress": {"enabled": True}})


def test_settings_are_written_as_the_services_read_them() -> None:
    variables = variables_of("gateway", ALL_OPTIONS)
    assert variables["BACKLOG_LIMIT"] == "2097152"
    assert variables["RATE_LIMITS"] == "false"
    assert variables["AUDIT_SECONDS"] == "7.5"
    assert variables["PARTITIONS"] == variables_of("worker", ALL_OPTIONS)["PARTITIONS"] == "16"
    assert variables["TRUSTED_PROXIES"] == variables_of("nginx", ALL_OPTIONS)["TRUSTED_PROXIES"]
    assert variables["TRUSTED_PROXIES"] == "10.0.0.0/8,fd00::/8"


@pytest.mark.parametrize("part", ["gateway", "worker"])
def test_a_change_of_the_settings_replaces_the_pods(part: str) -> None:
    def annotation(values: dict[str, Any]) -> str:
        pods = workloads(values)[part]["spec"]["template"]["metadata"]
        return str(pods["annotations"]["checksum/settings"])

    assert annotation({}) != annotation({"settings": {"LOG_LEVEL": "debug"}})
    assert annotation({}) == annotation({"gateway": {"replicas": 7}})


@pytest.mark.parametrize("part", ["gateway", "worker"])
def test_the_number_of_pods_that_are_scaled_is_not_set(part: str) -> None:
    assert workloads()[part]["spec"]["replicas"] == 3
    assert "replicas" not in workloads(ALL_OPTIONS)[part]["spec"]
    assert of_kind("HorizontalPodAutoscaler") == of_kind("HorizontalPodAutoscaler", KEDA) == {}


@pytest.mark.parametrize(
    ("part", "metric", "value"),
    [("gateway", "parley_sockets", "10000"), ("worker", "parley_lag_seconds", "500m")],
)
def test_pods_are_scaled_by_a_metric_that_the_adapter_serves(part: str, metric: str, value: str) -> None:
    scaler = of_kind("HorizontalPodAutoscaler", ALL_OPTIONS)[f"parley-{part}"]["spec"]
    target = workloads(ALL_OPTIONS)[part]
    assert scaler["scaleTargetRef"] == {
        "apiVersion": target["apiVersion"],
        "kind": target["kind"],
        "name": target["metadata"]["name"],
    }
    own = scaler["metrics"][0]["pods"]
    assert (own["metric"]["name"], own["target"]["averageValue"]) == (metric, value)
    adapter = yaml.safe_load((KUBERNETES / "examples/prometheus-adapter.yaml").read_text())
    assert [rule for rule in adapter["rules"]["custom"] if rule["seriesQuery"].startswith(f"{metric}{{")]
    assert f"| `{metric}" in (ROOT / "deploy/README.md").read_text()


def test_keda_scales_the_workers_by_their_lag() -> None:
    (scaled,) = of_kind("ScaledObject", KEDA).values()
    assert scaled["spec"]["scaleTargetRef"]["name"] == workloads(KEDA)["worker"]["metadata"]["name"]
    assert "max(parley_lag_seconds" in scaled["spec"]["triggers"][0]["metadata"]["query"]
    assert "replicas" not in workloads(KEDA)["worker"]["spec"]


def test_there_are_no_more_workers_than_partitions() -> None:
    values = yaml.safe_load((KUBERNETES / "chart/values.yaml").read_text())
    assert values["worker"]["autoscaling"]["maxReplicas"] == values["settings"]["PARTITIONS"]


@pytest.mark.parametrize("part", ["gateway", "worker"])
def test_prometheus_finds_the_pods_under_the_job_of_the_alerts(part: str) -> None:
    monitor = of_kind("ServiceMonitor", ALL_OPTIONS)[f"parley-{part}"]["spec"]
    wanted = monitor["selector"]["matchLabels"].items()
    (service,) = (
        each
        for each in of_kind("Service", ALL_OPTIONS).values()
        if wanted <= each["metadata"]["labels"].items()
    )
    assert service["metadata"]["labels"][monitor["jobLabel"]] == f"parley-{part}"
    assert monitor["endpoints"][0]["port"] in [port["name"] for port in service["spec"]["ports"]]


def test_the_rules_of_the_chart_are_the_alerts() -> None:
    (rules,) = of_kind("PrometheusRule", ALL_OPTIONS).values()
    assert [rule for group in rules["spec"]["groups"] for rule in group["rules"]] == alerts()
    assert rules["metadata"]["labels"]["release"] == "prometheus"


def test_the_example_takes_the_secrets_that_the_operators_write() -> None:
    folder = KUBERNETES / "examples/servers"
    secrets = yaml.safe_load((folder / "values.yaml").read_text())["secrets"]
    rabbitmq, mongo = (
        yaml.safe_load((folder / name).read_text()) for name in ("rabbitmq.yaml", "mongodb.yaml")
    )
    assert secrets["RABBITMQ_URL"]["name"] == f"{rabbitmq['metadata']['name']}-default-user"
    (user,) = mongo["spec"]["users"]
    assert secrets["MONGO_URL"]["name"] == user["connectionStringSecretName"]
    assert objects(yaml.safe_load((folder / "values.yaml").read_text()))


def test_the_example_bounds_a_transaction_as_the_native_stack_does() -> None:
    mongo = yaml.safe_load((KUBERNETES / "examples/servers/mongodb.yaml").read_text())
    parameters = mongo["spec"]["additionalMongodConfig"]["setParameter"]
    assert parameters["transactionLifetimeLimitSeconds"] == TRANSACTION_SECONDS
