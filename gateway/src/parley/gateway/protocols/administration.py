"""What admins say, of whatever guide they are: paths below `/admin`, and no events."""

from marshmallow import Schema, fields, validate

from parley.gateway.core import commands as c
from parley.gateway.protocols.error_payloads import REFUSAL
from parley.gateway.protocols.fields import Id
from parley.gateway.protocols.protocol import ClientProtocol, Route
from parley.gateway.protocols.serializer import Serializer, always, ident, optional, text, time

MAX_TOKEN_ID = 500
"""Characters of a token's `jti`."""


class RevokeDto(Schema):
    """All tokens of a user that were issued until now, the one with this `jti`, or both."""

    user_id = Id(data_key="userId")
    token_id = fields.String(
        data_key="jti",
        validate=[
            validate.Length(1, MAX_TOKEN_ID),
            validate.Regexp(r"[^\x00-\x1f\x7f]*\Z", error="Not an id."),
        ],
    )


REVOKED = Serializer(
    "Revoked",
    {
        "success": always(True),
        "userId": optional(ident("user_id")),
        "jti": optional(text("token_id")),
        "rememberedUntil": time("until"),
    },
)

ADMINISTRATION = ClientProtocol(
    name="administration",
    namespace="",
    inbound={},
    outbound=(),
    refusal=REFUSAL,
    routes=(
        Route(
            method="POST",
            path="/admin/revoke",
            schema=RevokeDto(),
            command=lambda p: c.Revoke(**p),
            answer=REVOKED,
            body=True,
            doc="As an admin, have tokens refused everywhere, and their sockets closed.",
        ),
    ),
)
"""It is spoken on no namespace, and served beside all vocabularies."""
