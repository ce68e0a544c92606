"""The admin page of a stack, served by this process, and requests to its API."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import aiohttp

from parley.cli.admin.server import serve
from parley.cli.environment import Environment
from parley.stack import Stack

LOOK_SECONDS = 0.4
"""Between two looks, so that tests wait less than operators."""


@dataclass
class AdminPage:
    """A running server of the page.

    Attributes:
        url: Its origin.
        environment: The servers and addresses that it knows; may be replaced while it runs.
    """

    url: str
    environment: Environment

    async def ask(self, path: str, token: str | None, **query: str) -> tuple[int, Any]:
        """Return the status and the body of an answer of the API."""
        status, body, _ = await self.ask_all(path, token, **query)
        return status, body

    async def ask_all(self, path: str, token: str | None, **query: str) -> tuple[int, Any, Any]:
        """Return its headers too."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"{self.url}/admin/api/{path}", headers=headers, params=query) as answer,
        ):
            return answer.status, await answer.json(), answer.headers

    async def overview(self, token: str) -> Any:
        """Return what the page shows now."""
        status, body = await self.ask("overview", token)
        assert status == 200, body
        return body

    def name(self, **addresses: tuple[str, ...]) -> None:
        """Have other addresses of `gateways` or `workers` named from now on."""
        self.environment = replace(self.environment, **addresses)


@asynccontextmanager
async def serving(environment: Environment) -> AsyncIterator[AdminPage]:
    """Serve the page on a free port of the loopback."""
    page = AdminPage("", environment)
    async with serve("127.0.0.1", 0, lambda: page.environment, LOOK_SECONDS) as port:
        page.url = f"http://127.0.0.1:{port}"
        yield page


def environment_of(stack: Stack) -> Environment:
    """Return the environment of a stack, as the command finds it."""
    return Environment(
        variables=stack.environment,
        gateways=tuple(stack.gateway_urls),
        workers=tuple(stack.worker_urls),
    )
