"""REST requests with bad paging, bodies, paths and methods are refused."""

import io
import json
import re
from typing import Any

import pytest

from clients.baseline import Baseline, refusal
from clients.chat import ChatUsers
from clients.raw import Answer, request
from parley.gateway.protocols.administration import ADMINISTRATION
from parley.gateway.protocols.protocol import ClientProtocol, Route
from parley.gateway.protocols.registry import PROTOCOLS
from parley.stack import Stack

pytestmark = pytest.mark.usefixtures("quiet")

CONVERSATIONS = "/chats/conversations"
BAD_LIMITS = ["0", "-1", "101", "1000000", "abc", "1.5", "1e2", "NaN", "null", "[]", "0x10", "9" * 400]


WITH_A_BODY = [(v, route) for v in (*PROTOCOLS, ADMINISTRATION) for route in v.routes if route.body]

each_route_with_body = pytest.mark.parametrize(
    ("protocol", "route"), WITH_A_BODY, ids=[f"{route.method} {route.path}" for _, route in WITH_A_BODY]
)


async def asked(baseline: Baseline, method: str, path: str, data: Any = None, **headers: str) -> Answer:
    """Send a request of Alice's without changing it."""
    authorization = f"Bearer {baseline.user.token}"
    return await request(baseline.users.url, method, path, data, Authorization=authorization, **headers)


def refused(answer: Answer, status: int, code: str) -> dict[str, Any]:
    assert answer.status == status, answer
    assert answer.headers["Content-Type"].startswith("application/json")
    return refusal(answer.body, code)


@pytest.mark.parametrize("limit", BAD_LIMITS)
async def test_a_page_size_out_of_range_is_refused(limit: str, baseline: Baseline) -> None:
    for path in (CONVERSATIONS, f"{CONVERSATIONS}/{baseline.group}/messages"):
        error = refused(await asked(baseline, "GET", f"{path}?limit={limit}"), 400, "INVALID")
        assert list(error["details"]) == ["limit"]


async def test_a_page_has_one_to_a_hundred_entries(baseline: Baseline) -> None:
    for limit, count in (("1", 1), ("2", 2), ("100", 2)):
        answer = await asked(baseline, "GET", f"{CONVERSATIONS}/{baseline.group}/messages?limit={limit}")
        assert (answer.status, len(answer.body["messages"])) == (200, count)


@pytest.mark.parametrize("edge", ["before", "after"])
@pytest.mark.parametrize("number", ["-1", "abc", "1.5", "null", "9" * 30, "9" * 5_000, "%00", "%24gt", "[1]"])
async def test_a_page_of_messages_starts_at_a_number_only(edge: str, number: str, baseline: Baseline) -> None:
    answer = await asked(baseline, "GET", f"{CONVERSATIONS}/{baseline.group}/messages?{edge}={number}")

    assert list(refused(answer, 400, "INVALID")["details"]) == [edge]


async def test_a_page_is_before_or_after_but_not_both(baseline: Baseline) -> None:
    cursor = f"2026-11-20T15:00:00Z_{baseline.group}"
    for query in (f"/{baseline.group}/messages?before=2&after=0", f"?before={cursor}&after={cursor}"):
        refused(await asked(baseline, "GET", f"{CONVERSATIONS}{query}"), 400, "INVALID")


async def test_a_page_beyond_the_ends_is_empty(baseline: Baseline) -> None:
    for query in ("before=0", "before=1", "after=2", "after=9007199254740992"):
        answer = await asked(baseline, "GET", f"{CONVERSATIONS}/{baseline.group}/messages?{query}")
        assert (answer.status, answer.body) == (200, {"messages": [], "nextCursor": None})


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "0",
        "-1",
        "null",
        "2026-11-20",
        "2026-13-40T00:00:00%2B00:00_x",
        "0001-01-01T00:00:00%2B23:59_x",
        "9999-12-31T23:59:59-23:59_x",
        "_",
        "%24gt",
        "%00",
        "x" * 201,
    ],
)
async def test_an_invalid_cursor_is_refused(cursor: str, baseline: Baseline) -> None:
    for edge in ("before", "after"):
        answer = await asked(baseline, "GET", f"{CONVERSATIONS}?{edge}={cursor}")
        assert list(refused(answer, 400, "INVALID")["details"]) == [edge]


