"""More is said than the workers can store: what is too much is refused at once, what is accepted is heard."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from clients.chat import NAMESPACE, ChatUsers, eventually
from clients.proxy import Proxy
from clients.socketio_lean import LeanSocket
from parley.stack import Stack

SLOW_SECONDS = 0.3
SOON = {"STORE_WITHIN_SECONDS": "1"}
LONGEST = 30.0
ENOUGH = 200
TICK = 0.02
AT_A_TIME = 20
ANSWER_SECONDS = 2.0


@pytest.fixture
async def far(fragile: Stack) -> AsyncIterator[Proxy]:
    """What is between the workers and a database that may be far away; gateways want things stored soon."""
    with Proxy(fragile.mongo_url) as proxy:
        own = {"MONGO_URL": proxy.url}
        told = {"worker-1": own, "worker-2": own, "gateway-1": SOON, "gateway-2": SOON}
        await asyncio.to_thread(fragile.set_overrides, told)
        yield proxy
        proxy.delay(0)
        await asyncio.to_thread(fragile.set_overrides, {})


async def test_what_cannot_be_stored_in_time_is_refused_and_what_is_accepted_is_heard(
    fragile: Stack, far: Proxy, users: ChatUsers
) -> None:
    heard: list[str] = []

    def on_event(event: str, payload: Any) -> None:
        if event == "newMessage":
            heard.append(payload["message"]["_id"])

    auth = {"token": users.user("ann").token}
    ann = await LeanSocket.connect(fragile.url, NAMESPACE, auth, on_event)
    wish = {"type": "group", "name": "A crowd", "participants": [users.user("ben").id]}
    group = await ann.call("createConversation", wish)
    room = {"conversationId": group["conversation"]["_id"]}
    await ann.call("joinRoom", room)

    refused: list[dict[str, Any]] = []

    async def say() -> tuple[dict[str, Any], float]:
        began = time.monotonic()
        answer = await ann.call("sendMessage", {**room, "content": "hello"}, within=30)
        if not answer["success"]:
            refused.append(answer["error"])
        return answer, time.monotonic() - began

    said = []
    far.delay(SLOW_SECONDS)
    end = time.monotonic() + LONGEST
    while len(refused) < ENOUGH and time.monotonic() < end:
        said += [asyncio.create_task(say()) for _ in range(AT_A_TIME)]
        await asyncio.sleep(TICK)
    far.delay(0)
    answers = await asyncio.gather(*said)

    accepted = [answer["message"]["_id"] for answer, _ in answers if answer["success"]]
    assert {(error["code"], error["retryable"]) for error in refused} == {("OVERLOADED", True)}
    assert max(seconds for _, seconds in answers) < ANSWER_SECONDS
    await eventually(lambda: len(heard) >= len(accepted), 60)
    assert heard == accepted

    # When it is over, everything is accepted again.
    assert (await ann.call("sendMessage", {**room, "content": "better"}))["success"]
    await ann.close()
