"""Which pages' scripts may open sockets: the gateway's own, and those of the origins that are listed."""

from collections.abc import Collection
from typing import Any

Environ = dict[str, Any]
Headers = list[tuple[str, str]]

CREDENTIALS = ("Access-Control-Allow-Credentials", "true")


def install(engine: Any, listed: Collection[str]) -> None:
    """Have a python-engineio server refuse the handshakes, polls and upgrades of all other pages.

    Programs that are no browsers name no origin, and are let in.
    """
    own = engine._cors_allowed_origins
    headers = engine._cors_headers

    def allowed(environ: Environ) -> list[str]:
        # Told of none, it knows those under which it was called itself.
        return [*own(environ), *listed]

    def answered(environ: Environ) -> Headers:
        known = environ.get("HTTP_ORIGIN") in allowed(environ)
        # Its own would allow credentials, and any header, to pages whose origin it refuses.
        return [*headers(environ), CREDENTIALS, ("Vary", "Origin")] if known else [("Vary", "Origin")]

    engine._cors_allowed_origins = allowed
    engine._cors_headers = answered
