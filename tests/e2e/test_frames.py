"""Frames that no client library would send are answered, or they close the connection."""

import asyncio
import json
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import aiohttp
import pytest

from clients.baseline import Baseline, refusal
from clients.chat import NAMESPACE, ChatUsers
from clients.raw import RawSocket, request
from parley.stack import Stack

pytestmark = pytest.mark.usefixtures("quiet")

POLLING = "/socket.io/?EIO=4&transport=polling"


@pytest.fixture
async def raw(baseline: Baseline, stack: Stack) -> AsyncIterator[RawSocket]:
    """Connect alice by a client that sends any frame."""
    socket = await (await RawSocket(stack.url).open()).connect_namespace({"token": baseline.user.token})
    yield socket
    await socket.close()


async def still_works(raw: RawSocket) -> None:
    assert (await raw.call(999, '["getOnlineUsers"]'))["success"] is True


@pytest.mark.parametrize(
    "value",
    [
        "NaN",
        "Infinity",
        "-Infinity",
        "1e999",
        "undefined",
        '"\\ud800"',
        '"\\udc00x"',
        '"\\x41"',
        "'single'",
        '"tab\there"',
        '"unended',
        "01",
        "[1,]",
        "[" * 2_000,
        "",
    ],
)
async def test_an_event_that_is_not_json_is_refused_by_its_acknowledgement(
    value: str, baseline: Baseline, raw: RawSocket
) -> None:
    payload = f'{{"conversationId":"{baseline.group}","content":{value}}}'

    refusal(await raw.call(1, f'["sendMessage",{payload}]'), "INVALID")

    await still_works(raw)


@pytest.mark.parametrize("value", ["NaN", '"\\ud83c"', '"unended', ""])
async def test_an_event_without_an_acknowledgement_that_is_not_json_is_reported(
    value: str, baseline: Baseline, raw: RawSocket
) -> None:
    await raw.emit(f'["sendMessage",{{"content":{value}}}]')

    report = await raw.wait_for_event("exception")
    assert (report["event"], report["error"]["code"]) == (None, "INVALID")
    await still_works(raw)


@pytest.mark.parametrize("event", ["5", "0", "-1", "1.5", "null", "true", "[]", '["sendMessage"]', "{}"])
async def test_an_event_is_refused_unless_its_name_is_a_string(
    event: str, baseline: Baseline, raw: RawSocket
) -> None:
    payload = f'{{"conversationId":"{baseline.group}","content":"hello"}}'

    refusal(await raw.call(1, f"[{event},{payload}]"), "UNKNOWN_EVENT")

    await still_works(raw)


async def test_the_last_of_duplicate_fields_counts(baseline: Baseline, raw: RawSocket) -> None:
    payload = f'{{"conversationId":"{baseline.group}","content":"hello","content":""}}'

    refusal(await raw.call(1, f'["sendMessage",{payload}]'), "INVALID")


@pytest.mark.parametrize("attachments", [1, 3])
async def test_binary_content_is_refused_by_its_acknowledgement(
    attachments: int, baseline: Baseline, raw: RawSocket
) -> None:
    payload = f'{{"conversationId":"{baseline.group}","content":{{"_placeholder":true,"num":0}}}}'

    await raw.send(f'45{attachments}-{NAMESPACE},1["sendMessage",{payload}]')
    for _ in range(attachments):
        await raw.send(b"hello")

    refusal(await raw.wait_for_ack(1), "INVALID")
    await still_works(raw)


@pytest.mark.parametrize("num", ["5", "-1", '"x"', "null", "true", "1.5"])
async def test_a_placeholder_without_an_attachment_is_refused(
    num: str, baseline: Baseline, raw: RawSocket
) -> None:
    payload = f'{{"conversationId":"{baseline.group}","content":{{"_placeholder":true,"num":{num}}}}}'
    refusal(await raw.call(1, f'["sendMessage",{payload}]'), "INVALID")

    await raw.send(f'451-{NAMESPACE},2["sendMessage",{payload}]')
    await raw.send(b"hello")

    refusal(await raw.wait_for_ack(2), "INVALID")
    await still_works(raw)


