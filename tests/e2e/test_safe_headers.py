"""Every page and response has security headers, and none names the server's software."""

import re

import pytest

from clients.chat import ChatUsers
from clients.raw import Answer, request
from parley.gateway.web import pages

PAGES = ["/", "/docs"]
FILES = ["/openapi.json", "/asyncapi.json", *(f"/assets/{name}" for name in sorted(pages.assets()))]
ANSWERS = [
    ("GET", "/chats/conversations"),
    ("POST", "/chat-messages"),
    ("GET", "/no/such/path"),
    ("GET", "/assets/no/such/file.js"),
    ("DELETE", "/chats/conversations"),
    ("GET", "/attachments/nothing"),
    ("GET", "/socket.io/?EIO=3&transport=polling"),
    ("OPTIONS", "/chats/conversations"),
]
OF_NGINX = [
    ("GET", "/healthz", 404),
    ("GET", "/readyz", 404),
    ("GET", "/metrics", 404),
    ("TRACE", "/", 405),
    ("GET", "/socket.io/?EIO=4&transport=polling&sid=gone.x", 400),
]


def assert_safe(answer: Answer) -> None:
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "*" not in policy
    assert_silent(answer)


def assert_silent(answer: Answer) -> None:
    """Check that a response names no version and no framework."""
    reported = " ".join([*answer.headers.values(), answer.text[:500] if answer.status >= 400 else ""])
    assert re.search(r"nginx/|aiohttp|Python|engineio", reported) is None, reported
    assert "X-Powered-By" not in answer.headers


@pytest.mark.parametrize("path", PAGES)
async def test_pages_run_no_foreign_script_and_cannot_be_framed(path: str, users: ChatUsers) -> None:
    answer = await request(users.url, "GET", path)
    assert answer.status == 200
    assert_safe(answer)
    assert "script-src 'self';" in answer.headers["Content-Security-Policy"]
    assert "require-trusted-types-for 'script'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer.headers["Permissions-Policy"] == "camera=(), microphone=(), geolocation=()"


async def test_static_files_have_their_content_types(users: ChatUsers) -> None:
    for path in FILES:
        answer = await request(users.url, "GET", path)
        assert answer.status == 200
        assert_safe(answer)
        assert answer.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(("method", "path"), ANSWERS)
async def test_api_responses_are_not_rendered_and_not_cached(
    method: str, path: str, users: ChatUsers
) -> None:
    for token in ("", users.user("alice").token):
        answer = await request(users.url, method, path, Authorization=f"Bearer {token}")
        assert_safe(answer)
        assert answer.headers["Cache-Control"] == "no-store"


async def test_polling_responses_are_not_rendered_and_not_cached(users: ChatUsers) -> None:
    answer = await request(users.url, "GET", "/socket.io/?EIO=4&transport=polling")
    assert answer.status == 200
    assert_safe(answer)
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(("method", "path", "status"), OF_NGINX)
async def test_nginx_hides_its_version(method: str, path: str, status: int, users: ChatUsers) -> None:
    answer = await request(users.url, method, path)
    assert answer.status == status
    assert_silent(answer)
    assert answer.headers["Server"] == "nginx"
