"""Access to the page: the gateways decide, since they know keys and revocations, and count the requests."""

from collections.abc import Sequence
from hashlib import sha256
from time import monotonic
from typing import Any

import aiohttp

GATEWAY_SECONDS = 0.75
TRIED_GATEWAYS = 3
REMEMBERED_SECONDS = 600.0
"""How long an administrator may go on looking while no gateway answers: then the page is needed most."""
NO_ANSWER = (
    "No gateway can check the token now. Try again; `parley doctor` and `make logs` work without a gateway."
)
OLD_GATEWAY = "The gateways are of a version before 0.7.0, which knows no admin page: upgrade them."


class Refusal(Exception):
    """A request is refused.

    Attributes:
        status: The HTTP status.
        code: The error for programs.
        message: The error for people.
        retry_after: Seconds after which the same request may succeed; None where it cannot.
    """

    def __init__(self, status: int, code: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after

    def payload(self) -> dict[str, Any]:
        """Return the body of the response, by the schema of the gateways' errors."""
        error: dict[str, Any] = {
            "code": self.code,
            "message": self.message,
            "retryable": self.retry_after is not None,
        }
        if self.retry_after is not None:
            error["retryAfter"] = self.retry_after
        return {"success": False, "error": error}


class Access:
    """Asks a gateway at each request whether its token is an administrator's.

    So a revocation holds here at once, and the gateways' rate limits do too.

    Args:
        http: Asks the gateways.
    """

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http
        self._preferred = ""
        self._known: dict[bytes, tuple[str, float]] = {}

    async def check(self, token: str, gateways: Sequence[str]) -> str:
        """Return the id of the administrator.

        Raises:
            Refusal: The token is none of an administrator, or cannot be checked now.
        """
        if not token:
            raise Refusal(401, "UNAUTHORIZED", "There is no token: sign in with one whose role is admin.")
        candidates = sorted(gateways, key=lambda url: url != self._preferred)[:TRIED_GATEWAYS]
        message = NO_ANSWER
        for url in candidates:
            found = await self._ask(url, token)
            if isinstance(found, str):
                self._remember(token, found)
                self._preferred = url
                return found
            if found is not None and found.status == 404:
                message = OLD_GATEWAY
            elif found is not None:
                if found.status in (401, 403):
                    self._known.pop(_digest(token), None)
                raise found
        return self._remembered(token, message)

    async def _ask(self, url: str, token: str) -> str | Refusal | None:
        """Return the administrator's id, the gateway's refusal, or None without an answer to rely on."""
        timeout = aiohttp.ClientTimeout(total=GATEWAY_SECONDS)
        headers = {"Authorization": f"Bearer {token}"}
        try:
            async with self._http.get(f"{url}/admin/session", headers=headers, timeout=timeout) as answer:
                body = await answer.json()
                if answer.status == 200:
                    return str(body["userId"])
                # A gateway that cannot check the token now leaves it to another one.
                return None if answer.status >= 500 else _refusal(answer.status, body)
        except (aiohttp.ClientError, TimeoutError, ValueError, LookupError, TypeError):
            return None

    def _remember(self, token: str, user_id: str) -> None:
        now = monotonic()
        self._known = {key: known for key, known in self._known.items() if known[1] > now}
        self._known[_digest(token)] = (user_id, now + REMEMBERED_SECONDS)

    def _remembered(self, token: str, message: str) -> str:
        user_id, until = self._known.get(_digest(token), ("", 0.0))
        if until < monotonic():
            raise Refusal(503, "UNAVAILABLE", message, retry_after=1)
        return user_id


def _refusal(status: int, body: Any) -> Refusal:
    error = body["error"]
    retry_after = error.get("retryAfter", 1) if error.get("retryable") else None
    message = str(error["message"])
    if status == 403:
        message = "This token has not the role admin: `parley token YOU --role admin` makes one that has."
    return Refusal(status, str(error["code"]), message, retry_after)


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()
