"""Malformed bodies and requests are answered or disconnected, never with a 5xx."""

import asyncio
import json
import re
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.chat import ChatUsers, User
from clients.fuzz import fuzz
from clients.healthy_user import HealthyUser
from clients.payloads import GARBAGE, TEXTS, payloads
from clients.raw import request
from parley.gateway.protocols.administration import ADMINISTRATION
from parley.gateway.protocols.registry import PROTOCOLS

pytestmark = pytest.mark.usefixtures("quiet", "nothing_left")

TAKES_BODIES = [route for protocol in (*PROTOCOLS, ADMINISTRATION) for route in protocol.routes if route.body]
SECONDS = 5.0
HALF_A_SECOND = 0.5
NOT_COVERED = (501, 505)
"""The statuses that RFC 9110 requires for unknown codings and versions."""
BODIES = {
    "nothing ends": b'{"content":',
    "too much ends": b'{"content":"x"}}',
    "two": b'{"content":"x"} {"content":"y"}',
    "not a number": b'{"content":NaN,"participants":Infinity}',
    "a comma too many": b'{"participants":["x",],}',
    "UTF-16": '{"content":"hello"}'.encode("utf-16"),
    "UTF-32": '{"content":"hello"}'.encode("utf-32"),
    "Latin-1": '{"content":"é"}'.encode("latin-1"),
    "a byte order mark": '\ufeff{"content":"hello"}'.encode(),
    "an overlong NUL": b'{"content":"\xc0\x80"}',
    "a coded surrogate": b'{"content":"\xed\xa0\x80"}',
    "an escaped surrogate": b'{"content":"\\ud800","participants":["\\udc00"],"\\udfff":1}',
    "NUL": b'{"content":"a\x00b"}',
    "an escaped NUL": b'{"content":"a\\u0000b","participants":["\\u0000"],"conversationId":"\\u0000"}',
    "deep lists": b"[" * 100_000,
    "deep objects": b'{"a":' * 40_000 + b"1" + b"}" * 40_000,
    "depth within": b'{"participants":' + b"[" * 900 + b"]" * 900 + b"}",
    "many digits": b'{"content":' + b"1" * 100_000 + b"}",
    "a great exponent": b'{"content":1e999999,"participants":[-1e999999],"seq":1e400}',
    "doubled fields": b'{"content":"x","content":{},"participants":[],"participants":5}',
    "many fields": b"{" + b",".join(b'"%d":1' % n for n in range(20_000)) + b"}",
    "a name of many letters": b'{"' + b"x" * 200_000 + b'":1}',
    "more than a body may have": b'{"content":"' + b"x" * 300_000 + b'"}',
    "no object": b'"hello"',
}
TYPES = [
    "application/json",
    "application/json; charset=utf-16",
    "application/json;charset=\xff",
    "text/plain",
    "",
]


def path_of(path: str, put: str) -> str:
    return re.sub(r"\{\w+\}", put, path)


async def refused_or_done(user: User, url: str, method: str, path: str, body: bytes, kind: str) -> None:
    async with asyncio.timeout(SECONDS):
        answer = await request(
            url, method, path, body, Authorization=f"Bearer {user.token}", Content_Type=kind
        )
    assert answer.status < 500, (method, path, body[:80], answer)
    assert answer.headers["Content-Type"].startswith("application/json")
    json.loads(answer.text)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
async def test_every_path_accepts_or_refuses_every_body(
    body: bytes, users: ChatUsers, healthy_user: HealthyUser
) -> None:
    for route in TAKES_BODIES:
        path = path_of(route.path, "x")
        await refused_or_done(users.user("alice"), users.url, route.method, path, body, "application/json")
    await healthy_user.assert_served()


def _changed(body: bytes, at: int, length: int, by: bytes) -> bytes:
    start = at % (len(body) + 1)
    return body[:start] + by + body[start + length :]


@fuzz(120)
@given(data=st.data())
async def test_damaged_bodies_are_refused(
    users: ChatUsers, healthy_user: HealthyUser, data: st.DataObject
) -> None:
    route = data.draw(st.sampled_from(TAKES_BODIES))
    given_ids = ["x", users.user("bob").id, "%2e%2e", "$where", "%ff", "%F0%9F%98%80"]
    payload = json.dumps(data.draw(payloads(route.schema, ["x", "y"]) | GARBAGE)).encode()
    changes = st.builds(
        _changed,
        st.just(payload),
        st.integers(0, 200),
        st.integers(0, 5),
        st.binary(max_size=4) | TEXTS.map(lambda text: text.encode(errors="surrogatepass")),
    )
    path = path_of(route.path, data.draw(st.sampled_from(given_ids)))
    kind = data.draw(st.sampled_from(TYPES))
    await refused_or_done(users.user("alice"), users.url, route.method, path, data.draw(changes), kind)
    await healthy_user.assert_served()


