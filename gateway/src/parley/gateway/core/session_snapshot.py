"""Session snapshots: the state of a socket, stored so that its client can recover it elsewhere."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from parley.gateway.core.positions import Position, parse_offset

KEPT_SECONDS = 120.0
"""How long a snapshot is stored after it was written or renewed last."""


@dataclass(frozen=True, slots=True)
class ReceivedRange:
    """How far a client has received a conversation.

    `base` is the position that it has received for certain. `written` is the last position that was
    written to it; None while the socket lives, and when its gateway died before it could say so.
    """

    base: Position
    written: Position | None = None


@dataclass(frozen=True, slots=True)
class SessionSnapshot:
    """A socket's user, the names of its protocols, and how far it has received each joined conversation.

    `last` is the offset of the last message that was written to it; known only once it has ended.
    """

    user_id: str
    protocols: tuple[str, ...]
    received: Mapping[str, ReceivedRange]
    last: str = ""


def resume_points(snapshot: SessionSnapshot, offset: Any) -> dict[str, Position | None]:
    """Return the position from which the client has missed events, by conversation id.

    A connection keeps its order: the client has received everything that was written before the
    message of its `offset`, and nothing that was written after it.

    Returns:
        None in the place of a position that is not known: part of that conversation may be missing.
    """
    received = parse_offset(offset)
    if received is None or _is_outdated(snapshot, *received):
        return {conversation_id: each.base for conversation_id, each in snapshot.received.items()}
    conversation_id, at = received
    all_received = _is_same_message(snapshot.last, conversation_id, at)
    points = {each: _resume_point(range_, all_received) for each, range_ in snapshot.received.items()}
    return {**points, conversation_id: at}


def _is_outdated(snapshot: SessionSnapshot, conversation_id: str, at: Position) -> bool:
    """Whether an offset is older than what the client has received for certain."""
    known = snapshot.received.get(conversation_id)
    return known is None or (at.seq <= known.base.seq and at.rev <= known.base.rev)


def _is_same_message(last: str, conversation_id: str, at: Position) -> bool:
    known = parse_offset(last)
    return known is not None and (known[0], known[1].seq) == (conversation_id, at.seq)


def _resume_point(range_: ReceivedRange, all_received: bool) -> Position | None:
    return range_.written if all_received or range_.written == range_.base else None


@dataclass(frozen=True, slots=True)
class SnapshotChange:
    """A write to the snapshot under a private id.

    `take` replaces whatever is stored. `change` and `forget` apply only while the snapshot is still
    the socket's own: a gateway that learns late of a lost socket must not touch its successor's.
    """

    action: Literal["take", "change", "forget"]
    pid: str
    sid: str
    put: Mapping[str, str] = field(default_factory=dict)
    drop: Collection[str] = ()


class SnapshotStore(Protocol):
    """Snapshots by private id, each expiring `KEPT_SECONDS` after its last write or renewal, or earlier.

    Every method may raise `Unavailable`.
    """

    async def find(self, pid: str) -> Mapping[str, str]:
        """Return the fields of a snapshot; none if there is none."""

    async def apply(self, changes: Sequence[SnapshotChange]) -> None:
        """Apply changes in their order."""

    async def renew(self, pids: Sequence[str]) -> list[str]:
        """Postpone the expiry of snapshots. Returns the private ids that have no snapshot any more."""


USER, PROTOCOLS, LAST, CONVERSATION, EPOCHS = "user", "speaks", "last", "c:", "e:"


def to_fields(snapshot: SessionSnapshot) -> dict[str, str]:
    """Return a snapshot as the fields of a hash."""
    received = {CONVERSATION + each: _to_text(range_) for each, range_ in snapshot.received.items()}
    # In fields of their own: gateways of version 0.2.0 read positions of two numbers.
    epochs = {EPOCHS + each: _epochs_text(range_) for each, range_ in snapshot.received.items()}
    return {
        USER: snapshot.user_id,
        PROTOCOLS: " ".join(snapshot.protocols),
        LAST: snapshot.last,
        **received,
        **epochs,
    }


def from_fields(fields: Mapping[str, str]) -> SessionSnapshot | None:
    """Return the snapshot that a hash holds; None for an empty one."""
    if USER not in fields:
        return None
    found = [name.removeprefix(CONVERSATION) for name in fields if name.startswith(CONVERSATION)]
    received = {c: _from_text(fields[CONVERSATION + c], fields.get(EPOCHS + c, "")) for c in found}
    protocols = tuple(fields.get(PROTOCOLS, "").split())
    return SessionSnapshot(fields[USER], protocols, received, fields.get(LAST, ""))


def _positions(range_: ReceivedRange) -> Sequence[Position]:
    return [each for each in (range_.base, range_.written) if each is not None]


def _to_text(range_: ReceivedRange) -> str:
    return " ".join(f"{at.seq} {at.rev}" for at in _positions(range_))


def _epochs_text(range_: ReceivedRange) -> str:
    return " ".join(str(at.epoch) for at in _positions(range_))


def _from_text(text: str, epochs: str) -> ReceivedRange:
    given = [*map(int, epochs.split()), 0, 0]
    match [int(each) for each in text.split()]:
        case [seq, rev, written_seq, written_rev]:
            written = Position(written_seq, written_rev, given[1])
            return ReceivedRange(Position(seq, rev, given[0]), written)
        case numbers:
            return ReceivedRange(Position(numbers[0], numbers[1], given[0]))
