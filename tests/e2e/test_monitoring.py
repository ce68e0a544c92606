"""Prometheus beside a stack scrapes its parts, follows their number, and fires the alerts."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from clients.alert_rules import DEPLOY
from clients.broker import Exchange
from clients.chat import eventually
from parley.stack import Stack

FIRED_SECONDS = 30.0

pytestmark = pytest.mark.slow  # A stack of its own is started.


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("observed"), gateways=1, workers=1, observed=True) as stack:
        yield stack


async def answer(stack: Stack, path: str, **query: str) -> Any:
    """Return what Prometheus' API answers."""
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{stack.prometheus_url}/api/v1/{path}", params=query) as response,
    ):
        body = await response.json()
    assert body["status"] == "success", (query, body)
    return body["data"]


async def up(stack: Stack) -> dict[str, float]:
    """Return whether each part answers, as Prometheus sees it."""
    found = (await answer(stack, "query", query="up"))["result"]
    return {each["metric"]["instance"]: float(each["value"][1]) for each in found}


async def firing(stack: Stack) -> set[str]:
    alerts = (await answer(stack, "alerts"))["alerts"]
    return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}


async def test_prometheus_scrapes_each_part_and_follows_their_number(observed: Stack) -> None:
    async def all_are_up(*names: str) -> bool:
        return await up(observed) == dict.fromkeys(names, 1.0)

    await eventually(lambda: all_are_up("gateway-1", "worker-1"))
    observed.scale(gateways=2)
    try:
        await eventually(lambda: all_are_up("gateway-1", "gateway-2", "worker-1"))
    finally:
        observed.scale(gateways=1)


async def test_prometheus_is_a_part_in_the_table_of_parts(observed: Stack) -> None:
    parts = {part.name: part for part in observed.status()}
    assert parts["prometheus"].ready
    assert f":{parts['prometheus'].port}" in observed.prometheus_url


async def test_a_dead_letter_fires_its_alert_and_no_other(observed: Stack) -> None:
    async def is_scraped() -> Any:
        return (await answer(observed, "query", query="parley_dead_letters_total"))["result"]

    await eventually(is_scraped)
    assert await firing(observed) == set()
    async with Exchange(observed) as exchange:
        await exchange.publish("a conversation", b"\xc1garbage")
    await eventually(lambda: firing(observed), FIRED_SECONDS)
    assert await firing(observed) == {"ParleyDeadLetters"}


async def test_prometheus_can_answer_each_question_of_the_dashboard(observed: Stack) -> None:
    panels = json.loads((Path(DEPLOY) / "observe/dashboard.json").read_text())["panels"]
    asked = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    assert len(asked) > 40
    for expression in asked:
        await answer(observed, "query", query=expression.replace("$__rate_interval", "1m"))
