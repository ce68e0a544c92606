"""Mount the protocols' REST routes on aiohttp: request to command, result or error to response."""

import asyncio
from codecs import BOM_UTF8
from collections.abc import Awaitable, Callable, Collection, Coroutine
from math import ceil
from typing import Any

import orjson
import structlog
from aiohttp import hdrs, web
from marshmallow import EXCLUDE

from parley.gateway import gauges
from parley.gateway.auth import Authenticator
from parley.gateway.core.commands import message_named_by
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
from parley.gateway.core.results import PendingCommit
from parley.gateway.protocols.payloads import load
from parley.gateway.protocols.protocol import ClientProtocol, Payload, Route
from parley.gateway.protocols.serializer import ToPayload
from parley.gateway.rest.idempotency_key import idempotency_key
from parley.gateway.services.audience import AudienceCosts
from parley.gateway.services.command_bus import CommandBus
from parley.gateway.services.command_table import answer_bytes, count_command, owe_by_result
from parley.gateway.services.profiles import Profiles
from parley.gateway.state.answer_budget import AnswerBudget
from parley.gateway.state.rates import WRONG_COST, Rates, size_cost
from parley.shared.http_server import add_route
from parley.shared.model import Person

log = structlog.get_logger()


class UnsupportedMediaType(ChatError):
    """The request's body is not JSON, or is said not to be."""

    code = "UNSUPPORTED_MEDIA_TYPE"


STATUSES: dict[type[ChatError], int] = {
    Unauthorized: 401,
    Forbidden: 403,
    NotFound: 404,
    Invalid: 400,
    Conflict: 409,
    TooLarge: 413,
    Unsupported: 415,
    UnsupportedMediaType: 415,
    Unavailable: 503,
    Overloaded: 503,
    RateLimited: 429,
}
RETRY_AFTER_SECONDS = 1
DOTS = {"%2E": ".", "%2E%2E": "..", "%2e": ".", "%2e%2e": ".."}
"""Ids that browsers and HTTP libraries remove from a path, even encoded: clients encode these twice."""

WaitForCommit = Callable[[PendingCommit], Coroutine[Any, Any, None]]
"""Waits, up to a time limit, until an accepted command is stored, so that the client's next read shows it.

Raises the `ChatError` with which a worker has refused the command by then.
"""
Handler = Callable[[web.Request], Awaitable[web.Response]]