@pytest.mark.parametrize(
    "frame",
    [
        b"hello",
        b"\x00",
        b'2/chat,1["getOnlineUsers"]',
        "4",
        "42",
        f"42{NAMESPACE},",
        f"42{NAMESPACE},1[]",
        f'42{NAMESPACE},1{{"a":1}}',
        f'4599999999999-{NAMESPACE},1["sendMessage"]',
        f'451-{NAMESPACE},1["sendMessage"',
        f"44{NAMESPACE},{{}}",
        f"47{NAMESPACE},{{}}",
        "49",
        "4x",
        "6",
        "9",
        "x",
        "",
        "\u00e9",
        "0{}",
    ],
)
async def test_a_protocol_violation_closes_the_connection(
    frame: str | bytes, baseline: Baseline, raw: RawSocket
) -> None:
    await raw.send(frame)

    await raw.wait_until_closed()


async def test_a_text_in_place_of_an_attachment_closes_the_connection(
    baseline: Baseline, raw: RawSocket
) -> None:
    await raw.send(f'451-{NAMESPACE},1["sendMessage",{{"_placeholder":true,"num":0}}]')
    await raw.send(f'42{NAMESPACE},2["getOnlineUsers"]')

    await raw.wait_until_closed()


async def test_a_frame_over_the_size_limit_closes_the_connection(baseline: Baseline, raw: RawSocket) -> None:
    await raw.send(f'42{NAMESPACE},1["sendMessage",{{"content":"{"x" * 300_000}"}}]')

    await raw.wait_until_closed()


@pytest.mark.parametrize(
    "frame",
    [
        f'43{NAMESPACE},5["an answer to nothing"]',
        f"43{NAMESPACE},5",
        f"43{NAMESPACE},[]",
        '42/elsewhere,1["sendMessage",{}]',
        '42["sendMessage",{}]',
        f"40{NAMESPACE},{{}}",
        "41/elsewhere,",
        "3",
        f"42{NAMESPACE},{'9' * 200}[1]",
    ],
)
async def test_a_frame_without_meaning_here_is_ignored(
    frame: str, baseline: Baseline, raw: RawSocket
) -> None:
    await raw.send(frame)

    await still_works(raw)


@pytest.mark.parametrize(
    "namespace", ["/chats,", "/message,", "/elsewhere,", "/chat/,", "/Chat,", "/*,", "/chat2,", "/__proto__,"]
)
async def test_a_connect_to_an_unknown_namespace_is_refused(
    namespace: str, baseline: Baseline, raw: RawSocket
) -> None:
    await raw.send(f"40{namespace}{json.dumps({'token': baseline.user.token})}")

    answer = json.loads((await raw.wait_for("44")).removeprefix(f"44{namespace.removeprefix('/,')}"))
    assert answer["data"]["code"] == "NOT_FOUND"
    assert answer["message"]
    await still_works(raw)


async def test_events_of_a_socket_that_left_its_namespace_are_ignored(
    baseline: Baseline, raw: RawSocket
) -> None:
    await raw.send(f"41{NAMESPACE},")
    await raw.send(
        f'42{NAMESPACE},1["sendMessage",{{"conversationId":"{baseline.group}","content":"hello"}}]'
    )

    await raw.connect_namespace({"token": baseline.user.token})
    await still_works(raw)
    assert not any(frame.startswith(f"43{NAMESPACE},1[") for frame in raw.frames)


async def polling_session(stack: Stack, token: str) -> str:
    """Open a polling session in the namespace; returns the path of its requests."""
    opened = await request(stack.url, "GET", POLLING)
    path = f"{POLLING}&sid={json.loads(opened.text[1:])['sid']}"
    entered = await request(stack.url, "POST", path, f"40{NAMESPACE},{json.dumps({'token': token})}")
    assert (entered.status, entered.text) == (200, "ok")
    assert f"40{NAMESPACE}," in (await request(stack.url, "GET", path)).text
    return path


