"""Serves both documents, each made once, as JSON that browsers keep until it changes."""

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
    """Serve `/openapi.json` and `/asyncapi.json`, of these vocabularies."""
    rest = openapi(protocols, token_in_query=token_in_query, max_upload=max_upload)
    app.router.add_get("/openapi.json", _serves(rest))
    app.router.add_get("/asyncapi.json", _serves(asyncapi(protocols, token_in_query=token_in_query)))


def _serves(document: Json) -> Callable[[web.Request], Awaitable[web.Response]]:
    asset = pages.asset(orjson.dumps(document), "application/json")

    async def serve(request: web.Request) -> web.Response:
        return pages.fresh(asset, request)

    return serve