async def test_cursors_lead_through_all_pages(users: ChatUsers) -> None:
    (alice,) = await users.sockets("alice")
    groups = [await users.group(alice, "bob") for _ in range(5)]
    found: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    for count in (2, 2, 1):
        status, page = await users.user("alice").rest("GET", CONVERSATIONS, **query)
        assert (status, len(page["conversations"])) == (200, count)
        found += [conversation["_id"] for conversation in page["conversations"]]
        # Not encoded, because many clients forget to.
        assert page["nextCursor"] is None or "+" not in page["nextCursor"]
        query["before"] = page["nextCursor"]
    assert (found, query["before"]) == (groups[::-1], None)


@pytest.mark.parametrize("name", ["_", "page", "$where", "limit[$gt]", "before.seq", "conversationId[]"])
async def test_an_unknown_parameter_is_ignored(name: str, baseline: Baseline) -> None:
    for path in (
        CONVERSATIONS,
        f"{CONVERSATIONS}/{baseline.group}",
        f"{CONVERSATIONS}/{baseline.group}/messages",
    ):
        plain = await asked(baseline, "GET", path)
        assert plain.status == 200
        assert (await asked(baseline, "GET", f"{path}?{name}=1")).body == plain.body


async def test_an_empty_parameter_counts_as_absent(users: ChatUsers) -> None:
    (alice,) = await users.sockets("alice")
    group = await users.group(alice, "bob")
    await alice.send(group, "hello")
    await alice.wait_for("messageSent")
    user = users.user("alice")
    headers = {"Authorization": f"Bearer {user.token}"}
    for path, query in (
        (CONVERSATIONS, "limit=&before=&after="),
        (f"{CONVERSATIONS}/{group}/messages", "limit=&before=&after="),
        (f"{CONVERSATIONS}/{group}/receipts", "limit=&after="),
        (f"{CONVERSATIONS}/{group}/participants", "limit=&after="),
        ("/chat/conversations", "page=&limit="),
        ("/api/messages/conversations", "page=&limit=&contractId=&includeArchived="),
    ):
        plain = await request(users.url, "GET", path, **headers)
        assert plain.status == 200, (path, plain)
        assert (await request(users.url, "GET", f"{path}?{query}", **headers)).body == plain.body


async def test_a_known_parameter_beside_an_unknown_one_is_still_checked(baseline: Baseline) -> None:
    path = f"{CONVERSATIONS}/{baseline.group}/messages?_=1&limit=0"
    assert list(refused(await asked(baseline, "GET", path), 400, "INVALID")["details"]) == ["limit"]


async def test_a_body_may_begin_with_a_byte_order_mark(users: ChatUsers) -> None:
    ann, body = users.user("ann"), json.dumps({"participants": [users.user("ben").id]}).encode()
    headers = {"Authorization": f"Bearer {ann.token}", "Content-Type": "application/json"}
    answers = [
        await request(users.url, "POST", CONVERSATIONS, data, **headers)
        for data in (b"\xef\xbb\xbf" + body, body, b"\xef\xbb\xbf" * 2 + body)
    ]
    assert [answer.status for answer in answers] == [201, 201, 400]
    assert answers[0].body["_id"] == answers[1].body["_id"]


async def test_head_has_the_headers_of_get_and_no_body(baseline: Baseline) -> None:
    for path in (CONVERSATIONS, f"{CONVERSATIONS}/{baseline.group}/messages", f"{CONVERSATIONS}/none"):
        whole, head = [await asked(baseline, method, path) for method in ("GET", "HEAD")]
        assert (head.status, head.text) == (whole.status, "")
        for name in ("Content-Type", "Content-Length", "Cache-Control"):
            assert head.headers[name] == whole.headers[name]


