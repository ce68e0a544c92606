"""`parley top`: rates and loads of gateways and workers, refreshed until Ctrl-C."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.text import Text

from parley.cli import environment
from parley.cli.environment import Environment
from parley.cli.output import Json, console, print_json, table
from parley.cli.probes import Probe, ask_all

GATEWAY_RATES = {
    "events": "parley_events_received_total",
    "deliveries": "parley_deliveries_total",
    "connects": "parley_connects_total",
    "refusals": "parley_refusals_total",
}
WORKER_RATES = {"records": "parley_batch_records_sum", "deadLetters": "parley_dead_letters_total"}
HOPS = ("loop", "inbox", "outbox", "bus")

Fields = dict[str, Any]


def top(
    context: typer.Context,
    seconds: Annotated[float, typer.Option(help="Seconds between two looks.", min=0.2)] = 2.0,
    count: Annotated[int, typer.Option("--count", "-n", help="End after so many looks.", min=0)] = 0,
    as_json: Json = False,
) -> None:
    """Show what gateways and workers do, live; with --json one object for each look.

    Rates are by second, since the look before.
    """
    asyncio.run(_top(environment.of(context), seconds, count, as_json=as_json))


async def _top(env: Environment, seconds: float, count: int, *, as_json: bool) -> None:
    looks = _Looks(env)
    await looks.take()
    with _shown(as_json=as_json) as show:
        taken = 0
        while not count or taken < count:
            await asyncio.sleep(seconds)
            show(await looks.take())
            taken += 1


@contextmanager
def _shown(*, as_json: bool) -> Iterator[Callable[[Fields], None]]:
    """Yield what shows one look."""
    if as_json:
        yield print_json
        return
    with Live(console=console(), auto_refresh=False) as live:
        yield lambda found: live.update(_drawn(found), refresh=True)


class _Looks:
    """Asks all services, and compares the answers with those before."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._before: dict[str, Probe] = {}
        self._at = monotonic()

    async def take(self) -> Fields:
        """Return the rates since the last look."""
        gateways, workers = await asyncio.gather(ask_all(self._env.gateways), ask_all(self._env.workers))
        now = monotonic()
        elapsed, self._at = now - self._at, now
        found = {
            "gateways": [{**_of_gateway(p), **self._rates(p, GATEWAY_RATES, elapsed)} for p in gateways],
            "workers": [{**_of_worker(p), **self._rates(p, WORKER_RATES, elapsed)} for p in workers],
        }
        self._before = {probe.url: probe for probe in (*gateways, *workers)}
        return found

    def _rates(self, probe: Probe, metrics: dict[str, str], elapsed: float) -> Fields:
        before = self._before.get(probe.url)
        if before is None or before.error or probe.error:
            return dict.fromkeys(metrics)
        return {
            # A counter that has fallen is that of a new process.
            name: round(max(0.0, _total(probe, metric) - _total(before, metric)) / elapsed, 1)
            for name, metric in metrics.items()
        }


def _total(probe: Probe, metric: str) -> float:
    labels = {"hop": "persist"} if metric.startswith("parley_batch") else {}
    return probe.metrics.value(metric, **labels) or 0.0


def _of_gateway(probe: Probe) -> Fields:
    delays = probe.metrics.by("parley_hop_delay_seconds", "hop")
    sockets = probe.metrics.value("parley_sockets")
    return {"address": probe.address, "error": probe.error, "sockets": sockets, "hopDelays": delays}


def _of_worker(probe: Probe) -> Fields:
    return {
        "address": probe.address,
        "error": probe.error,
        "partitions": probe.metrics.value("parley_partitions_held"),
        "lagSeconds": probe.metrics.value("parley_lag_seconds"),
    }


def _drawn(found: Fields) -> Group:
    delays = [f"{hop} ms" for hop in HOPS]
    columns = ("gateway", "sockets", *(f"{name}/s" for name in GATEWAY_RATES), *delays)
    gateways = table(columns, map(_gateway, found["gateways"]))
    workers = table(
        ("worker", "partitions", "lag s", *(f"{n}/s" for n in WORKER_RATES)), map(_worker, found["workers"])
    )
    return Group(gateways, Text(), workers)


def _gateway(row: Fields) -> Sequence[Any]:
    if row["error"]:
        return (row["address"], Text(row["error"], "bold red"))
    delays = (f"{row['hopDelays'].get(hop, 0) * 1000:.0f}" for hop in HOPS)
    return (row["address"], _number(row["sockets"]), *(_number(row[name]) for name in GATEWAY_RATES), *delays)


def _worker(row: Fields) -> Sequence[Any]:
    if row["error"]:
        return (row["address"], Text(row["error"], "bold red"))
    numbers = (row["partitions"], row["lagSeconds"], *(row[name] for name in WORKER_RATES))
    return (row["address"], *map(_number, numbers))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.1f}".removesuffix(".0")
