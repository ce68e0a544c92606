"""Routes for administrators, below `/admin`; they belong to no guide."""

from marshmallow import fields, validate

from parley.gateway.core import commands as c
from parley.gateway.protocols.error_payloads import REFUSAL
from parley.gateway.protocols.fields import Id, InboundSchema
from parley.gateway.protocols.protocol import ClientProtocol, Route
from parley.gateway.protocols.serializer import Serializer, constant, ident, optional, text, time

MAX_TOKEN_ID = 500
"""The longest `jti` of a token, in characters."""


class RevokeDto(InboundSchema):
    """The tokens to revoke: all that a user was issued until now, the one with this `jti`, or both."""

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
        "success": constant(True),
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
            response=REVOKED,
            body=True,
            doc="Revoke tokens at every gateway and close their sockets; for administrators.",
        ),
    ),
)
"""A protocol without a namespace and without events; its routes are served beside those of all others."""
