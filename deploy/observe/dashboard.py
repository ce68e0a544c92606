"""Grafana's dashboard: `python deploy/observe/dashboard.py` writes dashboard.json from the table below."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("dashboard.json")
WIDTH, HEIGHT = 8, 7
COLUMNS = 24 // WIDTH
DATASOURCE = {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
PROMETHEUS = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True)
class Panel:
    """A graph: its expressions by their legends; `unit` is Grafana's id of a unit."""

    title: str
    unit: str
    series: dict[str, str]


def rate(metric: str, label: str = "", where: str = "") -> str:
    """Return the sum of a counter's growth per second, by a label."""
    by = f" by ({label})" if label else ""
    return f"sum{by} (rate({metric}{where}[$__rate_interval]))"


def quantile(share: float, metric: str, label: str = "", where: str = "") -> str:
    """Return a quantile of a histogram, by a label."""
    by = f"le, {label}" if label else "le"
    return f"histogram_quantile({share}, sum by ({by}) (rate({metric}_bucket{where}[$__rate_interval])))"


def quantiles(metric: str) -> dict[str, str]:
    """Return the median and further quantiles of a histogram, by legend."""
    return {f"p{share * 100:g}": quantile(share, metric) for share in (0.5, 0.95, 0.99)}


ROWS: dict[str, Sequence[Panel]] = {
    "Overview": (
        Panel("Alerts", "none", {"{{alertname}} {{instance}}": 'ALERTS{alertstate="firing"}'}),
        Panel("Parts that answer", "none", {"{{job}}": 'sum by (job) (up{job=~"parley-.+"})'}),
        Panel("Sockets", "none", {"{{transport}}": "sum by (transport) (parley_sockets)"}),
        Panel("Messages", "ops", {
            "sent": rate("parley_events_received_total", where='{command="SendMessage"}'),
            "stored": rate("parley_accepted_to_stored_seconds_count"),
        }),
        Panel("Accepted to stored", "s", quantiles("parley_accepted_to_stored_seconds")),
        Panel("Accepted to delivered", "s", quantiles("parley_accepted_to_delivered_seconds")),
    ),
    "Clients": (
        Panel("Events from clients", "ops", {"{{command}}": rate("parley_events_received_total", "command")}),
        Panel("Commands, p95", "s", {"{{command}}": quantile(0.95, "parley_command_seconds", "command")}),
        Panel("Refusals", "ops", {"{{code}}": rate("parley_refusals_total", "code")}),
        Panel("Deliveries", "ops", {"{{event}}": rate("parley_deliveries_total", "event")}),
        Panel("Bytes", "Bps", {
            "from clients": rate("parley_received_bytes_total"),
            "to clients": rate("parley_delivered_bytes_total"),
        }),
        Panel("Connects and disconnects", "ops", {
            "connect: {{outcome}}": rate("parley_connects_total", "outcome"),
            "disconnect: {{reason}}": rate("parley_disconnects_total", "reason"),
        }),
        Panel("Recoveries", "ops", {"{{outcome}}": rate("parley_recoveries_total", "outcome")}),
        Panel("HTTP requests", "ops", {
            "{{route}} {{status}}": rate("parley_http_request_seconds_count", "route, status"),
        }),
        Panel("HTTP, p95", "s", {"{{route}}": quantile(0.95, "parley_http_request_seconds", "route")}),
    ),
    "Storing": (
        Panel("Lag", "s", {"{{instance}}": "parley_lag_seconds"}),
        Panel("Partitions held", "none", {
            "{{instance}}": "parley_partitions_held",
            "all": "max(parley_partitions)",
        }),
        Panel("Records of a batch, mean", "none", {
            "{{hop}}": "sum by (hop) (rate(parley_batch_records_sum[$__rate_interval]))"
            " / sum by (hop) (rate(parley_batch_records_count[$__rate_interval]))",
        }),
        Panel("Batches, p95", "s", {"{{hop}}": quantile(0.95, "parley_batch_seconds", "hop")}),
        Panel("MongoDB, p95", "s", {"{{operation}}": quantile(0.95, "parley_database_seconds", "operation")}),
        Panel("MongoDB, commands", "ops", {
            "{{operation}}": rate("parley_database_seconds_count", "operation"),
            "failed: {{operation}}": rate("parley_database_failures_total", "operation"),
        }),
        Panel("Dead letters, unknown kinds, errors", "none", {
            "dead letters": "sum(increase(parley_dead_letters_total[5m]))",
            "unknown {{what}}": "sum by (what) (increase(parley_unknown_kinds_total[5m]))",
            "errors: {{kind}}": "sum by (kind) (increase(parley_errors_total[5m]))",
        }),
        Panel("MongoDB's disk, free", "percentunit", {"{{instance}}": "parley_storage_free_ratio"}),
        Panel("Search index", "s", {"lag of {{instance}}": "parley_search_lag_seconds"}),
    ),
    "Fan-out": (
        Panel("Delays by hop", "s", {"{{hop}}": "max by (hop) (parley_hop_delay_seconds)"}),
        Panel("Writing an event to all sockets", "s", quantiles("parley_fan_out_seconds")),
        Panel("Connected", "none", {
            "RabbitMQ": "min(parley_broker_connected)",
            "MongoDB": "min(parley_database_connected)",
            "Redis": "1 - max(parley_bus_stale)",
        }),
        Panel("Gaps and backfilled messages", "ops", {
            "gaps": rate("parley_gaps_total"),
            "backfilled": rate("parley_backfilled_messages_total"),
        }),
        Panel("Redis", "ops", {
            "failed: {{operation}}": rate("parley_bus_failures_total", "operation"),
            "sessions": rate("parley_bus_sessions_total"),
        }),
        Panel("Held for clients", "none", {
            "{{what}}": 'sum by (what) (parley_held{what!="answer_bytes"})',
        }),
        Panel("Answers that clients have not taken", "bytes", {"all": "sum (parley_answer_bytes)"}),
        Panel("Clients that wait to connect, and for reads", "none", {
            "{{what}}": "sum by (what) (parley_waiting)",
        }),
    ),
    "Processes": (
        Panel("Processor", "percentunit", {
            "{{instance}}": "rate(process_cpu_seconds_total[$__rate_interval])",
        }),
        Panel("Memory", "bytes", {"{{instance}}": "process_resident_memory_bytes"}),
        Panel("Garbage collector, share of time", "percentunit", {
            "{{instance}}": "sum by (instance) (rate(parley_gc_seconds_sum[$__rate_interval]))",
        }),
        Panel("Tasks", "none", {"{{instance}}": "parley_tasks"}),
        Panel("Open files", "none", {"{{instance}}": "process_open_fds"}),
        Panel("Versions", "none", {"{{job}} {{version}}": "count by (job, version) (parley_build_info)"}),
    ),
}  # fmt: skip


def dashboard() -> dict[str, Any]:
    """Return the dashboard in Grafana's format."""
    return {
        "uid": "parley",
        "title": "Parley",
        "schemaVersion": 39,
        "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"},
        "templating": {"list": [DATASOURCE]},
        "panels": [{"id": number, **panel} for number, panel in enumerate(_panels(), 1)],
    }


def _panels() -> Iterator[dict[str, Any]]:
    y = 0
    for title, panels in ROWS.items():
        yield {"type": "row", "title": title, "collapsed": False, "gridPos": _place(0, y, 24, 1)}
        y += 1
        for number, panel in enumerate(panels):
            place = _place(number % COLUMNS * WIDTH, y + number // COLUMNS * HEIGHT, WIDTH, HEIGHT)
            yield _graph(panel, place)
        y += -(-len(panels) // COLUMNS) * HEIGHT


def _graph(panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    return {
        "type": "timeseries",
        "title": panel.title,
        "datasource": PROMETHEUS,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + number), "expr": expression, "legendFormat": legend}
            for number, (legend, expression) in enumerate(panel.series.items())
        ],
    }


def _place(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


if __name__ == "__main__":
    FILE.write_text(json.dumps(dashboard(), indent=1) + "\n")
