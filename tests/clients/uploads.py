"""Uploads and downloads of attachments."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from clients.chat import User


@dataclass
class Answered:
    """Status, headers and bytes of an answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def upload(url: str, user: User, data: Any, name: str = "notes.txt") -> tuple[int, Any]:
    """Upload a file, given as bytes or as an asynchronous iterator of them; return status and body."""
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("file", io.BytesIO(data) if isinstance(data, bytes) else data, filename=name)
    async with (
        aiohttp.ClientSession(headers=_bearer(user)) as http,
        http.post(f"{url}/attachments", data=form) as answer,
    ):
        return answer.status, await answer.json()


async def attached(url: str, user: User, data: bytes, name: str = "notes.txt") -> dict[str, Any]:
    """Upload a file and check that it succeeds; return the attachment."""
    status, body = await upload(url, user, data, name)
    assert status == 201, body
    attachment: dict[str, Any] = body["attachment"]
    return attachment


async def read(url: str, user: User, path: str, method: str = "GET", **headers: str) -> Answered:
    """Request a file."""
    async with (
        aiohttp.ClientSession(headers=_bearer(user)) as http,
        http.request(method, url + path, headers=headers) as answer,
    ):
        return Answered(answer.status, answer.headers, await answer.read())


def _bearer(user: User) -> dict[str, str]:
    return {"Authorization": f"Bearer {user.token}"}
