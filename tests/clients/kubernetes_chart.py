"""Parley's Helm chart: its objects with some values, and which of them belong together."""

import json
import runpy
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

Object = dict[str, Any]

KUBERNETES = Path(__file__).parents[2] / "deploy/kubernetes"
PARTS = ("gateway", "worker", "nginx", "admin")
ALL_OPTIONS: dict[str, Any] = {
    "image": {"registry": "registry.example.org/chat", "pullSecrets": ["registry"]},
    "secrets": {
        "JWT_SECRET_PREVIOUS": {"name": "parley", "key": "JWT_SECRET_PREVIOUS"},
        "OTEL_EXPORTER_OTLP_HEADERS": {"name": "traces", "key": "headers"},
        "S3_ACCESS_KEY": {"name": "s3", "key": "id"},
        "S3_SECRET_KEY": {"name": "s3", "key": "secret"},
    },
    "certificates": "authorities",
    "settings": {"PARTITIONS": 16, "LOG_LEVEL": "debug"},
    "trustedProxies": ["10.0.0.0/8", "fd00::/8"],
    "gateway": {
        "settings": {"BACKLOG_LIMIT": 2097152, "RATE_LIMITS": False, "AUDIT_SECONDS": 7.5},
        "autoscaling": {"enabled": True},
        "podAnnotations": {"example.org/note": "gateway"},
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "high",
    },
    "worker": {"autoscaling": {"by": "hpa"}, "podAnnotations": {"example.org/note": "worker"}},
    "nginx": {
        "podAnnotations": {"example.org/note": "nginx"},
        "service": {"type": "LoadBalancer", "annotations": {"example.org/note": "nginx"}},
    },
    "admin": {"podAnnotations": {"example.org/note": "admin"}},
    "ingress": {"enabled": True, "className": "nginx", "tlsSecret": "tls", "annotations": {"a.b/c": "d"}},
    "networkPolicy": {
        "clients": [{"ipBlock": {"cidr": "192.0.2.0/24"}}],
        "admin": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "operators"}}}],
    },
    "monitoring": {"enabled": True, "labels": {"release": "prometheus"}},
}
"""Values with which the chart renders each of its lines, but those for KEDA."""
KEDA: dict[str, Any] = {"worker": {"autoscaling": {"by": "keda"}}}

render: dict[str, Any] = runpy.run_path(str(KUBERNETES / "render.py"))
"""The functions of `deploy/kubernetes/render.py`."""
HelmError: type[Exception] = render["HelmError"]


def objects(values: Mapping[str, Any] | None = None, release: str = "parley") -> list[Object]:
    """Return the chart's objects with these values."""
    return _objects(json.dumps(values or {}), release)


@cache
def _objects(values: str, release: str) -> list[Object]:
    found: list[Object] = render["objects"](json.loads(values), release)
    return found


def of_kind(kind: str, values: Mapping[str, Any] | None = None) -> dict[str, Object]:
    """Return the objects of a kind by their names."""
    return {each["metadata"]["name"]: each for each in objects(values) if each["kind"] == kind}


def component(each: Object) -> str:
    """Return the part that an object belongs to."""
    return str(each["metadata"]["labels"]["app.kubernetes.io/component"])


def workloads(values: Mapping[str, Any] | None = None) -> dict[str, Object]:
    """Return what creates the pods of each part: a StatefulSet or a Deployment."""
    return {
        component(each): each for each in objects(values) if each["kind"] in ("StatefulSet", "Deployment")
    }


def pod_of(part: str, values: Mapping[str, Any] | None = None) -> Object:
    """Return the specification of a part's pods."""
    spec: Object = workloads(values)[part]["spec"]["template"]["spec"]
    return spec


def container_of(part: str, values: Mapping[str, Any] | None = None) -> Object:
    """Return a part's container."""
    (container,) = pod_of(part, values)["containers"]
    found: Object = container
    return found


def variables_of(part: str, values: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Return the environment of a part's container, without what a pod knows of itself."""
    container = container_of(part, values)
    found: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        found |= of_kind("ConfigMap", values)[source["configMapRef"]["name"]]["data"] or {}
    return found | {each["name"]: each["value"] for each in container["env"] if "value" in each}


def selected(selector: Mapping[str, str], values: Mapping[str, Any] | None = None) -> set[str]:
    """Return the parts with pods that have all these labels."""
    return {
        part
        for part, workload in workloads(values).items()
        if selector.items() <= workload["spec"]["template"]["metadata"]["labels"].items()
    }
