"""A sampled message is one trace, from its client's own span to the writes of every gateway."""

import json
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from clients.chat import ChatUsers, Socket, eventually
from clients.otlp_receiver import OtlpReceiver, ReceivedSpan
from parley.stack import Stack

SECRET = "content-that-no-trace-may-have"
FAILED, RESUMED = "shared.tracing.export_failed", "shared.tracing.export_resumed"
OF_A_MESSAGE = {
    "accept sendMessage": 1,
    "publish parley.records": 1,
    "persist parley.records": 1,
    "announce": 1,
    "write stored": 2,
}
"""The spans of a message in a conversation with sockets at two gateways."""


@pytest.fixture(scope="module")
async def receiver() -> AsyncIterator[OtlpReceiver]:
    async with OtlpReceiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
async def traced(receiver: OtlpReceiver, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A stack that traces what its clients have sampled, and nothing else."""
    settings = {
        "RATE_LIMITS": "off",
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        "OTEL_TRACES_SAMPLER_ARG": "0",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    directory: Path = tmp_path_factory.mktemp("traced")
    with Stack(directory, gateways=2, workers=1, settings=settings) as stack:
        yield stack


@dataclass(frozen=True)
class Pair:
    """Two members of a group, whose sockets are at different gateways and joined it."""

    ann: Socket
    bob: Socket
    users: ChatUsers
    group: str


@pytest.fixture
async def pair(traced: Stack) -> AsyncIterator[Pair]:
    users = ChatUsers(traced.url, traced.jwt_secret)
    ann, bob = [
        await users.user(name).socket(url=url)
        for name, url in zip(("ann", "bob"), traced.gateway_urls, strict=True)
    ]
    group = await users.group(ann, "bob")
    for socket in (ann, bob):
        await socket.call_ok("joinRoom", {"conversationId": group})
    yield Pair(ann, bob, users, group)
    await users.close()


class Client:
    """A client's span, which its requests are children of."""

    def __init__(self, *, is_sampled: bool = True) -> None:
        self.trace_id, self.span_id = secrets.token_hex(16), secrets.token_hex(8)
        self.traceparent = f"00-{self.trace_id}-{self.span_id}-0{int(is_sampled)}"


async def trace(receiver: OtlpReceiver, client: Client, names: dict[str, int]) -> list[ReceivedSpan]:
    """Wait until a trace has spans of these names, and no others; return them."""
    try:
        await eventually(lambda: Counter(span.name for span in receiver.of(client.trace_id)) == names)
    except AssertionError:
        raise AssertionError(receiver.of(client.trace_id)) from None
    return receiver.of(client.trace_id)


async def test_a_send_is_one_trace_from_its_client_to_both_gateways(
    receiver: OtlpReceiver, pair: Pair
) -> None:
    client = Client()
    message = await pair.ann.send(pair.group, SECRET, traceparent=client.traceparent)
    spans = await trace(receiver, client, OF_A_MESSAGE)

    by_name = {span.name: span for span in spans}
    accept, publish = by_name["accept sendMessage"], by_name["publish parley.records"]
    persist, announce = by_name["persist parley.records"], by_name["announce"]
    writes = [span for span in spans if span.name == "write stored"]
    assert accept.parent_id == client.span_id
    assert publish.parent_id == accept.span_id
    assert persist.parent_id == publish.span_id
    assert announce.parent_id == persist.span_id
    assert [span.parent_id for span in writes] == [announce.span_id] * 2
    assert (accept.kind, publish.kind, persist.kind) == ("server", "producer", "consumer")
    assert (accept.service, accept.instance, persist.service, persist.instance) == (
        *("parley-gateway", pair.ann.node),
        *("parley-worker", "w1"),
    )
    assert {span.instance for span in writes} == {pair.ann.node, pair.bob.node}
    assert all(span.attributes["parley.deliveries"] > 0 for span in writes)
    assert {span.attributes["messaging.message.id"] for span in spans if span is not announce} == {
        message["_id"]
    }
    assert accept.attributes["messaging.message.conversation_id"] == pair.group
    assert accept.began <= publish.began <= persist.began <= announce.began <= min(w.began for w in writes)
    assert publish.ended <= accept.ended
    assert [span.error for span in spans] == [None] * len(spans)
    print_waterfall(spans)
    assert SECRET not in str(spans)
    assert pair.users.user("ann").token not in str(spans)


async def test_an_edit_and_a_deletion_are_traced_too(receiver: OtlpReceiver, pair: Pair) -> None:
    message = await pair.ann.send(pair.group, "hello")
    await pair.ann.wait_for("messageSent", messageId=message["_id"])
    for event, tag, more in (
        ("editMessage", "edited", {"content": SECRET}),
        ("deleteMessage", "deleted", {}),
    ):
        client = Client()
        payload = {"messageId": message["_id"], **more, "traceparent": client.traceparent}
        await pair.ann.call_ok(event, payload)
        names = {
            f"accept {event}": 1,
            "publish parley.records": 1,
            "persist parley.records": 1,
            "announce": 1,
            f"write {tag}": 2,
        }
        assert SECRET not in str(await trace(receiver, client, names))


async def test_a_rest_request_continues_the_trace_of_its_header(
    receiver: OtlpReceiver, traced: Stack, pair: Pair
) -> None:
    client = Client()
    headers = {
        "Authorization": f"Bearer {pair.users.user('ann').token}",
        "traceparent": client.traceparent,
    }
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.post(f"{traced.url}/chat-messages", json={"chatId": pair.group, "content": SECRET}) as response,
    ):
        assert response.ok, await response.text()
    accept = "accept POST /chat-messages"
    names = {accept if name.startswith("accept") else name: count for name, count in OF_A_MESSAGE.items()}
    spans = await trace(receiver, client, names)
    (root,) = (span for span in spans if span.name == accept)
    assert root.parent_id == client.span_id
    assert root.attributes["http.response.status_code"] == response.status


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_events_without_a_context_continue_the_trace_of_the_handshake(
    receiver: OtlpReceiver, pair: Pair, transport: str
) -> None:
    client = Client()
    user = pair.users.user("ann")
    socket = await user.socket(transport, headers={"traceparent": client.traceparent})
    await socket.send(pair.group, SECRET)
    await trace(receiver, client, OF_A_MESSAGE)


