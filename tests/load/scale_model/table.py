"""The model's tables, as text and as a page with pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html import escape

from load.report.chart import bars
from load.report.page import STYLE
from load.scale_model.counters import PARTS, SECOND_GATEWAY
from load.scale_model.measure import UnitCosts
from load.scale_model.model import Capacity, Use, Workload, full_at, usage

REMEDIES = {
    ("gateways", "processor"): "more gateways",
    ("gateways", "memory"): "more gateways",
    ("gateways", "sockets"): "more gateways",
    ("workers", "processor"): "more workers and partitions (make partitions)",
    ("mongodb", "processor"): "a larger primary, then shards",
    ("rabbitmq", "processor"): "more nodes, and partitions spread over them",
    ("redis", "processor"): "fewer, larger gateways; PRESENCE_MEMBERS=0; a cluster",
    ("redis", "memory"): "a higher maxmemory",
    ("redis", "network"): "fewer, larger gateways; a cluster",
    ("nginx", "processor"): "more nginx behind a balancer of connections",
}
MICRO = 1e6
SHOWN = 6
"""The parts that are full first, of which a table tells when."""


def unit_lines(costs: UnitCosts) -> list[str]:
    """Return the unit costs, a line each."""
    lines = ["unit costs, microseconds of processor time; calls; bytes"]
    for name, of in asdict(costs).items():
        shown = [_figure(key, value) for key, value in of.items() if value and key != SECOND_GATEWAY]
        lines.append(f"  {name:13} {', '.join(shown) or '-'}")
    return lines


def _figure(name: str, value: float) -> str:
    if name in PARTS and value < 1:
        return f"{name} {MICRO * value:,.1f}"
    return f"{name} {value:,.2f}"


def lines(costs: UnitCosts, loads: Sequence[Workload], capacity: Capacity) -> list[str]:
    """Return the table of users and gateways."""
    given = ", ".join(f"{name.replace('_', ' ')} {value:,.0f}" for name, value in asdict(capacity).items())
    found = [f"capacities: {given}", "", "users      gateways  " + "  ".join(map(" ".join, REMEDIES))]
    for load in loads:
        by = {(use.part, use.resource): use for use in usage(costs, load, capacity)}
        row = "  ".join(f"{_share(by[key]):>{len(' '.join(key))}}" for key in REMEDIES)
        found.append(f"{load.users:>9,}  {load.gateways:>8}  {row}")
    for load in {load.gateways: load for load in loads}.values():
        at = {key: full_at(costs, load, capacity, *key) for key in REMEDIES}
        found.append(f"on {load.gateways} gateways are full, at so many users:")
        found += [
            f"  {at[key]:>11,}  {' '.join(key):20}  {REMEDIES[key]}"
            for key in sorted(REMEDIES, key=lambda key: at[key])[:SHOWN]
        ]
    return found


def check_lines(predicted: Mapping[str, float], measured: Mapping[str, float]) -> list[str]:
    """Return the figures of the model beside those of a run."""
    found = ["the model beside a run      model    run   model/run"]
    for name, value in predicted.items():
        ratio = value / measured[name] if measured[name] else float("nan")
        found.append(f"  {name:22} {value:>9,.3f} {measured[name]:>9,.3f}   {ratio:.2f}")
    return found


def page(text: str, costs: UnitCosts, loads: Sequence[Workload], capacity: Capacity) -> str:
    """Return a page that needs nothing else."""
    pictures = [
        bars(
            f"{load.users:,} users on {load.gateways} gateways",
            "% of what a part has",
            [(f"{use.part} {use.resource}", 100 * use.share) for use in usage(costs, load, capacity)],
        )
        for load in loads
    ]
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f"<title>Scale model</title>\n<style>{STYLE}</style>\n</head>\n<body>",
            "<h1>What users cost</h1>",
            *pictures,
            f"<pre>{escape(text)}</pre>",
            "</body>\n</html>\n",
        ]
    )


def _share(use: Use) -> str:
    return f"{100 * use.share:,.0f} %"