WITH_BODY = [CONVERSATIONS, f"{CONVERSATIONS}/GROUP/participants", f"{CONVERSATIONS}/GROUP/read"]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"not json",
        b"{'participants': ['x']}",
        b'{"participants": ["x"],}',
        b'{"participants": NaN}',
        b'{"participants": ["\\ud800"]}',
        b'{"participants": ["\xff"]}',
        b"[]",
        b'[{"participants": ["x"]}]',
        b'"text"',
        b"5",
        b"null",
        b"true",
        b"\xff\xfe\x00",
        b"\x00",
        b"[" * 100_000,
        b'{"a":' * 5_000,
    ],
)
async def test_a_body_that_is_not_a_json_object_is_refused(body: bytes, baseline: Baseline) -> None:
    for path in WITH_BODY:
        where = path.replace("GROUP", baseline.group)
        answer = await asked(baseline, "POST", where, body, Content_Type="application/json")
        refused(answer, 400, "INVALID")


async def test_a_body_that_is_too_large_is_refused(baseline: Baseline) -> None:
    for size in (262_145, 1_000_000):
        body = json.dumps({"participants": ["x" * size]})
        for path in WITH_BODY:
            where = path.replace("GROUP", baseline.group)
            answer = await asked(baseline, "POST", where, body, Content_Type="application/json")
            refused(answer, 413, "TOO_LARGE")


async def test_a_body_too_large_for_nginx_gets_the_same_error(baseline: Baseline) -> None:
    body = io.BytesIO(b"x" * (27 << 20))

    answer = await asked(baseline, "POST", CONVERSATIONS, body, Content_Type="application/json")

    refused(answer, 413, "TOO_LARGE")


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/json", "x"],
)
async def test_a_body_of_another_type_is_refused(kind: str, baseline: Baseline) -> None:
    body = json.dumps({"type": "group", "participants": [baseline.users.user("dave").id]})

    answer = await asked(baseline, "POST", CONVERSATIONS, body, Content_Type=kind)

    refused(answer, 415, "UNSUPPORTED_MEDIA_TYPE")


@each_route_with_body
async def test_a_body_is_refused_in_the_protocol_s_own_shape(
    protocol: ClientProtocol, route: Route, baseline: Baseline
) -> None:
    path = re.sub(r"{\w+}", "x", route.path)
    for body, kind, status, code in (
        (json.dumps({"content": "x" * 262_145}), "application/json", 413, "TOO_LARGE"),
        ("content=x", "application/x-www-form-urlencoded", 415, "UNSUPPORTED_MEDIA_TYPE"),
    ):
        answer = await asked(baseline, route.method, path, body, Content_Type=kind)
        assert answer.status == status
        protocol.refusal.field.deserialize(answer.body)
        error = answer.body if "code" in answer.body else answer.body["error"]
        assert (error["code"], error["retryable"]) == (code, False)


async def test_a_body_may_name_its_charset_or_be_absent(users: ChatUsers) -> None:
    (alice,) = await users.sockets("alice")
    group = await users.group(alice, "bob")
    headers = {"Authorization": f"Bearer {users.user('alice').token}"}
    read = f"{CONVERSATIONS}/{group}/read"

    for body, kind in (
        (None, None),
        ("{}", "application/json"),
        ("{}", "Application/JSON; charset=utf-8"),
        ("", "text/plain"),
        (" ", "application/json"),
    ):
        more = {"Content_Type": kind} if kind else {}
        answer = await request(users.url, "POST", read, body, **headers, **more)
        assert (answer.status, answer.body) == (200, {"success": True})


@pytest.mark.parametrize(
    "path",
    [
        "/chats",
        "/chats/",
        "/chats/conversations//",
        "/chats/conversation",
        "/Chats/conversations",
        "/chats/conversations/x/y",
        "/chats/conversations/x/messages/y",
        "/chats/messages",
        "/chats/users",
        "/chats/../chats/conversation/",
        "/api/v1/messages",
        "/admin",
        "/.env",
        "/chats/conversations%2Fx",
    ],
)
async def test_a_path_that_does_not_exist_is_not_found(path: str, baseline: Baseline) -> None:
    refused(await asked(baseline, "GET", path), 404, "NOT_FOUND")
    refused(await request(baseline.users.url, "GET", path), 404, "NOT_FOUND")


