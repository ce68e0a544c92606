"""Builds a node's aiohttp application: Socket.IO, the REST paths, the pages, and the operators' answers."""

from functools import partial

from aiohttp import web

from parley.gateway.api_docs import documents
from parley.gateway.auth import Authenticator
from parley.gateway.live.commit_waiters import CommitWaiters
from parley.gateway.protocols.administration import ADMINISTRATION
from parley.gateway.protocols.error_payloads import REFUSAL
from parley.gateway.protocols.protocol import ClientProtocol
from parley.gateway.rest import safe_headers
from parley.gateway.rest.attachments import AttachmentRoutes
from parley.gateway.rest.content_encoding import reject_encoded_bodies
from parley.gateway.rest.cors import Cors
from parley.gateway.rest.mount import RestApi, error_response
from parley.gateway.rest.traced_api import TracedRestApi
from parley.gateway.services.attachments import AttachmentService
from parley.gateway.services.audience import AudienceCosts
from parley.gateway.services.command_bus import CommandBus
from parley.gateway.services.profiles import Profiles
from parley.gateway.settings import Settings
from parley.gateway.sockets.connection_limiter import ConnectionLimiter
from parley.gateway.state.answer_budget import AnswerBudget
from parley.gateway.state.rates import Rates
from parley.gateway.transport.server import ChatServer
from parley.gateway.transport.websocket_openings import WebsocketOpenings
from parley.gateway.web import pages
from parley.shared import health
from parley.shared.http_server import TAKE_FIRST, json_errors, measure
from parley.shared.tracing import Tracer


def build_application(
    settings: Settings,
    protocols: tuple[ClientProtocol, ...],
    *,
    server: ChatServer,
    rates: Rates,
    audience_costs: AudienceCosts,
    answers: AnswerBudget,
    authenticator: Authenticator,
    command_bus: CommandBus,
    attachments: AttachmentService,
    profiles: Profiles,
    commit_waiters: CommitWaiters,
    problems: health.Problems,
    tracer: Tracer | None,
) -> web.Application:
    """Return the application that serves `protocols`; `problems` are what `/readyz` shows."""
    limiter = ConnectionLimiter(rates, server.eio.count_sessions, settings.max_sockets, server.eio.proxies)
    app = web.Application(
        client_max_size=settings.max_body,
        middlewares=[measure, json_errors, reject_encoded_bodies, limiter.middleware],
    )
    Cors(settings.cors_origins, settings.cors_headers).install(app)
    safe_headers.install(app)
    server.attach(app)
    app[TAKE_FIRST] = WebsocketOpenings(server.eio, limiter.admits).take
    make_rest = RestApi if tracer is None else partial(TracedRestApi, tracer)
    rest = make_rest(
        command_bus=command_bus,
        profiles=profiles,
        authenticator=authenticator,
        token_in_query=settings.token_in_query,
        wait_for_commit=commit_waiters.wait,
        rates=rates,
        audience_costs=audience_costs,
        answers=answers,
    )
    for protocol in (*protocols, ADMINISTRATION):
        rest.mount(app, protocol)
    AttachmentRoutes(
        attachments,
        max_upload=settings.max_upload,
        authenticate=rest.authenticate,
        refuse=partial(error_response, REFUSAL),
        rates=rates,
    ).mount(app)
    health.add_routes(app, problems)
    documents.add_routes(
        app, protocols, token_in_query=settings.token_in_query, max_upload=settings.max_upload
    )
    pages.add_routes(app, server.eio.proxies)
    return app
