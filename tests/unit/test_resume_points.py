"""The position from which a returning client has missed events, as far as it is known."""

from collections.abc import Mapping
from typing import Any

import pytest

from fakes.memory_snapshot_store import MemorySnapshotStore
from parley.gateway.core.errors import Unavailable
from parley.gateway.core.positions import Position, offset_of, parse_offset
from parley.gateway.core.session_snapshot import (
    ReceivedRange,
    SessionSnapshot,
    from_fields,
    resume_points,
    to_fields,
)
from parley.gateway.recovery.connection_recovery import ConnectionRecovery

BASE, SINCE, WRITTEN = Position(10, 12), Position(15, 20), Position(17, 25)


def snapshot(last: str = "", **received: ReceivedRange) -> SessionSnapshot:
    return SessionSnapshot("ann", ("groups", "crm"), received, last)


KILLED = snapshot(a=ReceivedRange(BASE), b=ReceivedRange(BASE))
ENDED = snapshot(offset_of("a", WRITTEN), a=ReceivedRange(BASE, WRITTEN), b=ReceivedRange(BASE, SINCE))


def test_a_client_without_an_offset_resumes_at_the_base() -> None:
    assert resume_points(KILLED, None) == {"a": BASE, "b": BASE}
    assert resume_points(ENDED, None) == {"a": BASE, "b": BASE}


def test_the_conversation_of_the_offset_resumes_at_the_offset() -> None:
    assert resume_points(KILLED, offset_of("a", SINCE))["a"] == SINCE
    assert resume_points(ENDED, offset_of("a", SINCE))["a"] == SINCE


def test_other_conversations_are_unknown_without_a_final_snapshot() -> None:
    assert resume_points(KILLED, offset_of("a", SINCE))["b"] is None


def test_the_offset_of_the_last_message_proves_that_all_was_received() -> None:
    assert resume_points(ENDED, offset_of("a", WRITTEN)) == {"a": WRITTEN, "b": SINCE}


def test_an_older_offset_leaves_the_other_conversations_unknown() -> None:
    assert resume_points(ENDED, offset_of("a", SINCE))["b"] is None


def test_a_conversation_to_which_nothing_was_written_resumes_at_its_base() -> None:
    silent = snapshot(offset_of("a", WRITTEN), a=ReceivedRange(BASE, WRITTEN), b=ReceivedRange(BASE, BASE))

    assert resume_points(silent, offset_of("a", SINCE)) == {"a": SINCE, "b": BASE}


@pytest.mark.parametrize(
    "offset", [offset_of("left", WRITTEN), offset_of("a", BASE), offset_of("a", Position(9, 11))]
)
def test_an_outdated_offset_is_ignored(offset: str) -> None:
    assert resume_points(KILLED, offset) == {"a": BASE, "b": BASE}


@pytest.mark.parametrize("conversation_id", ["a", "a:b", "", " ", "ä\n", "x" * 128])
def test_an_offset_survives_a_round_trip(conversation_id: str) -> None:
    expected = (conversation_id, WRITTEN) if conversation_id else None

    assert parse_offset(offset_of(conversation_id, WRITTEN)) == expected


@pytest.mark.parametrize(
    "stored",
    [KILLED, ENDED, snapshot(), SessionSnapshot("ann", (), {"a b:c": ReceivedRange(BASE, WRITTEN)})],
)
def test_a_snapshot_survives_a_round_trip(stored: SessionSnapshot) -> None:
    assert from_fields(to_fields(stored)) == stored


def test_a_snapshot_keeps_the_epochs_of_its_positions() -> None:
    range_ = ReceivedRange(Position(1, 2, 7), Position(3, 4, 8))
    fields = to_fields(SessionSnapshot("ann", (), {"a": range_}))
    found = from_fields(fields)

    assert fields["c:a"] == "1 2 3 4"
    assert found is not None
    assert found.received == {"a": range_}


def test_an_empty_hash_holds_no_snapshot() -> None:
    assert from_fields({}) is None


class AwaySnapshotStore(MemorySnapshotStore):
    async def find(self, pid: str) -> Mapping[str, str]:
        raise Unavailable("away")


async def test_a_client_is_not_connected_as_a_new_one_while_its_snapshot_is_unavailable() -> None:
    """A client that is given a new private id forgets the old one."""
    nothing: Any = None
    recovery = ConnectionRecovery(
        AwaySnapshotStore(),
        snapshots=nothing,
        connection_manager=nothing,
        sessions=nothing,
        session_rooms=nothing,
        streams=nothing,
        messages=nothing,
        people=nothing,
        broadcaster=nothing,
        manager=nothing,
        epochs=nothing,
        answers=nothing,
    )
    with pytest.raises(Unavailable):
        await recovery.find({"pid": "x" * 22}, "ann", ())
