"""Bytes as a newer version of the services would write them: more fields, other kinds, a higher schema."""

from collections.abc import Sequence
from typing import Any

import msgspec

from parley.shared.envelope import SCHEMA

Fields = dict[str, Any]
ADDED: Fields = {"xColour": "red", "xTags": [{"id": 1}, None], "x_more": {"type": "new", "id": 7}}
FREE_FORM = {"args"}
"""Fields that hold what clients made up, which no version of ours adds anything to."""


def items_of(body: bytes) -> list[Fields]:
    """Return the items of a packed body as plain maps."""
    items: list[Fields] = msgspec.msgpack.decode(body)[2]
    return items


def seal_newer(items: Sequence[object]) -> bytes:
    """Encode items into an envelope of a later schema, which has an element more."""
    return msgspec.msgpack.encode([SCHEMA + 1, "99.0.0", items, {"more": 1}])


def grow(item: Any, added: Fields = ADDED) -> Any:
    """Return an item with fields added to it and to every map within."""
    if isinstance(item, list):
        return [grow(each, added) for each in item]
    if not isinstance(item, dict):
        return item
    return {**{n: v if n in FREE_FORM else grow(v, added) for n, v in item.items()}, **added}
