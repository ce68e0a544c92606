"""Probes of gateways and workers: their answers on `/readyz` and `/metrics`."""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from errno import ECONNREFUSED
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

SECONDS = 3.0

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Metrics:
    """The samples of one exposition, by name and labels."""

    samples: Mapping[str, Mapping[Labels, float]] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "Metrics":
        """Read Prometheus' text format."""
        samples: dict[str, dict[Labels, float]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                samples.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
        return cls(samples)

    def value(self, name: str, **labels: str) -> float | None:
        """Return the sum of the samples with these labels; None if there is none."""
        wanted = set(labels.items())
        found = [value for key, value in self.samples.get(name, {}).items() if wanted <= key]
        return sum(found) if found else None

    def label(self, name: str, label: str) -> str | None:
        """Return a label of the first sample of a metric."""
        return next((dict(key).get(label) for key in self.samples.get(name, {})), None)

    def by(self, name: str, label: str) -> dict[str, float]:
        """Return the samples of a metric by one of their labels."""
        return {dict(key).get(label, ""): value for key, value in self.samples.get(name, {}).items()}


@dataclass(frozen=True, kw_only=True)
class Probe:
    """The answers of one service; `error` says why there are none."""

    url: str
    error: str = ""
    ready: bool = False
    problems: Sequence[str] = ()
    metrics: Metrics = Metrics()
    date: float | None = None
    """Its clock, Unix time in whole seconds."""
    received_at: float = 0.0
    """This machine's clock when that came, Unix time in seconds."""

    @property
    def address(self) -> str:
        return self.url.partition("://")[2]

    @property
    def version(self) -> str:
        return self.metrics.label("parley_build_info", "version") or "?"


async def ask_all(urls: Iterable[str]) -> list[Probe]:
    """Ask services at the same time; one that does not answer has an `error`."""
    timeout = aiohttp.ClientTimeout(total=SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        return await asyncio.gather(*(ask(http, url) for url in urls))


async def ask(http: aiohttp.ClientSession, url: str) -> Probe:
    """Ask one service; both answers take a second where MongoDB does not answer, so they are read at once."""
    try:
        (state, date, received_at), metrics = await asyncio.gather(_state(http, url), _metrics(http, url))
    except TimeoutError:
        return Probe(url=url, error=f"no answer within {http.timeout.total or SECONDS:.0f} s")
    except (aiohttp.ClientError, ValueError, UnicodeDecodeError) as error:
        return Probe(url=url, error=_sentence(error))
    problems = [str(each) for each in state.get("problems", ())]
    return Probe(
        url=url,
        ready=bool(state.get("ready")),
        problems=problems,
        metrics=metrics,
        date=date,
        received_at=received_at,
    )


def _sentence(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError) and error.errno == ECONNREFUSED:
        return "nothing listens at its address"
    return str(error) or type(error).__name__


async def _state(http: aiohttp.ClientSession, url: str) -> tuple[dict[str, Any], float | None, float]:
    """Return the state, the service's clock, and this machine's clock when they came."""
    async with http.get(f"{url}/readyz") as answer:
        received_at = time.time()
        return await answer.json(), _date(answer.headers.get("Date")), received_at


async def _metrics(http: aiohttp.ClientSession, url: str) -> Metrics:
    async with http.get(f"{url}/metrics") as answer:
        return Metrics.parse(await answer.text())


def _date(text: str | None) -> float | None:
    return parsedate_to_datetime(text).timestamp() if text else None
