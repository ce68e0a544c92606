"""What admins say, of whatever guide they are: paths below `/admin`, and no events."""

from marshmallow import Schema, fields, validate

from gateway.core import commands as c
from gateway.vocabularies.fields import Id
from gateway.vocabularies.refusal import REFUSAL
from gateway.vocabularies.shape import Shape, always, ident, optional, text, time
from gateway.vocabularies.vocabulary import Serves, Vocabulary

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


REVOKED = Shape(
    "Revoked",
    {
        "success": always(True),
        "userId": optional(ident("user_id")),
        "jti": optional(text("token_id")),
        "rememberedUntil": time("until"),
    },
)

ADMINISTRATION = Vocabulary(
    name="administration",
    namespace="",
    hears={},
    says=(),
    refuses=REFUSAL,
    serves=(
        Serves(
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
