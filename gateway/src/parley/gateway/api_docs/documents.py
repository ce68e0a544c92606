"""Serve the API documents. Each is built once, at the start, and cached by browsers until it changes."""

from collections.abc import Awaitable, Callable, Sequence

import orjson
from aiohttp import web

from parley.gateway.api_docs.asyncapi import asyncapi
from parley.gateway.api_docs.openapi import openapi
from parley.gateway.api_docs.schemas import Json
from parley.gateway.protocols.protocol import ClientProtocol
from parley.gateway.web import pages


def add_routes(
    app: web.Application, protocols: Sequence[ClientProtocol], *, token_in_query: bool, max_upload: int
) -> None:
    """Serve `/openapi.json` and `/asyncapi.json` for these protocols."""
    rest = openapi(protocols, token_in_query=token_in_query, max_upload=max_upload)
    app.router.add_get("/openapi.json", _serve(rest))
    app.router.add_get("/asyncapi.json", _serve(asyncapi(protocols, token_in_query=token_in_query)))


def _serve(document: Json) -> Callable[[web.Request], Awaitable[web.Response]]:
    asset = pages.asset(orjson.dumps(document), "application/json")

    async def serve(request: web.Request) -> web.Response:
        return pages.fresh(asset, request)

    return serve
