"""More is said than the workers can store: what is too much is refused at once, what is accepted is heard."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from clients.chat import NAMESPACE, Town, eventually
from clients.socketio_lean import LeanSocket
from stack import Stack

SLOWLY = {"BATCH_LIMIT": "1", "PREFETCH": "1"}
SOON = {"STORE_WITHIN_SECONDS": "1"}
SECONDS = 6.0
TICK = 0.02
AT_A_TIME = 20
ANSWER_SECONDS = 2.0


@pytest.fixture
async def slow(fragile: Stack) -> AsyncIterator[Stack]:
    """Workers that store one message at a time, and gateways that want that done soon."""
    told = {"worker-1": SLOWLY, "worker-2": SLOWLY, "gateway-1": SOON, "gateway-2": SOON}
    await asyncio.to_thread(fragile.tell, told)
    yield fragile
    await asyncio.to_thread(fragile.tell, {})


async def test_what_cannot_be_stored_in_time_is_refused_and_what_is_accepted_is_heard(
    slow: Stack, town: Town
) -> None:
    heard: list[str] = []

    def hear(event: str, payload: Any) -> None:
        if event == "newMessage":
            heard.append(payload["message"]["_id"])

    auth = {"token": town.user("ann").token}
    ann = await LeanSocket.connect(slow.url, NAMESPACE, auth, hear)
    wish = {"type": "group", "name": "A crowd", "participants": [town.user("ben").id]}
    group = await ann.call("createConversation", wish)
    room = {"conversationId": group["conversation"]["_id"]}
    await ann.call("joinRoom", room)

    async def say() -> tuple[dict[str, Any], float]:
        began = time.monotonic()
        answer = await ann.call("sendMessage", {**room, "content": "hello"}, within=30)
        return answer, time.monotonic() - began

    said = []
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        said += [asyncio.create_task(say()) for _ in range(AT_A_TIME)]
        await asyncio.sleep(TICK)
    answers = await asyncio.gather(*said)

    refused = [answer["error"] for answer, _ in answers if not answer["success"]]
    accepted = [answer["message"]["_id"] for answer, _ in answers if answer["success"]]
    assert {(error["code"], error["retryable"]) for error in refused} == {("OVERLOADED", True)}
    assert max(seconds for _, seconds in answers) < ANSWER_SECONDS
    await eventually(lambda: len(heard) >= len(accepted), 60)
    assert heard == accepted

    # When it is over, everything is accepted again.
    assert (await ann.call("sendMessage", {**room, "content": "better"}))["success"]
    await ann.close()
