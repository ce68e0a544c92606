"""Reads the refusal for the sender out of a record that cannot be decoded."""

from typing import Any

import msgspec
from msgspec import UNSET

from parley.shared.envelope import UNREADABLE
from parley.shared.events import RecordRefused
from parley.shared.records import UnreadableRecord

Fields = dict[Any, Any]


def refusal_of(record: UnreadableRecord, code: str, reason: str) -> RecordRefused | None:
    """Return the event for the record's author, None if the record does not name one."""
    fields = _fields(record.item)
    message = _nested(fields, "message")
    record_id = _text(fields, "id")
    conversation_id = _text(fields, "conversation_id") or _text(message, "conversationId")
    user_id = _user_id(fields, message)
    if not (record_id and conversation_id and user_id):
        return None
    return RecordRefused(
        record_id=record_id,
        conversation_id=conversation_id,
        user_id=user_id,
        failed=True,
        code=code,
        reason=reason,
        message_id=_text(message, "id") or _text(fields, "message_id"),
        client_message_id=_text(message, "clientMessageId") or _text(fields, "client_message_id"),
        temp_id=_text(message, "tempId") or _text(fields, "temp_id"),
        traceparent=_text(fields, "traceparent") or UNSET,
    )


def _user_id(fields: Fields, message: Fields) -> str | None:
    of_people = (_text(_nested(fields, name), "id") for name in ("sender", "user"))
    return _text(fields, "user_id") or next(filter(None, of_people), None) or _text(message, "senderId")


def _fields(item: bytes) -> Fields:
    try:
        decoded = msgspec.msgpack.decode(item)
    except UNREADABLE:
        return {}
    return decoded if isinstance(decoded, dict) else {}


def _nested(fields: Fields, name: str) -> Fields:
    value = fields.get(name)
    return value if isinstance(value, dict) else {}


def _text(fields: Fields, name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) and value else None
