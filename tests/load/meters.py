"""Reads the metrics of a stack's services, by service and by name."""

import asyncio
from collections.abc import Mapping

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from parley.stack import Stack

Meters = Mapping[str, Mapping[str, float]]
"""By service (`gateway-1`, `worker-2`), then by sample: `name` or `name{label="value"}`."""

MIB = 1 << 20


class Reader:
    """A reader of the metrics of all gateways and workers of a stack, over one HTTP session."""

    def __init__(self, stack: Stack, http: aiohttp.ClientSession) -> None:
        self._http = http
        self._urls = {f"gateway-{n}": url for n, url in enumerate(stack.gateway_urls, 1)} | {
            f"worker-{n}": url for n, url in enumerate(stack.worker_urls, 1)
        }

    async def read(self) -> Meters:
        """Return the present samples; raises aiohttp.ClientError if a service does not answer."""
        texts = await asyncio.gather(*(self._text(url) for url in self._urls.values()))
        return {name: _samples(text) for name, text in zip(self._urls, texts, strict=True)}

    async def _text(self, url: str) -> str:
        async with self._http.get(f"{url}/metrics") as answer:
            return await answer.text()


def total(meters: Meters, kind: str, sample: str) -> float:
    """Return the sum of a sample over the services of a kind: `gateway` or `worker`."""
    return sum(of.get(sample, 0.0) for name, of in meters.items() if name.startswith(kind))


def memory(meters: Meters, kind: str) -> float:
    """Return the largest resident memory of a service of a kind, in MiB."""
    resident = (of["process_resident_memory_bytes"] for n, of in meters.items() if n.startswith(kind))
    return max(resident) / MIB


def waiting(meters: Meters) -> float:
    """Return the number of records that the broker has confirmed and no worker has stored yet."""
    confirmed = total(meters, "gateway", 'parley_batch_records_sum{hop="publish"}')
    return confirmed - total(meters, "worker", 'parley_batch_records_sum{hop="persist"}')


def _samples(text: str) -> dict[str, float]:
    return {
        _key(sample.name, sample.labels): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _key(name: str, labels: Mapping[str, str]) -> str:
    if not labels:
        return name
    inner = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    return f"{name}{{{inner}}}"
