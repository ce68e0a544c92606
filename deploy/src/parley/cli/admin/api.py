"""The page's own API: the figures that it shows, for administrators only."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from json import dumps
from time import monotonic
from typing import Any

import structlog
from aiohttp import web

from parley.cli import presence
from parley.cli.admin.access import Access, Refusal
from parley.cli.admin.latest_environment import LatestEnvironment
from parley.cli.admin.letters import LettersReader
from parley.cli.admin.watch import IDLE_SECONDS, Watch
from parley.cli.errors import CommandError
from parley.shared.model import MAX_ID

log = structlog.get_logger()

RETRY_SECONDS = 2.0

Fields = dict[str, Any]
Answer = Callable[[web.Request, str], Awaitable[Fields]]
"""Answers a request of the administrator with this id."""


class AdminApi:
    """Serves the paths below `/admin/api`.

    Args:
        environment: The servers and the present addresses of gateways and workers.
        access: Decides about tokens.
        watch: Looks at everything while somebody wants to know.
    """

    def __init__(self, environment: LatestEnvironment, access: Access, watch: Watch) -> None:
        self._environment = environment
        self._access = access
        self._watch = watch
        self._letters = LettersReader()
        self._looked_at: dict[str, float] = {}

    def add_routes(self, app: web.Application) -> None:
        """Add the routes to an application."""
        for path, answer in (
            ("overview", self._overview),
            ("users", self._user),
            ("dead-letters", self._dead_letters),
        ):
            app.router.add_get(f"/admin/api/{path}", self._guarded(answer))

    def _guarded(self, answer: Answer) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            try:
                env = await self._environment.get()
                user_id = await self._access.check(_token(request), env.gateways)
                return _json(await answer(request, user_id))
            except Refusal as refusal:
                return _refused(refusal)
            except CommandError as error:
                return _refused(Refusal(503, "UNAVAILABLE", str(error), RETRY_SECONDS))
            except web.HTTPException:
                raise
            except Exception:
                log.exception("admin.request.failed", path=request.path)
                return _refused(Refusal(500, "INTERNAL", "Something went wrong; see the log."))

        return handle

    async def _overview(self, request: web.Request, user_id: str) -> Fields:
        self._note_look(user_id)
        try:
            since = float(request.query.get("since", "0"))
        except ValueError:
            raise Refusal(400, "INVALID", "since: Not a valid number.") from None
        return {"administrator": user_id, **await self._watch.overview(_token(request), since)}

    def _note_look(self, user_id: str) -> None:
        """Log that an administrator begins to look, and not each time that the page asks again."""
        now = monotonic()
        if now - self._looked_at.get(user_id, float("-inf")) > IDLE_SECONDS:
            log.info("admin.look.began", user=user_id)
        self._looked_at = {user: at for user, at in self._looked_at.items() if now - at <= IDLE_SECONDS}
        self._looked_at[user_id] = now

    async def _user(self, request: web.Request, user_id: str) -> Fields:
        wanted = request.query.get("id", "")
        if not 0 < len(wanted) <= MAX_ID:
            raise Refusal(400, "INVALID", f"id: Length must be between 1 and {MAX_ID}.")
        log.info("admin.user.looked_up", user=user_id, subject=wanted)
        return await presence.look_up(await self._environment.get(), wanted)

    async def _dead_letters(self, _request: web.Request, user_id: str) -> Fields:
        log.info("admin.dead_letters.read", user=user_id)
        return await self._letters.read(await self._environment.get())


def _token(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _json(body: Fields, status: int = 200) -> web.Response:
    response = web.Response(text=dumps(body, default=_plain), status=status, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    response.enable_compression()
    return response


def _plain(value: Any) -> str:
    """Return a value of an AMQP header that JSON does not have."""
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _refused(refusal: Refusal) -> web.Response:
    response = _json(refusal.payload(), refusal.status)
    if refusal.retry_after is not None:
        response.headers["Retry-After"] = str(max(1, round(refusal.retry_after)))
    if refusal.status == web.HTTPUnauthorized.status_code:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response
