"""Routes for administrators, below `/admin`; they belong to no guide."""

from marshmallow import fields, validate

from parley.gateway.core import commands as c
from parley.gateway.protocols.error_payloads import REFUSAL
from parley.gateway.protocols.fields import InboundSchema, NumericId
from parley.gateway.protocols.protocol import ClientProtocol, Route
from parley.gateway.protocols.serializer import (
    Serializer,
    constant,
    ident,
    many,
    number,
    optional,
    text,
    time,
)

MAX_SLOW_CLIENTS = 100
MAX_TOKEN_ID = 500
"""The longest `jti` of a token, in characters."""


class RevokeDto(InboundSchema):
    """The tokens to revoke: all that a user was issued until now, the one with this `jti`, or both."""

    user_id = NumericId(data_key="userId")
    token_id = fields.String(
        data_key="jti",
        validate=[
            validate.Length(1, MAX_TOKEN_ID),
            validate.Regexp(r"[^\x00-\x1f\x7f]*\Z", error="Not an id."),
        ],
    )


class NoFields(InboundSchema):
    """Nothing."""


class SlowClientsDto(InboundSchema):
    """How many clients to list."""

    limit = fields.Integer(load_default=20, validate=validate.Range(1, MAX_SLOW_CLIENTS))


ADMINISTRATOR = Serializer(
    "Administrator",
    {"success": constant(True), "userId": ident("id"), "name": text("name")},
)
SLOW_CLIENT = Serializer(
    "SlowClient",
    {
        "userId": optional(ident("user_id")),
        "transport": text("transport", "websocket", "polling"),
        "unreadBytes": number("unread_bytes"),
        "unreadLimit": number("unread_limit"),
    },
)
SLOW_CLIENTS = Serializer("SlowClients", {"success": constant(True), "clients": many(SLOW_CLIENT)})
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
        Route(
            method="GET",
            path="/admin/session",
            schema=NoFields(),
            command=lambda p: c.CheckAdministrator(),
            response=ADMINISTRATOR,
            doc="Check that the token is an administrator's.",
        ),
        Route(
            method="GET",
            path="/admin/slow-clients",
            schema=SlowClientsDto(),
            command=lambda p: c.ListSlowClients(**p),
            response=SLOW_CLIENTS,
            doc="List the clients that read slowly from the asked gateway; for administrators.",
        ),
    ),
)
"""A protocol without a namespace and without events; its routes are served beside those of all others."""
