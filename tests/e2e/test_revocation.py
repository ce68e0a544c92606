"""Every gateway refuses revoked tokens and closes their sockets, whatever other part is away."""

import asyncio
import signal
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from clients.baseline import refusal
from clients.chat import ChatUsers, Socket, User, eventually
from clients.raw import RawSocket, request
from clients.tokens import assert_accepted, assert_closed, assert_refused, fresh, later, seconds_of
from parley.stack import Stack

DAYS = 30


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A separate stack, because the tests stop parts of it."""
    settings = {"RATE_LIMITS": "off", "REVOCATION_DAYS": str(DAYS)}
    with Stack(tmp_path_factory.mktemp("guarded"), gateways=2, workers=1, settings=settings) as stack:
        yield stack


@pytest.fixture
async def users(guarded: Stack) -> AsyncIterator[ChatUsers]:
    users = ChatUsers(guarded.url, guarded.jwt_secret)
    yield users
    await users.close()


@pytest.fixture
def admin(users: ChatUsers) -> User:
    return users.user("root", role="admin")


@pytest.fixture
def alice(users: ChatUsers, guarded: Stack) -> User:
    """A user whose token has `iat` and `jti`."""
    alice = users.user("alice")
    alice.token = fresh(guarded.jwt_secret, alice.id, jti=f"of {alice.id}")
    return alice


async def revoke(admin: User, **target: str) -> dict[str, Any]:
    status, answer = await admin.rest("POST", "/admin/revoke", target)
    assert status == 200, answer
    assert answer["success"] is True
    return dict(answer)


async def lets_in(url: str, token: str) -> bool:
    answer = await request(url, "GET", "/chats/conversations", Authorization=f"Bearer {token}")
    return answer.status == 200


async def everywhere(user: User, stack: Stack) -> list[Socket]:
    """Connect a user's sockets to each gateway by each transport."""
    return [await user.socket(t, url=url) for url in stack.gateway_urls for t in ("websocket", "polling")]


async def are_closed(sockets: list[Socket]) -> None:
    since = time.monotonic()
    await asyncio.gather(*(assert_closed(socket, since) for socket in sockets))


async def test_a_revoked_user_is_disconnected_everywhere_and_nobody_else_is(
    admin: User, alice: User, users: ChatUsers, guarded: Stack
) -> None:
    hers, bobs = await everywhere(alice, guarded), await everywhere(users.user("bob"), guarded)

    answer = await revoke(admin, userId=alice.id)

    await are_closed(hers)
    for url in guarded.gateway_urls:
        await assert_refused(url, alice.token)
        await assert_accepted(url, users.user("bob").token)
    assert all(socket.connected for socket in bobs)
    assert answer["userId"] == alice.id
    assert abs(seconds_of(answer["rememberedUntil"]) - time.time() - DAYS * 86_400) < 60


async def test_a_token_issued_after_the_revocation_is_accepted(
    admin: User, alice: User, guarded: Stack
) -> None:
    await revoke(admin, userId=alice.id)

    alice.token = await later(alice, guarded.jwt_secret, time.time())

    for url in guarded.gateway_urls:
        await assert_accepted(url, alice.token)
        assert (await alice.socket(url=url)).connected


async def test_tokens_without_an_issue_time_are_refused_with_their_user_s(
    admin: User, alice: User, guarded: Stack
) -> None:
    alice.token = fresh(guarded.jwt_secret, alice.id, iat=None)
    hers = await everywhere(alice, guarded)

    await revoke(admin, userId=alice.id)

    await are_closed(hers)
    await assert_refused(guarded.url, alice.token)
    await assert_refused(guarded.url, fresh(guarded.jwt_secret, alice.id, iat=None))


async def test_a_token_is_revoked_by_its_jti_and_no_other_is(
    admin: User, alice: User, guarded: Stack
) -> None:
    other = fresh(guarded.jwt_secret, alice.id)
    stolen, hers = alice.token, await everywhere(alice, guarded)
    alice.token = other
    stay = await everywhere(alice, guarded)

    answer = await revoke(admin, jti=f"of {alice.id}")

    await are_closed(hers)
    for url in guarded.gateway_urls:
        await assert_refused(url, stolen)
        await assert_accepted(url, other)
    assert all(socket.connected for socket in stay)
    assert answer["jti"] == f"of {alice.id}"
    assert "userId" not in answer


async def test_a_token_with_a_numeric_jti_is_revoked_by_its_digits(
    admin: User, alice: User, guarded: Stack
) -> None:
    number = int(time.time() * 1_000_000)
    alice.token = fresh(guarded.jwt_secret, alice.id, jti=number)
    sockets = await everywhere(alice, guarded)

    await revoke(admin, jti=str(number))

    await are_closed(sockets)
    for url in guarded.gateway_urls:
        await assert_refused(url, alice.token)


async def test_a_reauthenticated_socket_depends_on_its_new_token_only(
    admin: User, alice: User, guarded: Stack
) -> None:
    (socket, *_) = await everywhere(alice, guarded)
    await socket.call_ok(
        "reauthenticate", {"token": fresh(guarded.jwt_secret, alice.id, jti=f"new {alice.id}")}
    )

    await revoke(admin, jti=f"of {alice.id}")
    refusal(await socket.call("reauthenticate", {"token": alice.token}), "UNAUTHORIZED")
    await socket.call_ok("getOnlineUsers")

    await revoke(admin, jti=f"new {alice.id}")
    await assert_closed(socket)


