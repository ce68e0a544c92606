"""Random input gets an answer or a closed connection in time, and other clients are served."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.chat import NAMESPACE, ChatUsers, eventually
from clients.fuzz import fuzz
from clients.healthy_user import HealthyUser
from clients.payloads import GARBAGE, TEXTS, payloads
from clients.raw import RawSocket, request
from parley.gateway.protocols.protocol import ClientProtocol
from parley.gateway.protocols.registry import PROTOCOLS

pytestmark = pytest.mark.usefixtures("quiet", "nothing_left")

POLLING = "/socket.io/?EIO=4&transport=polling"
SECONDS = 5.0
IDS = [f"<{name}>" for name in ("group", "elsewhere", "message", "foreign", "me", "other", "nobody")]
"""Placeholders for the ids that exist in an example's own run."""
LAST = 987_654_321
"""The acknowledgement number of the last request."""
ASK = f'42{NAMESPACE},{LAST}["getOnlineUsers"]'


@pytest.fixture
async def known(users: ChatUsers) -> dict[str, str]:
    """Return the ids behind the placeholders of `IDS`."""
    alice, carol = await users.sockets("alice", "carol")
    group, elsewhere = await users.group(alice, "bob"), await users.group(carol, "dave")
    message, foreign = await alice.send(group, "hello"), await carol.send(elsewhere, "hello")
    return dict(
        zip(
            IDS,
            (
                group,
                elsewhere,
                message["_id"],
                foreign["_id"],
                users.user("alice").id,
                users.user("bob").id,
                "x",
            ),
            strict=True,
        )
    )


def named(value: Any, known: dict[str, str]) -> str:
    """Return a value as JSON, with the ids of this run."""
    text = json.dumps(value)
    for name, found in known.items():
        text = text.replace(name, found)
    return text


@asynccontextmanager
async def raw_socket(url: str, token: str, namespace: str = NAMESPACE) -> AsyncIterator[RawSocket]:
    socket = await (await RawSocket(url, namespace).open()).connect_namespace({"token": token})
    try:
        yield socket
    finally:
        await socket.close()


def an_event_each(protocol: ClientProtocol) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {event: payloads(inbound.schema, IDS) for event, inbound in protocol.inbound.items()}
    )


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=[v.name for v in PROTOCOLS])
@fuzz(12)
@given(data=st.data())
async def test_every_event_is_acknowledged_with_any_payload(
    protocol: ClientProtocol,
    users: ChatUsers,
    known: dict[str, str],
    healthy_user: HealthyUser,
    data: st.DataObject,
) -> None:
    sent_message = data.draw(an_event_each(protocol))
    async with raw_socket(users.url, users.user("alice").token, protocol.namespace) as socket:
        answers = [
            socket.call(number, f"[{json.dumps(event)},{named(payload, known)}]")
            for number, (event, payload) in enumerate(sent_message.items())
        ]
        for answer in await asyncio.gather(*answers):
            assert "INTERNAL" not in json.dumps(answer), answer
        assert not socket.is_closed
    await healthy_user.assert_served()


GOOD = st.sampled_from(
    [
        ASK,
        f"40{NAMESPACE},{{}}",
        f'451-{NAMESPACE},1["x",{{"_placeholder":true,"num":0}}]',
        "2probe",
        "5",
        "3",
    ]
)
HEADS = st.from_regex(r"[0-9b]?[0-9]?[0-9]{0,3}-?(/chat|/|/x)?,?[0-9]{0,3}(?!\n)", fullmatch=True)


def _cut(frame: str, at: int, more: str) -> str:
    return frame[: at % (len(frame) + 1)] + more + frame[at % (len(frame) + 1) :]


WRITTEN = (
    st.builds(_cut, GOOD, st.integers(0, 60), TEXTS)
    | st.builds(lambda head, body: head + json.dumps(body), HEADS, GARBAGE)
    | st.builds(lambda head, body: head + body, HEADS, TEXTS)
    | TEXTS
).filter(lambda text: not any("\ud800" <= letter <= "\udfff" for letter in text))
FRAMES = WRITTEN | st.binary(max_size=60)


@fuzz(75)
@given(frames=st.lists(FRAMES, min_size=1, max_size=5))
async def test_a_socket_answers_or_is_closed_after_any_frame(
    users: ChatUsers, healthy_user: HealthyUser, frames: list[str | bytes]
) -> None:
    token = users.user("alice").token
    async with raw_socket(users.url, token) as socket:
        for frame in [*frames, f"40{NAMESPACE},{json.dumps({'token': token})}", ASK]:
            if not socket.is_closed:
                await send(socket, frame)
        await eventually(lambda: socket.is_closed or answered(socket), SECONDS)
    await healthy_user.assert_served()


async def send(socket: RawSocket, frame: str | bytes) -> None:
    try:
        await socket.send(frame)
    except ConnectionError:
        await socket.wait_until_closed()


def answered(socket: RawSocket) -> bool:
    return any(frame.startswith(f"43{NAMESPACE},{LAST}[") for frame in socket.frames)


BODIES = st.lists(WRITTEN, min_size=1, max_size=4).map(lambda parts: "\x1e".join(parts).encode()) | st.binary(
    min_size=1, max_size=100
)


@fuzz(60)
@given(body=BODIES)
async def test_a_polling_session_answers_or_is_closed_after_any_body(
    users: ChatUsers, healthy_user: HealthyUser, body: bytes
) -> None:
    opened = await request(users.url, "GET", POLLING)
    path = f"{POLLING}&sid={json.loads(opened.text[1:])['sid']}"
    auth = f"40{NAMESPACE},{json.dumps({'token': users.user('alice').token})}"
    for sent in (auth, body, auth, ASK):
        assert (await request(users.url, "POST", path, sent)).status in (200, 400, 413)
    async with asyncio.timeout(SECONDS):
        while (received := await request(users.url, "GET", path)).status == 200 and str(
            LAST
        ) not in received.text:
            pass
    assert received.status in (200, 400)
    await request(users.url, "POST", path, "1")
    await healthy_user.assert_served()


QUERIES = st.dictionaries(
    st.sampled_from(["EIO", "transport", "sid", "j", "t", "b64", "token"]),
    st.sampled_from(["4", "3", "polling", "websocket", "0", "-1", "g1.x", "%00", "%ff", "%0d%0a", "'"])
    | st.text("0123456789abcg.%/", max_size=9).map(lambda text: text.replace("%", "%25")),
)


@fuzz(80)
@given(query=QUERIES, method=st.sampled_from(["GET", "POST", "PUT", "OPTIONS", "DELETE", "PATCH"]))
async def test_every_handshake_is_answered(
    users: ChatUsers, healthy_user: HealthyUser, query: dict[str, str], method: str
) -> None:
    path = "/socket.io/?" + "&".join(f"{name}={value}" for name, value in query.items())
    async with asyncio.timeout(SECONDS):
        answer = await request(users.url, method, path)
    assert answer.status < 500, answer
    if answer.text.startswith('0{"sid"'):
        sid = json.loads(answer.text[1:])["sid"]
        await request(users.url, "POST", f"{POLLING}&sid={sid}", "1")

    await healthy_user.assert_served()