class RestApi:
    """Serves the routes of all protocols."""

    def __init__(
        self,
        *,
        command_bus: CommandBus,
        profiles: Profiles,
        authenticator: Authenticator,
        token_in_query: bool,
        wait_for_commit: WaitForCommit,
        rates: Rates,
        audience_costs: AudienceCosts,
        answers: AnswerBudget,
    ) -> None:
        self._command_bus = command_bus
        self._profiles = profiles
        self._authenticator = authenticator
        self._token_in_query = token_in_query
        self._wait_for_commit = wait_for_commit
        self._rates = rates
        self._audience_costs = audience_costs
        self._answers = answers

    def mount(self, app: web.Application, protocol: ClientProtocol) -> None:
        """Add a protocol's routes to an application."""
        for route in protocol.routes:
            handler = self.handler(protocol, route)
            add_route(app, route.method, route.path, handler)
            if route.method == hdrs.METH_GET:
                # aiohttp sends the headers of the same response, and no body.
                add_route(app, hdrs.METH_HEAD, route.path, handler)

    def handler(self, protocol: ClientProtocol, route: Route) -> Handler:
        """Return the handler of a route's requests."""
        required = _required(route)

        async def handle(request: web.Request) -> web.Response:
            user_id, command = "", None
            try:
                person = await self.authenticate(request)
                user_id = person.id
                payload = await self._load(route, required, request, user_id)
                command = route.command(payload)
                result = await self._execute(person, command)
                if route.then is not None:
                    result = await self._read(person, route.then(payload))
                return json_response(route.response(result), route.status)
            except ChatError as error:
                return error_response(protocol.refusal, error)
            except web.HTTPException:
                raise
            except Exception:
                named = message_named_by(command, user_id)
                log.exception("gateway.rest.request_failed", path=route.path, message_id=named)
                return error_response(protocol.refusal, ChatError("Something went wrong."))

        return handle

    async def _load(
        self, route: Route, required: Collection[str], request: web.Request, user_id: str
    ) -> Payload:
        """Load the route's schema from the path, and from the body or the query.

        Raises:
            Invalid: a field is wrong, or the body is not a JSON object.
            TooLarge, UnsupportedMediaType: the body is not loaded.
        """
        try:
            payload = await self._body(request, user_id) if route.body else _query(request, required)
            if route.idempotency is not None and payload.get(route.idempotency) is None:
                payload[route.idempotency] = idempotency_key(request)
            # Unknown names in a query are ignored, as is usual in HTTP: caches are avoided by `?_=123`.
            path = {name: DOTS.get(value, value) for name, value in request.match_info.items()}
            return load(route.schema, payload | path, unknown=None if route.body else EXCLUDE)
        except (Invalid, TooLarge, UnsupportedMediaType):
            self._rates.owe("requests", user_id, WRONG_COST)
            raise

    async def _body(self, request: web.Request, user_id: str) -> Payload:
        try:
            raw = await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise TooLarge(f"The body may have at most {request.client_max_size} bytes.") from None
        self._rates.owe("requests", user_id, size_cost(len(raw)) - 1)
        return _json(raw, request.content_type)

    async def authenticate(self, request: web.Request) -> Person:
        """Return the user whose token is in the request's header or query; counts the request.

        Raises:
            Unauthorized: there is no token, or it cannot be trusted.
            Unavailable: the token cannot be checked now.
            RateLimited: the user sends too much, valid or not.
        """
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            token = request.query.get("token", "") if self._token_in_query else ""
        identity = await self._authenticator.identify(token.strip())
        # Two tokens that describe the user differently may alternate, and then each request stores a profile.
        self._rates.count("requests", identity.person.id)
        return await self._profiles.present(identity.person, identity.issued_at)

    async def _read(self, person: Person, command: Any) -> Any:
        size = answer_bytes(command)
        if not size:
            return await self._command_bus.handle(person, command)
        async with self._answers.hold(person.id, size):
            return await self._command_bus.handle(person, command)

    async def _execute(self, person: Person, command: Any) -> Any:
        count_command(self._rates, person.id, command)
        result = await self._read(person, command)
        self._audience_costs.charge(person.id, command, result)
        if not isinstance(result, PendingCommit):
            owe_by_result(self._rates, person.id, command, result)
            return result
        # A worker may store the record before the broker confirms it: the wait starts before the confirm.
        commit = asyncio.create_task(self._wait_for_commit(result))
        try:
            await asyncio.shield(result.confirmed)
            await commit
        finally:
            commit.cancel()
        return result.result


def _required(route: Route) -> frozenset[str]:
    """Return the names of the fields that a route's schema requires."""
    fields = route.schema.load_fields.items()
    return frozenset(field.data_key or name for name, field in fields if field.required)


def _query(request: web.Request, required: Collection[str]) -> Payload:
    """Return the parameters of a query.

    An empty one counts as `null`, which a query cannot say otherwise, unless it is required.
    """
    query = request.query
    return {name: value for name in query if (value := query[name]) or name in required}


def _json(body: bytes, content_type: str) -> Payload:
    raw = body.removeprefix(BOM_UTF8).strip()
    if raw and content_type != "application/json":
        raise UnsupportedMediaType("The body must be application/json.")
    try:
        loaded = orjson.loads(raw or b"{}")
    except ValueError:
        raise Invalid("The body is not valid JSON.") from None
    if not isinstance(loaded, dict):
        raise Invalid("The body must be a JSON object.")
    return loaded


def json_response(body: Any, status: int) -> web.Response:
    """Make a JSON response that caches must not store."""
    return web.Response(
        body=orjson.dumps(body),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def error_response(payload: ToPayload, error: ChatError) -> web.Response:
    """Count an error and make its response: the protocol's payload, the HTTP status and its headers."""
    response = json_response(payload(gauges.count(error)), STATUSES.get(type(error), 500))
    if error.retryable:
        response.headers["Retry-After"] = str(ceil(error.retry_after or RETRY_AFTER_SECONDS))
    if isinstance(error, Unauthorized):
        response.headers["WWW-Authenticate"] = "Bearer"
    return response
