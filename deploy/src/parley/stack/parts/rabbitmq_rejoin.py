"""A RabbitMQ node that lost its data joins its cluster again, as a new node.

The others refuse a node that they know and that does not know them, so one of them forgets it first. At its
start it joins them, and it then gets a replica of each queue.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from parley.stack.hosts import Host
from parley.stack.parts.part import Part, Report
from parley.stack.parts.rabbitmq import node_name, run_tool
from parley.stack.paths import StackPaths
from parley.stack.ports import Ports
from parley.stack.readiness import amqp_answers

QUEUES = "^parley"


def rejoining(part: Part, paths: StackPaths, ports: Ports, host: Host, hosts: Sequence[Host]) -> Part:
    """Return the part of a cluster's node, with the steps by which it joins the cluster again."""
    node = _Node(part, paths, ports, host, hosts)
    return replace(part, prepare=node.prepare, ready=node.is_ready, setup=node.add_replicas)


@dataclass(frozen=True)
class _Node:
    part: Part
    paths: StackPaths
    ports: Ports
    host: Host
    hosts: Sequence[Host]

    @property
    def _name(self) -> str:
        return node_name(self.host)

    @property
    def _mark(self) -> Path:
        """The file that says, until the node has its replicas, that it lost its data."""
        return self.part.directory / "rejoining"

    def prepare(self, report: Report) -> None:
        """Have the cluster forget the node, if it has no data and the cluster knows it."""
        if (self.part.directory / "mnesia" / self._name / "schema.DAT").exists():
            return
        for other in self.hosts:
            if other != self.host and self._is_known_to(other):
                report(f"{self.part.name} has no data: the other nodes forget it, and it joins them anew")
                self._mark.touch(mode=0o600)
                self._run("rabbitmqctl", other, "forget_cluster_node", self._name)
                return

    def is_ready(self) -> bool:
        return not self._mark.exists() and self.part.ready()

    def add_replicas(self, report: Report) -> None:
        """Give the node a replica of each queue, once it has joined."""
        if not self._mark.exists() or not self.part.ready():
            return
        results = self._run(
            "rabbitmq-queues", self.host, "grow", self._name, "all", "--queue-pattern", QUEUES
        )
        if "error" not in results:
            self._mark.unlink()
            report(f"{self.part.name} has a replica of each queue")

    def _is_known_to(self, other: Host) -> bool:
        if not amqp_answers(self.ports.amqp, other.address)():
            return False
        status = self._run("rabbitmqctl", other, "cluster_status", "--formatter", "json")
        return f'"{self._name}"' in status

    def _run(self, tool: str, host: Host, *arguments: str) -> str:
        return run_tool(self.paths, self.ports, host, tool, arguments)
