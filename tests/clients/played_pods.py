"""Pods of the chart played by `podman kube play` on the loopback.

podman runs pods and no cluster, so this module does what a cluster does besides: it makes the pods of a
StatefulSet or a Deployment, writes their volumes, asks their probes, and gives the names of Services to a
name server. Each pod has an address of its own, of 127.0.0.0/8, in the machine's network.
"""

import copy
import os
import secrets
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import yaml

from clients.compose_project import CONFIGURATION
from clients.kubernetes_chart import Object
from clients.name_server import NameServer
from parley.stack.install import ROOT

PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
PLAY_SECONDS = 120.0
NGINX = Path(ROOT, "deploy/docker/nginx.conf")
HOSTS = {"gateway": "GATEWAY_HOST", "worker": "WORKER_HOST", "admin": "ADMIN_HOST"}
"""The setting of the address that a service listens on, which in a cluster are all of the pod's network."""


@dataclass
class Pod:
    """A pod with the address that it has here.

    Attributes:
        name: its name in the cluster.
        spec: the pod of the chart.
        played: the pod as podman gets it.
    """

    name: str
    labels: Mapping[str, str]
    address: str
    spec: Object
    played: Object = field(default_factory=dict)

    @property
    def part(self) -> str:
        return str(self.spec["containers"][0]["name"])

    @property
    def container(self) -> str:
        """Its container's name at podman."""
        return f"{self.name}-{self.part}"

    def url(self, port: str | int = "http") -> str:
        """Return the URL of one of its ports."""
        ports = {each["name"]: each["containerPort"] for each in self.spec["containers"][0]["ports"]}
        return f"http://{self.address}:{ports.get(port, port)}"


