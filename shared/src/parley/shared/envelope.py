"""The envelope: schema, writer and items of one AMQP body or one Redis publication."""

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Generic, TypeVar

import msgspec
from msgspec import Raw, Struct

SCHEMA = 2
"""Grows with each release that adds a field or a kind. Readers pass over what they do not know."""
WRITER = version("parley-shared")
"""The version of this distribution, which names the release that wrote an envelope."""
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Exceptions that msgspec raises on foreign bytes."""

Item = TypeVar("Item")


class Envelope(Struct, Generic[Item], frozen=True, array_like=True):
    """The MessagePack array `[schema, writer, items]`; a later schema may append elements."""

    schema: int
    writer: str
    items: list[Item]


class _Header(Struct, frozen=True):
    type: str


_encode = msgspec.msgpack.Encoder().encode
_split = msgspec.msgpack.Decoder(list[Raw]).decode
_open = msgspec.msgpack.Decoder(Envelope[Raw]).decode
_header = msgspec.msgpack.Decoder(_Header).decode


def seal(items: Sequence[object]) -> bytes:
    """Encode items into an envelope of this version."""
    return _encode((SCHEMA, WRITER, items))


def split(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield each item's own bytes, and a body of the same form that holds this item alone.

    0.1.0 wrote the items as a bare array without an envelope; such bodies are read too.

    Raises:
        UNREADABLE: The body is neither form.
    """
    parts = _split(body)
    if not parts or _is_map(parts[0]):
        return ((bytes(part), _encode([part])) for part in parts)
    opened = _open(body)
    return ((bytes(i), _encode((opened.schema, opened.writer, [i]))) for i in opened.items)


def kind_of(item: bytes) -> str | None:
    """Return an item's kind (its tag), or None if the bytes are no item."""
    try:
        return _header(item).type
    except UNREADABLE:
        return None


def kinds_of(union: object) -> frozenset[str]:
    """Return the tags of a union of structs."""
    info = msgspec.inspect.type_info(union)
    assert isinstance(info, msgspec.inspect.UnionType)
    return frozenset(str(each.tag) for each in info.types if isinstance(each, msgspec.inspect.StructType))


def _is_map(item: Raw) -> bool:
    first = bytes(item)[0]
    return first & 0xF0 == 0x80 or first in (0xDE, 0xDF)
