"""From where a client that comes back has missed something, as far as that can be known."""

from collections.abc import Mapping
from typing import Any

import pytest

from fakes.memory_snapshot_store import MemorySnapshotStore
from parley.gateway.core.errors import Unavailable
from parley.gateway.core.session_snapshot import (
    Heard,
    Position,
    SessionSnapshot,
    fields_of,
    keepsake_of,
    offset_of,
    read_offset,
    resume,
)
from parley.gateway.recovery.connection_recovery import ConnectionRecovery

BASE, SINCE, TOLD = Position(10, 12), Position(15, 20), Position(17, 25)


def keepsake(last: str = "", **heard: Heard) -> SessionSnapshot:
    return SessionSnapshot("ann", ("groups", "crm"), heard, last)


KILLED = keepsake(a=Heard(BASE), b=Heard(BASE))
ENDED = keepsake(offset_of("a", TOLD), a=Heard(BASE, TOLD), b=Heard(BASE, SINCE))


def test_who_heard_nothing_since_goes_on_from_there() -> None:
    assert resume(KILLED, None) == {"a": BASE, "b": BASE}
    assert resume(ENDED, None) == {"a": BASE, "b": BASE}


def test_the_room_of_the_last_message_goes_on_from_it() -> None:
    assert resume(KILLED, offset_of("a", SINCE))["a"] == SINCE
    assert resume(ENDED, offset_of("a", SINCE))["a"] == SINCE


def test_how_far_other_rooms_were_heard_is_unknown_when_nobody_noted_the_end() -> None:
    assert resume(KILLED, offset_of("a", SINCE))["b"] is None


def test_who_heard_the_very_last_message_heard_all_that_was_told() -> None:
    assert resume(ENDED, offset_of("a", TOLD)) == {"a": TOLD, "b": SINCE}


def test_who_did_not_hear_the_last_message_may_have_missed_some_in_other_rooms() -> None:
    assert resume(ENDED, offset_of("a", SINCE))["b"] is None


def test_a_room_in_which_nothing_was_told_goes_on_from_where_it_was() -> None:
    silent = keepsake(offset_of("a", TOLD), a=Heard(BASE, TOLD), b=Heard(BASE, BASE))

    assert resume(silent, offset_of("a", SINCE)) == {"a": SINCE, "b": BASE}


@pytest.mark.parametrize(
    "offset", [offset_of("left", TOLD), offset_of("a", BASE), offset_of("a", Position(9, 11))]
)
def test_an_offset_of_before_says_that_nothing_was_heard_since(offset: str) -> None:
    assert resume(KILLED, offset) == {"a": BASE, "b": BASE}


@pytest.mark.parametrize("conversation_id", ["a", "a:b", "", " ", "ä\n", "x" * 128])
def test_an_offset_is_read_as_it_was_written(conversation_id: str) -> None:
    expected = (conversation_id, TOLD) if conversation_id else None

    assert read_offset(offset_of(conversation_id, TOLD)) == expected


@pytest.mark.parametrize(
    "kept", [KILLED, ENDED, keepsake(), SessionSnapshot("ann", (), {"a b:c": Heard(BASE, TOLD)})]
)
def test_a_keepsake_is_read_as_it_was_written(kept: SessionSnapshot) -> None:
    assert keepsake_of(fields_of(kept)) == kept


def test_where_nothing_was_kept_there_is_no_keepsake() -> None:
    assert keepsake_of({}) is None


class AwaySnapshotStore(MemorySnapshotStore):
    async def find(self, pid: str) -> Mapping[str, str]:
        raise Unavailable("away")


async def test_who_cannot_be_recalled_at_the_moment_is_not_taken_for_new() -> None:
    """A client that is let in as somebody new forgets who it was."""
    nothing: Any = None
    recovery = ConnectionRecovery(
        AwaySnapshotStore(),
        snapshots=nothing,
        connection_manager=nothing,
        streams=nothing,
        messages=nothing,
        people=nothing,
        fanout=nothing,
        manager=nothing,
    )
    with pytest.raises(Unavailable):
        await recovery.recall({"pid": "x" * 22}, "ann", ())