async def test_a_slash_at_the_end_of_a_path_is_ignored(baseline: Baseline) -> None:
    for path in (
        CONVERSATIONS,
        f"{CONVERSATIONS}/{baseline.group}",
        f"{CONVERSATIONS}/{baseline.group}/messages",
    ):
        with_slash, without = [
            await asked(baseline, "GET", each) for each in (f"{path}/?limit=5", f"{path}?limit=5")
        ]
        assert (with_slash.status, with_slash.text) == (200, without.text)
    assert (await request(baseline.users.url, "GET", "/docs/")).status == 200


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", CONVERSATIONS, {"GET", "POST"}),
        ("PATCH", CONVERSATIONS, {"GET", "POST"}),
        ("DELETE", CONVERSATIONS, {"GET", "POST"}),
        ("PROPFIND", CONVERSATIONS, {"GET", "POST"}),
        ("POST", f"{CONVERSATIONS}/x", {"GET"}),
        ("DELETE", f"{CONVERSATIONS}/x", {"GET"}),
        ("POST", f"{CONVERSATIONS}/x/messages", {"GET"}),
        ("GET", f"{CONVERSATIONS}/x/read", {"POST"}),
        ("GET", "/chats/messages/x", {"DELETE"}),
        ("PUT", "/chats/messages/x", {"DELETE"}),
        ("PUT", f"{CONVERSATIONS}/x/participants", {"GET", "POST"}),
        ("GET", f"{CONVERSATIONS}/x/participants/y", {"DELETE"}),
        ("GET", f"{CONVERSATIONS}/x/leave", {"POST"}),
    ],
)
async def test_a_method_that_a_path_does_not_have_is_not_allowed(
    method: str, path: str, allowed: set[str], baseline: Baseline
) -> None:
    answer = await asked(baseline, method, path)

    refused(answer, 405, "METHOD_NOT_ALLOWED")
    assert set(answer.headers["Allow"].split(",")) >= allowed


async def test_an_id_with_control_characters_or_too_long_is_refused(baseline: Baseline) -> None:
    for wrong in ("%01", "a%0Ab", "%7F", "x" * 129):
        for method, path in (("GET", f"{CONVERSATIONS}/{wrong}"), ("DELETE", f"/chats/messages/{wrong}")):
            refused(await asked(baseline, method, path), 400, "INVALID")


async def test_operator_endpoints_are_not_served_through_nginx(stack: Stack) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/%68ealthz", "//metrics", "/x/../metrics"):
        assert (await request(stack.url, "GET", path)).status == 404


async def test_an_id_of_dots_is_encoded_twice_in_a_path(users: ChatUsers) -> None:
    alice = users.user("alice")
    status, group = await alice.rest(
        "POST", CONVERSATIONS, {"type": "group", "participants": [".", "..", users.user("bob").id]}
    )
    assert status == 201
    for encoded in ("%252E", "%252e%252e"):
        path = f"{CONVERSATIONS}/{group['_id']}/participants/{encoded}"
        answer = await request(users.url, "DELETE", path, Authorization=f"Bearer {alice.token}")
        assert answer.status == 200, answer.text
    status, left = await alice.rest("GET", f"{CONVERSATIONS}/{group['_id']}")
    assert {each["_id"] for each in left["participants"]} == {alice.id, users.user("bob").id}


async def test_an_id_of_the_server_may_be_in_upper_case(users: ChatUsers) -> None:
    alice, bob = await users.sockets("alice", "bob")
    group = await users.group(alice, "bob")
    ann = users.user("alice")
    await bob.call_ok("joinRoom", {"conversationId": group.upper()})
    sent = await alice.send(group.upper(), "hello")

    received = await bob.wait_for("newMessage", conversationId=group)
    status, page = await ann.rest("GET", f"{CONVERSATIONS}/{group.upper()}/messages")
    deleted = await alice.call("deleteMessage", {"messageId": sent["_id"].upper()})

    assert received["message"]["conversationId"] == group
    assert (status, [m["_id"] for m in page["messages"]]) == (200, [sent["_id"]])
    assert deleted["success"]


async def test_every_part_answers_an_unknown_path_by_the_default_schema(stack: Stack) -> None:
    for url in (stack.url, *stack.gateway_urls, *stack.worker_urls):
        refused(await request(url, "GET", "/no/such/path"), 404, "NOT_FOUND")
    refused(await request(stack.url, "GET", "/healthz"), 404, "NOT_FOUND")
