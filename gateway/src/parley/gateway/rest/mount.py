"""Mounts a vocabulary's REST table on aiohttp: request to command, result or error to response."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from math import ceil
from typing import Any

import orjson
import structlog
from aiohttp import web
from marshmallow import ValidationError

from parley.gateway import gauges
from parley.gateway.auth import Authenticator
from parley.gateway.core.errors import (
    ChatError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Overloaded,
    RateLimited,
    TooLarge,
    Unauthorized,
    Unavailable,
    Unsupported,
)
from parley.gateway.core.ports import People
from parley.gateway.core.results import PendingCommit
from parley.gateway.protocols.protocol import ClientProtocol, Payload, Route, fields_of
from parley.gateway.protocols.serializer import ToPayload
from parley.gateway.services.command_bus import CommandBus
from parley.gateway.services.command_table import count_command
from parley.gateway.state.rates import Rates
from parley.shared.model import Person

log = structlog.get_logger()

STATUSES: dict[type[ChatError], int] = {
    Unauthorized: 401,
    Forbidden: 403,
    NotFound: 404,
    Invalid: 400,
    Conflict: 409,
    TooLarge: 413,
    Unsupported: 415,
    Unavailable: 503,
    Overloaded: 503,
    RateLimited: 429,
}
RETRY_AFTER_SECONDS = 1

Settle = Callable[[PendingCommit], Coroutine[Any, Any, None]]
"""Waits until what was accepted is stored, so that who asks next sees it; not for ever.

Raises the `ChatError` that a worker refuses it with, if it does so by then.
"""


class Rest:
    """Serves the tables of all vocabularies by one core."""

    def __init__(
        self,
        *,
        command_bus: CommandBus,
        people: People,
        authenticator: Authenticator,
        token_in_query: bool,
        settle: Settle,
        rates: Rates,
    ) -> None:
        self._command_bus = command_bus
        self._people = people
        self._authenticator = authenticator
        self._token_in_query = token_in_query
        self._settle = settle
        self._rates = rates

    def mount(self, app: web.Application, protocol: ClientProtocol) -> None:
        """Add a vocabulary's paths to an application."""
        for route in protocol.routes:
            app.router.add_route(route.method, route.path, self._handler(protocol, route))

    def _handler(
        self, protocol: ClientProtocol, route: Route
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            try:
                person = await self.asker(request)
                payload = await _loaded(route, request)
                result = await self._do(person, route.command(payload))
                if route.then is not None:
                    result = await self._command_bus.handle(person, route.then(payload))
                return response(route.answer(result), route.status)
            except ChatError as error:
                return refusal(protocol.refusal, error)
            except web.HTTPException:
                raise
            except Exception:
                log.exception("a request failed", path=route.path)
                return refusal(protocol.refusal, ChatError("Something went wrong."))

        return handle

    async def asker(self, request: web.Request) -> Person:
        """Who asks, by the token in the header or the query. Raises `Unauthorized`."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            token = request.query.get("token", "") if self._token_in_query else ""
        person = (await self._authenticator.identify(token.strip())).person
        await self._people.remember(person)
        return person

    async def _do(self, person: Person, command: Any) -> Any:
        count_command(self._rates, person.id, command)
        result = await self._command_bus.handle(person, command)
        if not isinstance(result, PendingCommit):
            return result
        # Listened for from now on: a worker may be faster than the broker's confirm.
        settling = asyncio.create_task(self._settle(result))
        try:
            await asyncio.shield(result.confirmed)
            await settling
        finally:
            settling.cancel()
        return result.result


async def _loaded(route: Route, request: web.Request) -> Payload:
    """Path, query and body as the schema reads them together.

    Raises:
        Invalid: they are not as it says.
    """
    payload: Payload = {name: value for name, value in request.query.items() if name != "token"}
    if route.body:
        payload = await _body(request)
    payload |= request.match_info
    try:
        loaded: Payload = route.schema.load(payload)
    except ValidationError as error:
        raise Invalid.fields(fields_of(error)) from None
    return loaded


async def _body(request: web.Request) -> Payload:
    raw = (await request.read()).strip()
    if raw and request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType
    try:
        body = orjson.loads(raw or b"{}")
    except ValueError:
        raise Invalid("The body is not valid JSON.") from None
    if not isinstance(body, dict):
        raise Invalid("The body must be a JSON object.")
    return body


def response(body: Any, status: int) -> web.Response:
    """A JSON response that no cache keeps."""
    return web.Response(
        body=orjson.dumps(body),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def refusal(refusal: ToPayload, error: ChatError) -> web.Response:
    """An error as a vocabulary words it, under its HTTP status."""
    answer = response(refusal(gauges.count(error)), STATUSES.get(type(error), 500))
    if error.retryable:
        answer.headers["Retry-After"] = str(ceil(error.retry_after or RETRY_AFTER_SECONDS))
    if isinstance(error, Unauthorized):
        answer.headers["WWW-Authenticate"] = "Bearer"
    return answer