async def test_a_user_and_a_token_may_be_revoked_at_once(
    admin: User, alice: User, users: ChatUsers, guarded: Stack
) -> None:
    bob = users.user("bob")
    bob.token = fresh(guarded.jwt_secret, bob.id, jti=f"of {bob.id}")
    sockets = [await alice.socket(), await bob.socket()]

    await revoke(admin, userId=alice.id, jti=f"of {bob.id}")

    await are_closed(sockets)
    await assert_refused(guarded.url, alice.token)
    await assert_refused(guarded.url, bob.token)


async def test_a_user_without_sockets_and_an_unknown_token_may_be_revoked(admin: User) -> None:
    await revoke(admin, userId=f"nobody-{uuid.uuid4()}")
    await revoke(admin, jti=f"none-{uuid.uuid4()}")


@pytest.mark.parametrize("role", [None, "member", "service", "ADMIN"])
async def test_only_an_admin_may_revoke(
    role: str | None, alice: User, users: ChatUsers, guarded: Stack
) -> None:
    mallory = users.user("mallory", role=role)
    socket = await alice.socket()

    for target in ({"userId": alice.id}, {"jti": f"of {alice.id}"}, {}):
        status, answer = await mallory.rest("POST", "/admin/revoke", target)
        assert status == 403
        refusal(answer, "FORBIDDEN")

    await assert_accepted(guarded.url, alice.token)
    assert socket.connected


async def test_without_a_token_nothing_is_revoked(alice: User, guarded: Stack) -> None:
    answer = await request(
        guarded.url, "POST", "/admin/revoke", f'{{"userId":"{alice.id}"}}', Content_Type="application/json"
    )

    assert answer.status == 401
    refusal(answer.body, "UNAUTHORIZED")
    await assert_accepted(guarded.url, alice.token)


@pytest.mark.parametrize(
    "target",
    [
        {},
        {"userId": ""},
        {"userId": 5.5},
        {"userId": None},
        {"jti": ""},
        {"jti": "a\x00b"},
        {"jti": "x" * 501},
        {"jti": ["x"]},
        {"userId": {"$ne": ""}},
        {"user": "x"},
    ],
    ids=repr,
)
async def test_an_invalid_revocation_revokes_nothing(target: dict[str, Any], admin: User) -> None:
    status, answer = await admin.rest("POST", "/admin/revoke", target)

    assert status == 400
    refusal(answer, "INVALID")


async def test_a_revoked_admin_is_an_admin_no_more(admin: User, users: ChatUsers, guarded: Stack) -> None:
    other = users.user("other", role="admin")
    await revoke(admin, userId=other.id)

    status, _ = await other.rest("POST", "/admin/revoke", {"userId": admin.id})

    assert status == 401
    await assert_accepted(guarded.url, admin.token)


async def test_revocations_survive_a_restart_of_the_gateways(
    admin: User, alice: User, guarded: Stack
) -> None:
    await revoke(admin, userId=alice.id)

    for name in ("gateway-1", "gateway-2"):
        await asyncio.to_thread(guarded.stop, name)
        await asyncio.to_thread(guarded.start, name)

    for url in guarded.gateway_urls:
        await assert_refused(url, alice.token)
        await assert_accepted(url, admin.token)


@pytest.mark.parametrize("how", ["it is down", "it hangs"])
async def test_every_gateway_reads_revocations_from_mongodb_while_redis_is_away(
    how: str, admin: User, alice: User, guarded: Stack
) -> None:
    hers = await everywhere(alice, guarded)
    if how == "it is down":
        await asyncio.to_thread(guarded.stop, "redis")
    else:
        guarded.signal("redis", signal.SIGSTOP)
    try:
        revoking = asyncio.create_task(revoke(admin, userId=alice.id))
        await are_closed(hers)
        for url in guarded.gateway_urls:
            await assert_refused(url, alice.token)
        await revoking
    finally:
        if how == "it is down":
            await asyncio.to_thread(guarded.start, "redis")
        else:
            guarded.signal("redis", signal.SIGCONT)


async def test_a_client_that_ignores_the_disconnect_is_closed_while_redis_hangs(
    admin: User, alice: User, guarded: Stack
) -> None:
    raw = await (await RawSocket(guarded.gateway_urls[0]).open()).connect_namespace({"token": alice.token})
    guarded.signal("redis", signal.SIGSTOP)
    try:
        revoking = asyncio.create_task(revoke(admin, userId=alice.id))
        await raw.wait_until_closed()
        await revoking
    finally:
        guarded.signal("redis", signal.SIGCONT)
    await raw.close()


async def test_a_suspended_gateway_reads_revocations_when_it_continues(
    admin: User, alice: User, guarded: Stack
) -> None:
    first, second = guarded.gateway_urls
    sleepers = [await alice.socket(url=second) for _ in range(2)]
    guarded.signal("gateway-2", signal.SIGSTOP)
    try:
        waking = User(first, guarded.jwt_secret, admin.id, role="admin")
        await revoke(waking, userId=alice.id)
        await waking.close()
        await assert_refused(first, alice.token)
    finally:
        guarded.signal("gateway-2", signal.SIGCONT)

    await are_closed(sleepers)
    await assert_refused(second, alice.token)


async def test_a_revocation_fails_with_an_error_while_mongodb_is_away(
    admin: User, alice: User, guarded: Stack
) -> None:
    await assert_accepted(guarded.url, alice.token)
    await assert_accepted(guarded.url, admin.token)
    await asyncio.to_thread(guarded.stop, "mongodb")
    try:
        status, answer = await admin.rest("POST", "/admin/revoke", {"userId": alice.id})
        assert status == 503
        assert answer["error"]["retryable"] is True
    finally:
        await asyncio.to_thread(guarded.start, "mongodb")

    for url in guarded.gateway_urls:
        await eventually(lambda url=url: lets_in(url, alice.token))
