"""Untrusted tokens are refused alike by sockets and REST."""

import time
import uuid
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest
import socketio
from cryptography.hazmat.primitives.asymmetric import rsa

from clients.baseline import refusal
from clients.chat import NAMESPACE, ChatUsers, Socket, token
from clients.logs import logs_of
from clients.raw import RawSocket, request
from parley.stack import Stack

pytestmark = pytest.mark.usefixtures("quiet")

ANOTHER_SECRET = "another secret that is quite as long as the first"
LIST = "/chats/conversations"


def made_wrong(secret: str, how: str) -> Any:
    """Make a token that must be refused."""
    in_an_hour = int(time.time()) + 3600
    claims: dict[str, Any] = {"sub": "mallory", "exp": in_an_hour}
    good = jwt.encode(claims, secret, "HS256")
    head, body, signature = good.split(".")
    match how:
        case "empty":
            return ""
        case "a number":
            return 12345
        case "an object":
            return {"token": good}
        case "expired":
            return jwt.encode({**claims, "exp": int(time.time()) - 1}, secret, "HS256")
        case "without an expiry":
            return jwt.encode({"sub": "mallory"}, secret, "HS256")
        case "not yet valid":
            return jwt.encode({**claims, "nbf": in_an_hour}, secret, "HS256")
        case "unsigned":
            return jwt.encode(claims, "", "none")
        case "stripped of its signature":
            return f"{head}.{body}."
        case "signed by another key":
            return jwt.encode(claims, ANOTHER_SECRET, "HS256")
        case "signed by HS512":
            return jwt.encode(claims, secret, "HS512")
        case "signed by RS256":
            return jwt.encode(claims, rsa.generate_private_key(public_exponent=65537, key_size=2048), "RS256")
        case "of another content":
            forged = jwt.encode({**claims, "sub": "alice"}, ANOTHER_SECRET, "HS256").split(".")[1]
            return f"{head}.{forged}.{signature}"
        case "without a subject":
            return jwt.encode({"exp": in_an_hour}, secret, "HS256")
        case "of an empty subject":
            return jwt.encode({**claims, "sub": ""}, secret, "HS256")
        case "of a subject with control characters":
            return jwt.encode({**claims, "sub": "a\x00b"}, secret, "HS256")
        case "of a subject that is too long":
            return jwt.encode({**claims, "sub": "x" * 129}, secret, "HS256")
        case "of a subject that is a list":
            return jwt.encode({**claims, "sub": ["alice"]}, secret, "HS256")
        case "of a subject that is true":
            return jwt.encode({**claims, "sub": True}, secret, "HS256")
        case "of an infinite expiry":
            return jwt.encode({**claims, "exp": float("inf")}, secret, "HS256")
        case "of an expiry that is a list":
            return jwt.encode({**claims, "exp": [in_an_hour]}, secret, "HS256")
        case "not a token":
            return "not.a.token"
        case "not ASCII":
            return f"{head}.{body}.\u00e9\u00ff"
    raise AssertionError(how)


WRONG = [
    "empty",
    "expired",
    "without an expiry",
    "not yet valid",
    "unsigned",
    "stripped of its signature",
    "signed by another key",
    "signed by HS512",
    "signed by RS256",
    "of another content",
    "without a subject",
    "of an empty subject",
    "of a subject with control characters",
    "of a subject that is too long",
    "of a subject that is a list",
    "of a subject that is true",
    "of an infinite expiry",
    "of an expiry that is a list",
    "not a token",
    "not ASCII",
]
NOT_EVEN_TEXT = ["a number", "an object"]


async def connect_error(url: str, auth: Any) -> Any:
    """Return the error that refuses a connection."""
    socket = Socket(url, auth, ["websocket"])
    received: list[Any] = []
    socket.io.on("connect_error", received.append, namespace=NAMESPACE)
    with pytest.raises(socketio.exceptions.ConnectionError):
        await socket.connect()
    await socket.close()
    return received[0]


@pytest.mark.parametrize("how", WRONG + NOT_EVEN_TEXT)
async def test_a_socket_is_refused_with_a_token_that_is(how: str, stack: Stack) -> None:
    refused = await connect_error(stack.url, {"token": made_wrong(stack.jwt_secret, how)})

    assert refused["data"]["code"] == "UNAUTHORIZED"
    assert refused["data"]["retryable"] is False
    assert refused["message"] == refused["data"]["message"] != ""


@pytest.mark.parametrize("auth", [None, {}, {"token": None}, {"jwt": "x"}, [], ["token"], "token", 5, True])
async def test_a_socket_is_refused_without_a_token(auth: Any, stack: Stack) -> None:
    refused = await connect_error(stack.url, auth)

    assert refused["data"]["code"] == "UNAUTHORIZED"


@pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", " {}\n"])
async def test_a_socket_s_token_may_have_its_scheme_and_white_space(form: str, stack: Stack) -> None:
    sent = form.format(token(stack.jwt_secret, f"ann-{uuid.uuid4().hex[:8]}"))
    in_query = f"{stack.url}/?{urlencode({'token': sent})}"
    for url, auth in ((stack.url, {"token": sent}), (in_query, {})):
        socket = await Socket(url, auth, ["websocket"]).connect()
        assert await socket.call("getOnlineUsers")
        await socket.close()


