"""The header `Idempotency-Key`: a client's name for a request, so that a retry of it does nothing again.

It is that of https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header, without an expiry.
"""

from uuid import UUID, uuid5

from aiohttp import web

from parley.gateway.core.errors import Invalid

HEADER = "Idempotency-Key"
MAX_KEY = 255
"""Characters of a key."""
_NAMESPACE = UUID("5b8a1c53-6e0b-5c0f-8a57-0c5e0f1b7d2a")


def idempotency_key(request: web.Request) -> str | None:
    """Return a request's key as a UUID; one that is none is hashed to one.

    Raises:
        Invalid: The key is empty or too long.
    """
    given = request.headers.get(HEADER)
    if given is None:
        return None
    # The draft makes it a string of RFC 8941, in quotes; many clients send it without.
    key = given.strip().removeprefix('"').removesuffix('"')
    if not 0 < len(key) <= MAX_KEY:
        raise Invalid.field(HEADER, f"It must have 1 to {MAX_KEY} characters.")
    try:
        return str(UUID(key))
    except ValueError:
        return str(uuid5(_NAMESPACE, key.encode(errors="surrogateescape").hex()))
