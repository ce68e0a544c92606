"""No payload costs much or makes a long answer, whatever the protocol, the event, the route and the field."""

import gc
import json
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from marshmallow import Schema, fields

from parley.gateway.core.errors import ChatError, Invalid
from parley.gateway.protocols.administration import ADMINISTRATION
from parley.gateway.protocols.dispatch import Unresolved, resolve
from parley.gateway.protocols.groups.requests import CreateConversationDto, SyncDto
from parley.gateway.protocols.payloads import MAX_REASONS, MAX_VALUES, load
from parley.gateway.protocols.registry import PROTOCOLS
from parley.shared.model import MAX_ID, MAX_PARTICIPANTS, MAX_SYNCED

FRAME = 256 * 1024
SECONDS = 0.010
"""Processor time of the event loop that one frame may take, on the machine of the tests."""
ERROR_BYTES = 16 * 1024
IN_FRAMES = ("wrong elements", "names", "names in names", "almost too many values", "text")
"""The kinds that are tried by all protocols of a namespace together."""


def deep(levels: int) -> Any:
    return json.loads("[" * levels + "]" * levels)


HOSTILE: dict[str, Callable[[], Any]] = {
    "wrong elements": lambda: [""] * 80_000,
    "elements": lambda: ["a"] * 60_000,
    "numbers": lambda: [1] * 120_000,
    "objects": lambda: [{}] * 80_000,
    "names": lambda: {f"{n:x}": n for n in range(20_000)},
    "wrong names": lambda: {"\x00" * 9 + f"{n:x}": None for n in range(5_000)},
    "names in elements": lambda: [{f"{m:x}": m for m in range(100)} for n in range(45)],
    "names in names": lambda: {f"{n:x}": {f"{m:x}": m for m in range(100)} for n in range(45)},
    "allowed names": lambda: {
        f"{n:x}": {"rev": n, "epoch": "x", **{f"{m}": m for m in range(40)}} for n in range(99)
    },
    "almost too many values": lambda: [""] * (MAX_VALUES - 10),
    "text": lambda: "x" * (FRAME - 100),
    "wrong text": lambda: "\x00" * 40_000,
    "a long name": lambda: {"x" * (FRAME - 200): 1},
    "levels": lambda: deep(200),
    "digits": lambda: "9" * 4_000,
}


def schemas() -> Iterator[tuple[str, Schema]]:
    for protocol in (*PROTOCOLS, ADMINISTRATION):
        for name, inbound in protocol.inbound.items():
            yield f"{protocol.name}: {name}", inbound.schema
        for route in protocol.routes:
            yield f"{protocol.name}: {route.method} {route.path}", route.schema


ALL = dict(schemas())


def payloads(schema: Schema) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return payloads that are hostile in one field, in all fields, and in fields that do not exist."""
    names = [field.data_key or name for name, field in schema.fields.items()]
    for kind, make in HOSTILE.items():
        value = make()
        for name in names:
            yield f"{kind} in {name}", {name: value}
        yield f"{kind} in an unknown field", {"surprise": value}
        if isinstance(value, dict):
            yield f"{kind} as the payload", value


def is_cheap(action: Callable[[], object]) -> bool:
    """Return whether one of a few runs was: other work of the machine only adds to the processor time."""
    return any(_seconds(action) < SECONDS for _ in range(5))


def _seconds(action: Callable[[], object]) -> float:
    before = time.thread_time()
    action()
    return time.thread_time() - before


def error_of(action: Callable[[], object]) -> ChatError | None:
    try:
        action()
    except Unresolved as unresolved:
        return unresolved.error
    except ChatError as error:
        return error
    return None


def reasons(details: Any) -> int:
    if isinstance(details, dict):
        return sum(map(reasons, details.values()))
    return len(details) if isinstance(details, list) else 1


def assert_is_cheap(name: str, action: Callable[[], object]) -> None:
    error = error_of(action)
    assert is_cheap(lambda: error_of(action)), name
    if error is not None:
        assert reasons(dict(error.details or {})) <= MAX_REASONS, name
        assert len(orjson.dumps([error.message, error.details])) < ERROR_BYTES, name


@pytest.mark.parametrize("name", ALL)
def test_a_hostile_payload_is_cheap_for_each_event_and_route(name: str) -> None:
    for kind, payload in payloads(ALL[name]):
        assert_is_cheap(f"{name}: {kind}", lambda payload=payload: load(ALL[name], payload))  # type: ignore[misc]


class Referable(list[Any]):
    """A value that a weak reference can refer to."""


def test_no_refused_payload_is_kept_in_memory() -> None:
    kept = {}
    for name, schema in ALL.items():
        for field, of in schema.fields.items():
            payload = {of.data_key or field: Referable([[]])}
            kept[f"{name}: {field}"] = weakref.ref(payload[of.data_key or field])
            error_of(lambda payload=payload, schema=schema: load(schema, payload))  # type: ignore[misc]
    payload = {}
    gc.collect()
    assert [field for field, value in kept.items() if value() is not None] == []


@pytest.mark.parametrize("namespace", sorted({p.namespace for p in PROTOCOLS if p.inbound}))
def test_a_hostile_frame_is_cheap_for_all_protocols_of_a_namespace(namespace: str) -> None:
    protocols = tuple(p for p in PROTOCOLS if p.namespace == namespace)
    for event in {name for protocol in protocols for name in protocol.inbound}:
        names = {f.data_key or n for p in protocols for n, f in fields_of(p.inbound.get(event))}
        for kind, value in {kind: HOSTILE[kind]() for kind in IN_FRAMES}.items():
            for args in [value, *({name: value} for name in names)]:
                frame = orjson.dumps([event, args])
                assert_is_cheap(f"{event}: {kind}", lambda frame=frame: handled(protocols, frame))  # type: ignore[misc]


def fields_of(inbound: Any) -> list[tuple[str, fields.Field[Any]]]:
    return list(inbound.schema.fields.items()) if inbound is not None else []


def handled(protocols: Any, frame: bytes) -> None:
    event, *args = orjson.loads(frame)
    resolve(protocols, event, args)


def test_the_length_of_a_list_comes_before_its_elements() -> None:
    error = error_of(lambda: load(CreateConversationDto(), {"participants": [""] * (MAX_PARTICIPANTS + 1)}))

    assert error is not None
    assert error.details == {"participants": ["At most 1000 at a time."]}


def test_ten_wrong_elements_are_reported() -> None:
    error = error_of(lambda: load(CreateConversationDto(), {"participants": [""] * 500}))

    assert isinstance(error, Invalid)
    assert error.details is not None
    assert list(error.details["participants"]) == [str(n) for n in range(10)]


def test_the_length_of_an_object_comes_before_its_values() -> None:
    held = {f"c{n}": -1 for n in range(MAX_SYNCED + 1)}

    error = error_of(lambda: load(SyncDto(), {"conversations": held}))

    assert error is not None
    assert error.details == {"conversations": ["At most 100 at a time."]}


def test_names_that_are_equal_once_they_are_cut_make_one_error() -> None:
    held = {"x" * MAX_ID + "a": {"rev": "x"}, "x" * MAX_ID + "b": -1}

    error = error_of(lambda: load(SyncDto(), {"conversations": held}))

    assert error is not None
    assert error.details is not None
    assert list(error.details["conversations"]) == ["x" * MAX_ID]


def test_as_many_participants_as_one_command_may_name_are_accepted() -> None:
    names = [f"user-{n}" for n in range(MAX_PARTICIPANTS)]

    assert load(CreateConversationDto(), {"participants": names})["participants"] == names
