"""The answer to the page's question: all nodes, partitions, servers, and what needs attention."""

from collections.abc import Iterator, Sequence
from typing import Any

from parley.cli.admin.broker import BrokerLook
from parley.cli.admin.nodes import Node
from parley.cli.admin.stores import StoresLook
from parley.cli.status import of_gateway, of_worker

LAG_SECONDS = 10.0
SLOW_CLIENTS = 20

Fields = dict[str, Any]


def overview(
    gateways: Sequence[Node], workers: Sequence[Node], broker: BrokerLook, stores: StoresLook
) -> Fields:
    """Return everything but the history."""
    shown_gateways, shown_workers = [*map(gateway, gateways)], [*map(worker, workers)]
    return {
        "gateways": shown_gateways,
        "workers": shown_workers,
        "rabbitmq": broker.found,
        "mongodb": stores.stored,
        "redis": stores.online,
        "slowClients": slow_clients(gateways),
        "attention": [
            {"level": level, "text": text}
            for level, text in (
                *_of_nodes("gateway", shown_gateways),
                *_of_nodes("worker", shown_workers),
                *_of_servers(broker, stores),
                *_of_partitions(broker.found),
                *_of_versions([*shown_gateways, *shown_workers]),
            )
        ],
    }


def gateway(node: Node) -> Fields:
    """Return what the page shows of a gateway."""
    name = node.probe.metrics.label("parley_gateway_info", "name") if node.probe is not None else None
    shown: Fields = {**node.shown(), "name": name, "websocket": None, "polling": None, "users": None}
    if node.probe is None or node.error:
        return shown
    metrics, state = node.probe.metrics, of_gateway(node.probe)
    transports = metrics.by("parley_sockets", "transport")
    return {
        **shown,
        "websocket": int(transports.get("websocket", 0)),
        "polling": int(transports.get("polling", 0)),
        "users": state["users"],
        "outbox": state["outbox"],
        "hopDelays": state["hopDelays"],
    }


def worker(node: Node) -> Fields:
    """Return what the page shows of a worker."""
    shown: Fields = {**node.shown(), "id": None, "partitions": None, "lagSeconds": None}
    if node.probe is None or node.error:
        return shown
    state = of_worker(node.probe)
    return {**shown, **{name: state[name] for name in ("id", "partitions", "lagSeconds")}}


def slow_clients(gateways: Sequence[Node]) -> list[Fields]:
    """Return the clients with the most unread bytes of all gateways, the most first."""
    found = [
        {**client, "gateway": gateway(node)["name"] or node.shown()["address"]}
        for node in gateways
        if not node.error
        for client in node.slow_clients
    ]
    return sorted(found, key=lambda client: -client["unreadBytes"])[:SLOW_CLIENTS]


Attention = Iterator[tuple[str, str]]
"""A level, `error` or `warning`, and a sentence; one that changed with each look would be announced again."""


def _of_nodes(kind: str, nodes: Sequence[Fields]) -> Attention:
    if not nodes:
        yield "warning", f"No {kind} is known here: name their addresses in PARLEY_{kind.upper()}S."
    for node in nodes:
        name = f"The {kind} {node.get('name') or node['address']}"
        if node["state"] == "silent":
            known = f" ({'; '.join(node['problems'])})" if node["problems"] else ""
            yield "error", f"{name} does not answer in time{known}."
        elif node["state"] == "gone":
            yield "error", f"{name} does not answer: {'; '.join(node['problems'])}."
        elif node["state"] == "notReady":
            yield "error", f"{name} is not ready: {'; '.join(node['problems'])}."
        if (node.get("lagSeconds") or 0) > LAG_SECONDS:
            yield "warning", f"{name} is more than {LAG_SECONDS:.0f} s behind."


def _of_servers(broker: BrokerLook, stores: StoresLook) -> Attention:
    for found in (broker.found, stores.stored, stores.online):
        if "error" in found:
            yield "error", found["error"]


def _of_partitions(broker: Fields) -> Attention:
    partitions = broker.get("partitions", ())
    orphaned = [str(each["partition"]) for each in partitions if each["owners"] == []]
    if len(orphaned) == 1:
        yield "error", f"No worker owns partition {orphaned[0]}: its messages wait."
    elif orphaned:
        yield "error", f"No worker owns the partitions {', '.join(orphaned)}: their messages wait."
    if letters := broker.get("deadLetters"):
        records = "One record" if letters == 1 else f"{letters:,} records"
        yield "warning", f"{records} could not be stored: see the dead letters below."


def _of_versions(nodes: Sequence[Fields]) -> Attention:
    versions = sorted({node["version"] for node in nodes if node["version"]})
    if len(versions) > 1:
        yield "warning", f"The versions {', '.join(versions)} run side by side: finish the upgrade."