@pytest.mark.parametrize(
    "body",
    [
        b"hello",
        b"4x",
        b"9",
        b"\xff\xfe",
        b"\x1e",
        b"d=",
        b"bnot base64!",
        b'42/chat,1["x"]\x1e4x',
        b"4",
        b"40/ch\xffat,{}",
    ],
)
async def test_a_post_that_breaks_the_protocol_closes_its_session(
    body: bytes, baseline: Baseline, stack: Stack
) -> None:
    path = await polling_session(stack, baseline.user.token)

    await request(stack.url, "POST", path, body)

    async with asyncio.timeout(5):
        while (await request(stack.url, "GET", path)).status == 200:
            pass


async def test_a_wrong_packet_of_a_post_does_not_harm_its_neighbours(users: ChatUsers, stack: Stack) -> None:
    (alice,) = await users.sockets("alice")
    group = await users.group(alice, "bob")
    path = await polling_session(stack, users.user("alice").token)
    send = f'42{NAMESPACE},["sendMessage",{{"conversationId":"{group}","content":%s}}]'
    body = "\x1e".join(send % content for content in ('"one"', '"\\ud83c"', '"two"'))

    assert (await request(stack.url, "POST", path, body)).status == 200

    await alice.wait_for("messageSent", seq=2)
    assert [m["content"] for m in await users.user("alice").history(group)] == ["one", "two"]
    assert '"exception"' in (await request(stack.url, "GET", path)).text


async def test_an_event_of_a_post_that_is_not_utf_8_is_refused_by_itself(
    users: ChatUsers, stack: Stack
) -> None:
    (alice,) = await users.sockets("alice")
    group = await users.group(alice, "bob")
    path = await polling_session(stack, users.user("alice").token)
    send = f'42{NAMESPACE},["sendMessage",{{"conversationId":"{group}","content":"%s"}}]'
    parts = [(send % content).encode("latin-1") for content in ("one", "caf\u00e9", "two")]
    named = parts[1].replace(f"{NAMESPACE},".encode(), f"{NAMESPACE},7".encode())

    assert (await request(stack.url, "POST", path, b"\x1e".join([*parts, named]))).status == 200

    await alice.wait_for("messageSent", seq=2)
    assert [m["content"] for m in await users.user("alice").history(group)] == ["one", "two"]
    answers = (await request(stack.url, "GET", path)).text
    assert "not valid JSON" in answers
    assert '"exception"' in answers
    assert f'43{NAMESPACE},7[{{"success":false' in answers


async def test_polls_without_a_session_are_refused(stack: Stack) -> None:
    for query in ("", "&sid=g1.unknown", "&sid=unknown", "&sid=../..", "&sid=%00", "&sid=g99.x"):
        answer = await request(stack.url, "POST", POLLING + query, "2")
        assert answer.status == 400
    for query in ("", "?EIO=3&transport=polling", "?EIO=4&transport=telepathy", "?EIO=x"):
        assert (await request(stack.url, "GET", f"/socket.io/{query}")).status == 400


async def test_a_post_may_carry_many_events_in_several_pieces(users: ChatUsers, stack: Stack) -> None:
    (alice,) = await users.sockets("alice")
    group = await users.group(alice, "bob")
    path = await polling_session(stack, users.user("alice").token)
    node = path.rpartition("sid=")[2].partition(".")[0]
    address = urlsplit(stack.gateway_urls[int(node.removeprefix("g")) - 1]).netloc
    events = [
        f'42{NAMESPACE},{number}["sendMessage",{{"conversationId":"{group}","content":"{number}"}}]'
        for number in range(40)
    ]
    body = "\x1e".join(events).encode()

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 500):
            yield body[start : start + 500]
            await asyncio.sleep(0.01)

    async with (
        aiohttp.ClientSession() as http,
        http.post(
            f"http://{address}{path}", data=pieces(), headers={"Content-Length": str(len(body))}
        ) as answer,
    ):
        assert await answer.text() == "ok"

    await alice.wait_for("messageSent", seq=40)
    assert [m["content"] for m in await users.user("alice").history(group)] == [str(n) for n in range(40)]