class PlayedPods:
    """The pods of a chart, from `podman kube play` to their removal.

    Args:
        objects: the chart's objects.
        values: the values of Secrets, by name and key.
        directory: where volumes are written.
    """

    def __init__(
        self, objects: Sequence[Object], values: Mapping[str, Mapping[str, str]], directory: Path
    ) -> None:
        self._objects, self._values, self._directory = objects, values, directory
        # Not the default: another run may be on this machine.
        self._network = f"127.{secrets.randbelow(200) + 20}.{secrets.randbelow(256)}"
        self._names = NameServer(f"{self._network}.53")
        self.pods = {pod.name: pod for pod in self._controlled()}
        configuration = directory / "containers.conf"
        configuration.write_text(CONFIGURATION)
        self._environment = {
            **os.environ,
            "CONTAINERS_CONF": str(configuration),
            "DISABLE_HC_SYSTEMD": "true",
        }

    def __enter__(self) -> Self:
        self._names.__enter__()
        self.publish(set(self.pods))
        try:
            for pod in self.pods.values():
                self.start(pod)
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def of(self, part: str) -> list[Pod]:
        """Return a part's pods."""
        return [pod for pod in self.pods.values() if pod.part == part]

    def start(self, pod: Pod) -> None:
        """Start a pod, as the kubelet does on a node that it was assigned to."""
        pod.played = self._played(pod)
        manifest = self._directory / f"{pod.name}.yaml"
        config_maps = [each for each in self._objects if each["kind"] == "ConfigMap"]
        manifest.write_text(yaml.safe_dump_all([*config_maps, pod.played]))
        self.podman("kube", "play", str(manifest), timeout=PLAY_SECONDS)

    def stop(self, pod: Pod) -> int:
        """Stop a pod with the time that it has, and return its container's exit code."""
        self.publish(set(self.pods) - {pod.name})
        seconds = str(pod.spec["terminationGracePeriodSeconds"])
        self.podman("stop", "--time", seconds, pod.container, timeout=PLAY_SECONDS)
        return int(self.podman("wait", pod.container))

    def replace(self, pod: Pod) -> None:
        """Remove a pod and play it again: a StatefulSet gives the new pod the same name."""
        self.podman("pod", "rm", "--force", pod.name)
        self.start(pod)
        self.publish(set(self.pods))

    def publish(self, running: set[str]) -> None:
        """Give the name server the names of the Services of these pods."""
        self._names.addresses = dict(self._records(running))

    async def answers(self, pod: Pod, probe: str) -> bool:
        """Whether a probe of a pod succeeds now, as the kubelet asks it."""
        action = pod.spec["containers"][0][probe]["httpGet"]
        timeout = aiohttp.ClientTimeout(total=pod.spec["containers"][0][probe]["timeoutSeconds"])
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as http,
                http.get(f"{pod.url(action['port'])}{action['path']}") as answer,
            ):
                return 200 <= answer.status < 400
        except (aiohttp.ClientError, TimeoutError):
            return False

    def execute(self, pod: Pod, *command: str) -> str:
        """Run a command in a pod's container and return its output, also if it failed."""
        done = self._run(["exec", pod.container, *command], 60.0)
        return done.stdout + done.stderr

    def logs(self) -> str:
        """Return the last lines of each pod's log."""
        commands = ((name, ["logs", "--tail", "100", pod.container]) for name, pod in self.pods.items())
        printed = ((name, self._run(command, 30.0)) for name, command in commands)
        return "\n".join(f"{name}:\n{done.stdout}{done.stderr}" for name, done in printed)

    def podman(self, *arguments: str, timeout: float = 60.0) -> str:
        """Run a subcommand of podman and return its output."""
        done = self._run(arguments, timeout)
        assert done.returncode == 0, f"{arguments}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done.stdout.strip()

    def _run(self, arguments: Sequence[str], timeout: float) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["podman", *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )

    def _remove(self) -> None:
        for name in self.pods:
            self._run(["pod", "rm", "--force", name], PLAY_SECONDS)
        self._names.__exit__(None, None, None)

    def _controlled(self) -> Iterator[Pod]:
        """Yield the pods that the controllers would make, with one hash for all of a Deployment's."""
        number = 10
        for each in self._objects:
            if each["kind"] not in ("StatefulSet", "Deployment"):
                continue
            template = each["spec"]["template"]
            for replica in range(each["spec"]["replicas"]):
                number += 1
                suffix = "" if each["kind"] == "StatefulSet" else "6d4cf56db6-"
                name = f"{each['metadata']['name']}-{suffix}{replica}"
                address = f"{self._network}.{number}"
                yield Pod(name, template["metadata"]["labels"], address, template["spec"])

    def _records(self, running: set[str]) -> Iterator[tuple[str, list[str]]]:
        """Yield the names in DNS: of each Service, and of each pod of a headless one with host names."""
        stateful = {e["spec"]["serviceName"] for e in self._objects if e["kind"] == "StatefulSet"}
        for service in (each for each in self._objects if each["kind"] == "Service"):
            name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
            chosen = service["spec"]["selector"].items()
            pods = [p for p in self.pods.values() if p.name in running and chosen <= p.labels.items()]
            domain = f"{name}.{namespace}.svc.cluster.local"
            yield domain, [pod.address for pod in pods]
            if name in stateful:
                yield from ((f"{pod.name}.{domain}", [pod.address]) for pod in pods)

    def _played(self, pod: Pod) -> Object:
        """Return a pod with what the kubelet and the cluster's network would give it."""
        spec = copy.deepcopy(pod.spec)
        (container,) = spec["containers"]
        for unknown in (*PROBES, "lifecycle", "ports"):
            container.pop(unknown, None)
        spec["volumes"] = [
            {"name": volume["name"], "hostPath": {"path": str(self._volume(pod, volume))}}
            for volume in spec["volumes"]
        ]
        if pod.part == "nginx":
            self._listen(pod, spec)
        else:
            others = [each for each in container["env"] if each["name"] != HOSTS[pod.part]]
            container["env"] = [*others, {"name": HOSTS[pod.part], "value": pod.address}]
        spec["hostNetwork"] = True
        # podman takes the machine's name server for such a pod, whatever its dnsConfig says.
        names = f"nameserver {self._network}.53\nsearch parley.svc.cluster.local\n"
        self._mount(pod, spec, "resolv.conf", "/etc/resolv.conf", names)
        metadata = {"name": pod.name, "labels": dict(pod.labels)}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}

    def _volume(self, pod: Pod, volume: Mapping[str, Any]) -> Path:
        """Write a volume's files: those of Secrets, or none."""
        path = self._directory / pod.name / volume["name"]
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o777)
        group = pod.spec["securityContext"]["fsGroup"]
        projected = volume.get("projected", {"sources": []})
        for source in projected["sources"]:
            for item in source["secret"]["items"]:
                file = path / item["path"]
                file.write_text(self._values[source["secret"]["name"]][item["key"]])
                os.chown(file, 0, group)
                file.chmod(projected["defaultMode"])
        return path

    def _listen(self, pod: Pod, spec: Object) -> None:
        """Give nginx its own configuration with the pod's address, where a cluster's pods have all ports."""
        conf = NGINX.read_text()
        for port in ("8080 ", "8081;"):
            assert conf.count(f"listen {port}") == 1
            conf = conf.replace(f"listen {port}", f"listen {pod.address}:{port}")
        self._mount(pod, spec, "nginx.conf", "/etc/nginx/nginx.conf", conf)

    def _mount(self, pod: Pod, spec: Object, name: str, path: str, text: str) -> None:
        """Mount a file with this text into the pod's container."""
        file = self._directory / f"{pod.name}.{name}"
        file.write_text(text)
        file.chmod(0o644)
        volume = name.replace(".", "-")
        spec["volumes"].append({"name": volume, "hostPath": {"path": str(file), "type": "File"}})
        mount = {"name": volume, "mountPath": path, "readOnly": True}
        spec["containers"][0]["volumeMounts"].append(mount)
