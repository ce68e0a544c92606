"""Users over the rate limits are refused, then disconnected; others are not affected."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
import socketio

from clients.chat import NAMESPACE, ChatUsers, Socket, User, eventually, token
from clients.database import open_database
from clients.nginx_edge import PROXY
from clients.raw import RawSocket, request
from parley.shared.documents import CONVERSATIONS, MEMBERSHIPS, USERS, to_document
from parley.shared.model import Conversation, Membership, new_id, now
from parley.stack import Stack

SECONDS = 1.0
LOW = {
    "RATE_SENDS": "10:20",
    "RATE_TYPING": "2:5",
    "RATE_JOINS": "2:5",
    "RATE_CREATES": "1:3",
    "RATE_READS": "5:40",
    "RATE_REQUESTS": "100:400",
    "RATE_ROOMS": "100:500",
    "RATE_EVENTS": "50:200",
    "RATE_CONNECTS": "1:60",
    "MAX_SOCKETS_OF_USER": "3",
    "TRUSTED_PROXIES": PROXY,
}


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("strict"), gateways=1, workers=1, settings=LOW) as stack:
        yield stack


@pytest.fixture
async def users(strict: Stack) -> AsyncIterator[ChatUsers]:
    users = ChatUsers(strict.url, strict.jwt_secret)
    yield users
    await users.close()


def is_limited(answer: dict[str, Any]) -> bool:
    if answer["success"]:
        return False
    error = answer["error"]
    assert (error["code"], error["retryable"]) == ("RATE_LIMITED", True), answer
    assert 0 < error["retryAfter"] < 10 * SECONDS
    return True


async def tries(socket: Socket, times: int, event: str, payload: dict[str, Any]) -> list[dict[str, Any]]:
    return list(await asyncio.gather(*(socket.call(event, payload) for _ in range(times))))


async def test_sends_past_the_burst_are_refused_until_retry_after(users: ChatUsers) -> None:
    alice, bob = await users.sockets("alice", "bob")
    group = await users.group(alice, "bob")
    message = {"conversationId": group, "content": "hello"}

    answers = await tries(alice, 30, "sendMessage", message)

    limited = [answer for answer in answers if is_limited(answer)]
    assert 5 <= len(limited) <= 10
    retry_after = max(answer["error"]["retryAfter"] for answer in limited)
    refused = time.monotonic()

    async def is_accepted() -> bool:
        return not is_limited(await alice.call("sendMessage", message))

    await eventually(is_accepted)
    assert time.monotonic() - refused < retry_after + SECONDS
    assert (await bob.call("sendMessage", message))["success"] is True
    stored = len(answers) - len(limited) + 2
    await eventually(lambda: has_stored(users.user("bob"), group, stored))


async def test_each_send_past_the_burst_is_reported_without_an_acknowledgement(users: ChatUsers) -> None:
    alice, _ = await users.sockets("alice", "bob")
    group = await users.group(alice, "bob")
    sent = 30

    for number in range(sent):
        message = {"conversationId": group, "content": "hello", "tempId": str(number)}
        await alice.emit("sendMessage", message)

    await eventually(lambda: len(alice.events("messageSent") + alice.events("exception")) >= sent)
    reports = alice.events("exception")
    assert 5 <= len(reports) <= 10
    assert all(is_limited({"success": False, **report}) for report in reports)
    names = [each["tempId"] for each in alice.events("messageSent") + reports]
    assert sorted(names, key=int) == [str(number) for number in range(sent)]


async def has_stored(user: User, group: str, count: int) -> bool:
    return len(await user.history(group)) == count


async def test_a_user_s_sockets_and_rest_share_one_bucket(users: ChatUsers) -> None:
    one = await users.user("alice").socket()
    other = await users.user("alice").socket()
    chat = await users.group(one, "bob")
    message = {"conversationId": chat, "content": "hello"}
    by_rest = {"chatId": chat, "content": "by REST"}

    # The bucket gets a token every 0.1 s. The requests by REST are fewer than a burst of their own would be.
    for _ in range(10):
        sockets = (tries(socket, 15, "sendMessage", message) for socket in (one, other))
        await asyncio.gather(*sockets)
        status, answer = await users.user("alice").rest("POST", "/chat-messages", by_rest)
        if status == 429:
            break

    assert status == 429
    assert is_limited(answer)


async def test_rest_refusals_carry_retry_after(users: ChatUsers, strict: Stack) -> None:
    headers = {"Authorization": f"Bearer {users.user('alice').token}"}
    body = {"type": "group", "participants": [users.user("bob").id]}
    async with aiohttp.ClientSession(headers=headers) as http:
        for _ in range(3):
            async with http.post(f"{strict.url}/chats/conversations", json=body) as answer:
                assert answer.status == 201
        async with http.post(f"{strict.url}/chats/conversations", json=body) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
            assert is_limited(await answer.json())


@pytest.mark.parametrize(
    ("event", "burst"), [("typing", 5), ("joinRoom", 5), ("createConversation", 3), ("getOnlineUsers", 39)]
)
async def test_each_kind_has_a_rate_of_its_own(event: str, burst: int, users: ChatUsers) -> None:
    alice = await users.user("alice").socket()
    status, conversation = await users.user("bob").rest(
        "POST", "/chats/conversations", {"type": "group", "participants": [users.user("alice").id]}
    )
    assert status == 201
    group = conversation["_id"]
    payload: dict[str, Any] = {
        "createConversation": {"type": "group", "participants": [users.user("bob").id]},
        "getOnlineUsers": {},
    }.get(event, {"conversationId": group})

    answers = await tries(alice, burst + 20, event, payload)

    passed = [answer for answer in answers if not is_limited(answer)]
    assert burst <= len(passed) < burst + 15
    assert (await alice.call("sendMessage", {"conversationId": group, "content": "hello"}))["success"] is True


async def test_a_socket_that_does_not_slow_down_is_cut_off_and_its_neighbours_are_not(
    users: ChatUsers,
) -> None:
    alice, bob = await users.sockets("alice", "bob")
    for _ in range(2_000):
        if not alice.connected:
            break
        try:
            await alice.emit("nonsense", {})
        except socketio.exceptions.BadNamespaceError:
            break
    await eventually(lambda: not alice.connected)
    assert (await bob.call("getOnlineUsers"))["success"] is True
    again = await users.user("alice").socket()
    assert (await again.call("getOnlineUsers"))["success"] is True


async def test_wrong_bodies_of_rest_are_limited(users: ChatUsers, strict: Stack) -> None:
    headers = {"Authorization": f"Bearer {users.user('alice').token}"}
    wrong = {"type": "group", "participants": [""] * 1_000}
    async with aiohttp.ClientSession(headers=headers) as http:
        statuses = []
        for _ in range(60):
            async with http.post(f"{strict.url}/chats/conversations", json=wrong) as answer:
                statuses.append(answer.status)
                body = await answer.read()
        assert statuses[:15] == [400] * 15
        assert 429 in statuses
        assert len(body) < 4_096


async def test_a_request_that_is_refused_by_rate_stores_no_profile(users: ChatUsers, strict: Stack) -> None:
    alice = users.user("alice", name="Alice")
    status = 0
    while status != 429:
        status, _ = await alice.rest("POST", "/chats/conversations", {"participants": "x" * 100_000})
    renamed = token(strict.jwt_secret, alice.id, name="Renamed")

    answers = [
        await request(strict.url, method, path, Authorization=f"Bearer {renamed}")
        for method, path in (("GET", "/chat/unread-count"), ("POST", "/attachments"))
    ]

    assert [answer.status for answer in answers] == [429, 429]
    async with open_database(strict.mongo_url) as database:
        assert (await database[USERS].find_one({"_id": alice.id}))["name"] == "Alice"


async def test_large_events_of_all_sockets_of_a_user_are_limited_together(users: ChatUsers) -> None:
    sockets = [await users.user("alice").socket() for _ in range(3)]
    large = {"participants": ["x"] * 20_000}
    answers = await asyncio.gather(*(tries(socket, 10, "createConversation", large) for socket in sockets))

    refused = [answer for each in answers for answer in each]
    limited = [answer for answer in refused if answer["error"]["code"] != "INVALID"]
    assert 5 < len(limited) < 30
    assert all(map(is_limited, limited))
    assert all(len(json.dumps(answer)) < 4_096 for answer in refused)


async def test_a_user_has_so_many_sockets_and_the_next_is_let_in_when_one_has_gone(
    users: ChatUsers, strict: Stack
) -> None:
    alice = users.user("alice")
    sockets = [await alice.socket() for _ in range(3)]
    raw = await RawSocket(strict.url).open()
    await raw.send(f'40{NAMESPACE},{{"token": "{alice.token}"}}')
    # The client library never reconnects after CONNECT_ERROR.
    await raw.wait_until_closed()
    assert not [frame for frame in raw.frames if frame.startswith("4")]
    await raw.close()
    await sockets[0].close()

    async def is_let_in() -> bool:
        raw = await RawSocket(strict.url).open()
        await raw.send(f'40{NAMESPACE},{{"token": "{alice.token}"}}')
        await eventually(lambda: raw.is_closed or [f for f in raw.frames if f.startswith("40")])
        let_in = not raw.is_closed
        await raw.close()
        return let_in

    await eventually(is_let_in)


async def test_concurrent_connects_of_a_user_are_limited(users: ChatUsers, strict: Stack) -> None:
    # A recovery is counted a moment after the check of the limit.
    auth = {"token": users.user("alice").token, "pid": "A" * 22}
    sockets = [Socket(strict.url, auth, ["websocket"]) for _ in range(10)]
    try:
        await asyncio.gather(*(socket.connect() for socket in sockets), return_exceptions=True)
        assert sum(socket.connected for socket in sockets) == 3
    finally:
        for socket in sockets:
            await socket.close()


async def test_repeated_connects_over_new_connections_are_refused(users: ChatUsers, strict: Stack) -> None:
    token = users.user("alice").token
    connects = [await enter_and_leave(strict.url, token, 10) for _ in range(6)]

    assert 40 <= sum(connects) < 60


async def enter_and_leave(url: str, token: str, times: int) -> int:
    """Return the number of connects that succeeded over one connection."""
    raw = await RawSocket(url).open()
    entered: list[str] = []
    while len(entered) < times and not raw.is_closed:
        await raw.send(f"40{NAMESPACE},{json.dumps({'token': token})}")
        answers = len(entered) + 1
        await eventually(lambda: raw.is_closed or len(entries(raw)) == answers)  # noqa: B023 - called at once
        entered = entries(raw)
        if not raw.is_closed:
            await raw.send(f"41{NAMESPACE},")
    await raw.close()
    return len(entered)


def entries(raw: RawSocket) -> list[str]:
    return [frame for frame in raw.frames if frame.startswith(f"40{NAMESPACE},")]


async def test_connecting_is_charged_by_the_user_s_conversations(users: ChatUsers, strict: Stack) -> None:
    many, few = users.user("many"), users.user("few")
    await add_conversations(strict, many.id, 200)

    assert 2 <= await enter_and_leave(strict.url, many.token, 8) <= 4
    assert await enter_and_leave(strict.url, few.token, 8) == 8


@pytest.mark.parametrize("path", ["/chat/unread-count", "/chats/conversations"])
async def test_a_read_of_all_conversations_is_charged_by_their_number(
    path: str, users: ChatUsers, strict: Stack
) -> None:
    many, few = users.user("many"), users.user("few")
    await add_conversations(strict, many.id, 1_000)

    statuses = [(await many.rest("GET", path))[0] for _ in range(20)]
    assert statuses[:3] == [200] * 3
    assert 429 in statuses
    assert [(await few.rest("GET", path))[0] for _ in range(20)] == [200] * 20


async def test_a_sync_is_charged_by_its_conversations(users: ChatUsers) -> None:
    alice, bob = await users.sockets("alice", "bob")
    revisions = {new_id(): 0 for _ in range(100)}

    answers = await tries(alice, 20, "sync", {"conversations": revisions})
    assert 3 <= len([each for each in answers if not is_limited(each)]) < 10
    answers = await tries(bob, 20, "sync", {"conversations": dict(list(revisions.items())[:10])})
    assert not any(map(is_limited, answers))


async def add_conversations(stack: Stack, user_id: str, count: int) -> None:
    """Store conversations of a user."""
    at = now()
    stored = [
        Conversation(id=new_id(), kind="group", created_by=user_id, created_at=at) for _ in range(count)
    ]
    members = [Membership(conversation_id=each.id, user_id=user_id, joined_at=at) for each in stored]
    async with open_database(stack.mongo_url) as database:
        await database[CONVERSATIONS].insert_many(map(to_document, stored))
        await database[MEMBERSHIPS].insert_many(map(to_document, members))


@pytest.mark.parametrize(
    ("query", "address"),
    [
        pytest.param("", "198.51.100.{n}, 203.0.113.{net}", id="of IPv4"),
        pytest.param("", "2001:db8:{net:x}::{n:x}", id="of a network of IPv6"),
        pytest.param("&sid=", "2001:db8:{net:x}:1::1", id="by an empty session id"),
    ],
)
async def test_an_address_that_connects_too_often_waits(query: str, address: str, strict: Stack) -> None:
    url = f"{strict.gateway_urls[0]}/socket.io/?EIO=4&transport=polling{query}"
    # Client addresses of this test only, as nginx would forward them.
    ours, theirs = random.sample(range(1, 250), 2)
    async with aiohttp.ClientSession() as http:
        statuses = []
        for n in range(1, 71):
            headers = {"X-Forwarded-For": address.format(n=n, net=ours)}
            async with http.get(url, headers=headers) as answer:
                statuses.append(answer.status)
                body = await answer.read()
        assert statuses[:60] == [200] * 60
        assert 429 in statuses
        assert b"RATE_LIMITED" in body
        assert int(answer.headers["Retry-After"]) >= 1
        headers = {"X-Forwarded-For": address.format(n=1, net=theirs)}
        async with http.get(url, headers=headers) as answer:
            assert answer.status == 200


async def test_each_client_of_a_trusted_proxy_has_a_rate_of_its_own(strict: Stack) -> None:
    ours, theirs = (f"203.0.113.{last}" for last in random.sample(range(1, 250), 2))

    async def status(address: str, source: str = PROXY) -> int:
        path = "/socket.io/?EIO=4&transport=polling"
        answer = await request(strict.url, "GET", path, source=source, X_Forwarded_For=f"6.6.6.6, {address}")
        return answer.status

    assert [await status(ours) for _ in range(70)].count(429) > 0
    assert await status(theirs) == 200
    # The claims of others are not believed: all of them count against their own address.
    stranger = f"127.0.0.{random.randrange(9, 250)}"
    claims = [await status(f"203.0.113.{last}", stranger) for last in range(1, 71)]
    assert claims.count(429) > 0