async def test_a_message_that_no_client_has_sampled_leaves_no_span(
    receiver: OtlpReceiver, pair: Pair
) -> None:
    before = len(receiver.spans)
    unsampled, client = Client(is_sampled=False), Client()
    await pair.ann.send(pair.group, "one")
    await pair.ann.send(pair.group, "two", traceparent=unsampled.traceparent)
    await pair.ann.send(pair.group, "three", traceparent="garbage")
    await pair.ann.send(pair.group, "four", traceparent=7)
    await pair.ann.send(pair.group, "five", traceparent=client.traceparent)
    # The last one's spans come last.
    await trace(receiver, client, OF_A_MESSAGE)
    assert {span.trace_id for span in receiver.spans[before:]} == {client.trace_id}


async def test_a_refused_send_is_a_trace_of_its_refusal(receiver: OtlpReceiver, pair: Pair) -> None:
    client = Client()
    payload = {"conversationId": "nowhere", "content": SECRET, "traceparent": client.traceparent}
    answer = await pair.ann.call("sendMessage", payload)
    assert answer["error"]["code"] == "NOT_FOUND"
    (span,) = await trace(receiver, client, {"accept sendMessage": 1})
    assert span.error == "NOT_FOUND"
    assert span.attributes["messaging.message.conversation_id"] == "nowhere"


async def test_any_event_may_have_a_context(pair: Pair) -> None:
    context = {"traceparent": Client().traceparent}
    await pair.ann.call_ok("typing", {"conversationId": pair.group, **context})
    await pair.ann.call_ok("getOnlineUsers", context)


async def test_an_endpoint_that_hangs_or_fails_harms_no_message(
    receiver: OtlpReceiver, traced: Stack, pair: Pair
) -> None:
    receiver.answers.clear()
    receiver.status = 500
    try:
        for number in range(30):
            await pair.ann.send(pair.group, f"{number}", traceparent=Client().traceparent)
            await eventually(partial(has_received, pair, number), 2.0)
        await eventually(lambda: lines(traced, "gateway-1", FAILED))
        receiver.answers.set()
        await pair.ann.send(pair.group, "again", traceparent=Client().traceparent)
    finally:
        receiver.answers.set()
        receiver.status = 200
    client = Client()
    await pair.ann.send(pair.group, "back", traceparent=client.traceparent)
    await trace(receiver, client, OF_A_MESSAGE)
    await eventually(lambda: lines(traced, "gateway-1", RESUMED))
    for part in ("gateway-1", "gateway-2", "worker-1"):
        (line,) = lines(traced, part, FAILED)
        assert line["endpoint"] == receiver.url.removeprefix("http://")
    assert not any("opentelemetry" in traced.log(part).read_text() for part in ("gateway-1", "worker-1"))


def print_waterfall(spans: list[ReceivedSpan]) -> None:
    """Print the spans by their begin, with their times in ms."""
    first = min(span.began for span in spans)
    for span in sorted(spans, key=lambda each: each.began):
        began, ended = ((at - first) / 1e6 for at in (span.began, span.ended))
        print(f"{span.name:24} {span.service:15} {span.instance:4} {began:8.2f} {ended:8.2f}")


def has_received(pair: Pair, number: int) -> bool:
    return f"{number}" in [message["content"] for message in pair.bob.messages(pair.group)]


def lines(stack: Stack, part: str, event: str) -> list[dict[str, str]]:
    """Return the log lines of an event."""
    found = (json.loads(each) for each in stack.log(part).read_text().splitlines() if each.startswith("{"))
    return [line for line in found if line["event"] == event]