@pytest.mark.parametrize("how", WRONG)
async def test_rest_answers_401_to_a_token_that_is(how: str, stack: Stack) -> None:
    wrong = made_wrong(stack.jwt_secret, how)

    answer = await request(stack.url, "GET", LIST, Authorization=f"Bearer {wrong}")

    refusal(answer.body, "UNAUTHORIZED")
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.headers["Content-Type"].startswith("application/json")


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YWxpY2U6YWxpY2U=", "\udcff\udcfe"])
async def test_rest_answers_401_without_a_bearer(header: str, stack: Stack) -> None:
    answer = await request(stack.url, "GET", LIST, Authorization=header)

    refusal(answer.body, "UNAUTHORIZED")
    assert answer.status == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", LIST),
        ("GET", LIST),
        ("GET", f"{LIST}/x"),
        ("GET", f"{LIST}/x/messages"),
        ("POST", f"{LIST}/x/read"),
        ("DELETE", "/chats/messages/x"),
        ("POST", f"{LIST}/x/participants"),
        ("DELETE", f"{LIST}/x/participants/y"),
        ("POST", f"{LIST}/x/leave"),
    ],
)
async def test_every_path_checks_the_token_first(method: str, path: str, stack: Stack) -> None:
    answer = await request(stack.url, method, path, data="not even JSON" if method == "POST" else None)

    assert answer.status == 401
    refusal(answer.body, "UNAUTHORIZED")


async def test_a_refused_token_is_neither_in_the_answer_nor_in_a_log(stack: Stack) -> None:
    wrong = jwt.encode({"sub": f"mallory-{uuid.uuid4()}", "exp": 1}, stack.jwt_secret, "HS256")

    answer = await request(stack.url, "GET", f"{LIST}?token={wrong}")
    refused = await connect_error(f"{stack.url}?token={wrong}", {"token": wrong})

    assert wrong not in answer.text
    assert wrong not in str(refused)
    assert [name for name, log in (await logs_of(stack)).items() if wrong.encode() in log] == []


@pytest.mark.parametrize("expires", [2**40, 2**53, 10**18])
async def test_a_token_with_a_far_expiry_is_accepted(expires: int, users: ChatUsers, stack: Stack) -> None:
    user = users.user("alice")
    user.token = token(stack.jwt_secret, user.id, exp=expires)

    socket = await user.socket()

    assert (await socket.call_ok("getOnlineUsers"))["users"] == [user.id]


@pytest.mark.parametrize("claim", ["nbf", "iat"])
async def test_a_token_of_a_clock_that_is_a_little_ahead_is_accepted(
    claim: str, users: ChatUsers, stack: Stack
) -> None:
    early = token(stack.jwt_secret, users.user("alice").id, **{claim: int(time.time()) + 3})

    answer = await request(stack.url, "GET", LIST, Authorization=f"Bearer {early}")

    assert answer.status == 200


async def test_a_refused_client_can_retry_on_the_same_connection(users: ChatUsers, stack: Stack) -> None:
    raw = await RawSocket(stack.url).open()
    await raw.send(f'40{NAMESPACE},{{"token":"wrong"}}')
    assert '"UNAUTHORIZED"' in await raw.wait_for(f"44{NAMESPACE},")

    await raw.connect_namespace({"token": users.user("alice").token})

    assert (await raw.call(1, '["getOnlineUsers"]'))["success"] is True
    await raw.close()


async def test_events_sent_before_the_namespace_is_entered_are_ignored(
    users: ChatUsers, stack: Stack
) -> None:
    (alice,) = await users.sockets("alice")
    group = await users.group(alice, "bob")
    raw = await RawSocket(stack.url).open()

    await raw.send(f'42{NAMESPACE},1["sendMessage",{{"conversationId":"{group}","content":"hello"}}]')
    await raw.connect_namespace({"token": users.user("bob").token})
    await raw.call(2, '["getOnlineUsers"]')

    assert not any(frame.startswith(f"43{NAMESPACE},1[") for frame in raw.frames)
    assert await users.user("alice").history(group) == []
    await raw.close()


async def test_a_token_with_hundreds_of_groups_is_taken_beside_a_long_cookie(
    users: ChatUsers, stack: Stack
) -> None:
    alice = users.user("alice").id
    long = token(stack.jwt_secret, alice, groups=[str(uuid.uuid4()) for _ in range(200)])
    assert len(long) > 10_000
    cookie = {"Cookie": "c=" + "y" * 9_000}

    in_header = await request(stack.url, "GET", LIST, Authorization=f"Bearer {long}", **cookie)
    in_query = await request(stack.url, "GET", f"{LIST}?token={long}", **cookie)
    socket = Socket(stack.url, {"token": long}, ["polling"])
    await socket.connect()

    assert (in_header.status, in_query.status) == (200, 200)
    assert (await socket.call("getOnlineUsers"))["success"] is True
    await socket.close()