async def raw_answers(url: str, sent: bytes) -> list[int]:
    """Send these bytes and nothing else; return the statuses of all responses until the server closes."""
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    try:
        writer.write(sent)
        reading = asyncio.create_task(reader.read())
        # Closed last: the server takes a half-closed connection for a client that has gone.
        if not (await asyncio.wait({reading}, timeout=HALF_A_SECOND))[0]:
            writer.write_eof()
        answers = await asyncio.wait_for(reading, SECONDS)
    except ConnectionError:
        return []
    finally:
        writer.close()
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answers)]


def asking(*headers: bytes, line: bytes = b"POST /chat-messages HTTP/1.1", body: bytes = b"") -> bytes:
    return b"\r\n".join([line, b"Host: x", b"Connection: close", *headers, b"", body])


REQUESTS = {
    "a great header": asking(b"X-Great: " + b"x" * 40_000),
    "many headers": asking(*(b"X-%d: %d" % (n, n) for n in range(2_000))),
    "a great token": asking(b"Authorization: Bearer " + b"x" * 7_000),
    "a long path": asking(line=b"GET /" + b"x" * 40_000 + b" HTTP/1.1"),
    "a long query": asking(line=b"GET /chats/search?q=" + b"x" * 7_000 + b" HTTP/1.1"),
    "two lengths": asking(b"Content-Length: 2", b"Content-Length: 3", body=b"{}x"),
    "a length and chunks": asking(b"Content-Length: 2", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "a length below nothing": asking(b"Content-Length: -1"),
    "a length of no digits": asking(b"Content-Length: 0x10"),
    "more promised than sent": asking(b"Content-Length: 100", b"Content-Type: application/json", body=b"{}"),
    "a chunk of no length": asking(b"Transfer-Encoding: chunked", body=b"zz\r\n{}\r\n0\r\n\r\n"),
    "a great chunk": asking(b"Transfer-Encoding: chunked", body=b"ffffffffffffffff\r\n{}"),
    "a strange coding": asking(b"Transfer-Encoding: strange", body=b"{}"),
    "a NUL in a header": asking(b"X-Nul: a\x00b"),
    "a header without a name": asking(b": x"),
    "a folded header": asking(b"X-Folded: a\r\n b"),
    "bytes that are no text": asking(b"X-Bytes: \xff\xfe", b"Authorization: Bearer \xff\xfe"),
    "an unknown method": asking(line=b"STRANGE /chats/conversations HTTP/1.1"),
    "no path": asking(line=b"GET HTTP/1.1"),
    "a path of dots": asking(line=b"GET /../../etc/passwd HTTP/1.1"),
    "a NUL in a path": asking(line=b"GET /chats/conversations/a%00b HTTP/1.1"),
    "a path of codes": asking(line=b"GET /assets/..%2f..%2fpages.py%00 HTTP/1.1"),
    "another host's path": asking(line=b"GET http://other.example/ HTTP/1.1"),
    "another version": asking(line=b"GET / HTTP/3.7"),
    "a websocket of no key": asking(
        b"Upgrade: websocket", line=b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1"
    ),
    "a TLS greeting": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "nothing": b"",
    "line ends": b"\r\n" * 1_000,
}


@pytest.mark.parametrize("sent", REQUESTS.values(), ids=REQUESTS.keys())
async def test_requests_that_violate_http_are_answered_or_disconnected(
    sent: bytes, users: ChatUsers, healthy_user: HealthyUser
) -> None:
    assert all(status < 500 or status in NOT_COVERED for status in await raw_answers(users.url, sent))
    await healthy_user.assert_served()


async def test_pipelined_requests_are_all_answered(users: ChatUsers) -> None:
    one = b"GET /chats/conversations HTTP/1.1\r\nHost: x\r\n\r\n"
    last = asking(line=b"GET /chats/conversations HTTP/1.1")
    assert await raw_answers(users.url, one * 19 + last) == [401] * 20
