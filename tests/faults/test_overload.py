"""When clients send more than the workers can store, the excess is refused at once."""

import asyncio
import signal
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from clients.chat import NAMESPACE, ChatUsers, eventually
from clients.proxy import Proxy
from clients.socketio_lean import LeanSocket
from parley.stack import Stack

SLOW_SECONDS = 0.3
SOON = {"STORE_WITHIN_SECONDS": "1"}
LONGEST_SECONDS = 30.0
ENOUGH_REFUSALS = 200
TICK_SECONDS = 0.02
SENDS_A_TICK = 20
ANSWER_SECONDS = 2.0


@pytest.fixture
async def distant_database(fragile: Stack) -> AsyncIterator[Proxy]:
    """A proxy between the workers and a distant database; the gateways want messages stored soon."""
    with Proxy(fragile.mongo_url) as proxy:
        own = {"MONGO_URL": proxy.url}
        overrides = {"worker-1": own, "worker-2": own, "gateway-1": SOON, "gateway-2": SOON}
        await asyncio.to_thread(fragile.set_overrides, overrides)
        yield proxy
        proxy.delay(0)
        await asyncio.to_thread(fragile.set_overrides, {})


@pytest.mark.slow
async def test_overloaded_gateways_refuse_sends_at_once_and_deliver_all_accepted_messages(
    fragile: Stack, distant_database: Proxy, users: ChatUsers
) -> None:
    received: list[str] = []

    def on_event(event: str, payload: Any) -> None:
        if event == "newMessage":
            received.append(payload["message"]["_id"])

    auth = {"token": users.user("ann").token}
    ann = await LeanSocket.connect(fragile.url, NAMESPACE, auth, on_event)
    group_request = {"type": "group", "name": "A crowd", "participants": [users.user("ben").id]}
    group = await ann.call("createConversation", group_request)
    room = {"conversationId": group["conversation"]["_id"]}
    await ann.call("joinRoom", room)

    refused: list[dict[str, Any]] = []

    async def send() -> tuple[dict[str, Any], float]:
        started = time.monotonic()
        answer = await ann.call("sendMessage", {**room, "content": "hello"}, within=30)
        if not answer["success"]:
            refused.append(answer["error"])
        return answer, time.monotonic() - started

    sends = []
    distant_database.delay(SLOW_SECONDS)
    end = time.monotonic() + LONGEST_SECONDS
    while len(refused) < ENOUGH_REFUSALS and time.monotonic() < end:
        sends += [asyncio.create_task(send()) for _ in range(SENDS_A_TICK)]
        await asyncio.sleep(TICK_SECONDS)
    distant_database.delay(0)
    answers = await asyncio.gather(*sends)

    accepted = [answer["message"]["_id"] for answer, _ in answers if answer["success"]]
    assert {(error["code"], error["retryable"]) for error in refused} == {("OVERLOADED", True)}
    assert min(error["retryAfter"] for error in refused) >= 1
    assert max(seconds for _, seconds in answers) < ANSWER_SECONDS
    await eventually(lambda: len(received) >= len(accepted), 60)
    assert received == accepted

    # After the overload every message is accepted again.
    assert (await ann.call("sendMessage", {**room, "content": "better"}))["success"]
    await ann.close()


async def test_sends_to_a_frozen_rabbitmq_are_answered_in_time_and_a_retry_is_stored_once(
    fragile: Stack, users: ChatUsers
) -> None:
    ann = await LeanSocket.connect(
        fragile.url, NAMESPACE, {"token": users.user("ann").token}, lambda event, payload: None
    )
    request = {"type": "group", "name": "Retries", "participants": [users.user("ben").id]}
    group = (await ann.call("createConversation", request))["conversation"]["_id"]
    sends = [
        {"conversationId": group, "content": f"number {number}", "clientMessageId": str(uuid.uuid4())}
        for number in range(200)
    ]

    async def send(message: dict[str, Any]) -> tuple[dict[str, Any], float]:
        started = time.monotonic()
        answer = await ann.call("sendMessage", message, within=30)
        return answer, time.monotonic() - started

    assert (await send(sends[0]))[0]["success"]
    fragile.signal("rabbitmq", signal.SIGSTOP)
    try:
        answers = [await asyncio.gather(*map(send, sends[start::4])) for start in range(4)]
    finally:
        fragile.signal("rabbitmq", signal.SIGCONT)

    errors = [answer["error"] for part in answers for answer, _ in part if not answer["success"]]
    assert len(errors) >= len(sends) - 1
    assert all(error["retryable"] for error in errors)
    assert {error["code"] for error in errors} <= {"UNAVAILABLE", "OVERLOADED"}
    assert max(seconds for part in answers for _, seconds in part) < ANSWER_SECONDS

    async def is_accepted(message: dict[str, Any]) -> bool:
        return bool((await send(message))[0]["success"])

    for message in sends:
        await eventually(partial(is_accepted, message), LONGEST_SECONDS)

    async def all_are_stored() -> bool:
        history = await users.user("ben").history(group)
        return Counter(m["content"] for m in history) == Counter(m["content"] for m in sends)

    await eventually(all_are_stored, LONGEST_SECONDS)
    await ann.close()
