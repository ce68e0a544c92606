"""Recordings of the metrics that the alert rules read, in promtool's notation, from the parts of a stack."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from clients.alert_rules import alerts, metrics_in
from parley.stack import Stack

SERIES = Path(__file__).resolve().parents[1] / "alerts/series"
INTERVAL_SECONDS = 5.0
ANSWER_SECONDS = 3.0
LEAST_BOUND = 1.0
"""Seconds: the buckets of histograms below it are left out, for no rule asks for a shorter time."""
MISSING, STALE = "_", "stale"
"""Promtool's words for a sample that is not there, and for the first one after the end of a series."""

Samples = Mapping[str, float]


class Recording:
    """Scrapes each gateway and worker every 5 s, as Prometheus does, and keeps what the rules read."""

    def __init__(self, stack: Stack) -> None:
        self._targets = {
            **_targets("gateway", stack.gateway_urls),
            **_targets("worker", stack.worker_urls),
        }
        self._names = {name for rule in alerts() for name in metrics_in(rule["expr"])}
        self._series: dict[str, list[str]] = {}
        self._ticks = 0

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        self._http = aiohttp.ClientSession(timeout=timeout)
        self._task = asyncio.create_task(self._scrape_forever())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        await self._http.close()

    def write(self, name: str) -> None:
        """Write the series into `tests/alerts/series`, compactly."""
        lines = [
            f"interval: {INTERVAL_SECONDS:g}s",
            f"end: {self._ticks * INTERVAL_SECONDS:g}s",
            "input_series:",
        ]
        for series, values in sorted(self._series.items()):
            lines += [f"  - series: '{series}'", f"    values: '{' '.join(compressed(values))}'"]
        SERIES.mkdir(parents=True, exist_ok=True)
        (SERIES / f"{name}.yml").write_text("\n".join(lines) + "\n")

    async def _scrape_forever(self) -> None:
        due = time.monotonic()
        while True:
            found = await asyncio.gather(*map(self._scrape, self._targets.items()))
            self._add({series: value for samples in found for series, value in samples.items()})
            due += INTERVAL_SECONDS
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _scrape(self, target: tuple[str, str]) -> Samples:
        labels, url = target
        try:
            async with self._http.get(f"{url}/metrics") as answer:
                text = await answer.text()
        except (aiohttp.ClientError, TimeoutError):
            return {f"up{{{labels}}}": 0.0}
        return {f"up{{{labels}}}": 1.0, **self._samples(labels, text)}

    def _samples(self, labels: str, text: str) -> Samples:
        return {
            f"{sample.name}{{{_joined(labels, sample.labels)}}}": sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name in self._names and float(sample.labels.get("le", LEAST_BOUND)) >= LEAST_BOUND
        }

    def _add(self, samples: Samples) -> None:
        for series in samples.keys() - self._series.keys():
            self._series[series] = [MISSING] * self._ticks
        for series, values in self._series.items():
            ended = STALE if values and values[-1] not in (MISSING, STALE) else MISSING
            values.append(shown(samples[series]) if series in samples else ended)
        self._ticks += 1


def shown(value: float) -> str:
    """Return a value as promtool reads it, to a millisecond where it is a time."""
    return repr(int(value)) if value == int(value) else f"{value:.3f}"


def compressed(values: Sequence[str]) -> Iterator[str]:
    """Yield values in promtool's notation, repeated ones as `1x2`: a value and its two repetitions."""
    for value, run in groupby(values):
        count = sum(1 for _ in run)
        if value == MISSING:
            yield f"_x{count}"
        else:
            yield value if count == 1 else f"{value}x{count - 1}"


def _targets(service: str, urls: Sequence[str]) -> dict[str, str]:
    return {
        f'instance="{service}-{number}",job="parley-{service}"': url for number, url in enumerate(urls, 1)
    }


def _joined(labels: str, more: Mapping[str, str]) -> str:
    return ",".join([labels, *(f'{name}="{value}"' for name, value in sorted(more.items()))])
