"""Recovery: what is kept of a socket that is lost, and from where its client has missed something."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

OFFSET = re.compile(r"(.{1,128}):(\d{1,15}):(\d{1,15})", re.DOTALL)


class Position(NamedTuple):
    """A place in a conversation's stream: the number of a message, and the revision."""

    seq: int
    rev: int


@dataclass(frozen=True, slots=True)
class Heard:
    """How far a client has heard a conversation.

    `base` it is known to have heard when it heard nothing since. `told` is what was written to it
    until the end; None: nobody was there to note the end.
    """

    base: Position
    told: Position | None = None


@dataclass(frozen=True, slots=True)
class SessionSnapshot:
    """What is kept of a socket: whose it was, its vocabularies by name, and the conversations joined.

    `last` is the offset of the message that was written to it last, noted at its end.
    """

    user_id: str
    speaks: tuple[str, ...]
    heard: Mapping[str, Heard]
    last: str = ""


def offset_of(conversation_id: str, at: Position) -> str:
    """What a client brings back to say which message it heard last."""
    return f"{conversation_id}:{at.seq}:{at.rev}"


def read_offset(told: Any) -> tuple[str, Position] | None:
    """The conversation and the place that an offset names; None for what is none."""
    found = OFFSET.fullmatch(told) if isinstance(told, str) else None
    return (found[1], Position(int(found[2]), int(found[3]))) if found else None


def resume(keepsake: SessionSnapshot, offset: Any) -> dict[str, Position | None]:
    """From where the client has missed something, by conversation; None where that is not known.

    A connection keeps its order: whatever was written before the message that the client heard last,
    it has heard, and nothing that was written after.
    """
    told = read_offset(offset)
    if told is None or _is_old(keepsake, *told):
        return {conversation_id: heard.base for conversation_id, heard in keepsake.heard.items()}
    conversation_id, at = told
    all_heard = _names_the_same(keepsake.last, conversation_id, at)
    points = {each: _other(heard, all_heard) for each, heard in keepsake.heard.items()}
    return {**points, conversation_id: at}


def _is_old(keepsake: SessionSnapshot, conversation_id: str, at: Position) -> bool:
    """Whether an offset is from before what the client is known to have heard."""
    heard = keepsake.heard.get(conversation_id)
    return heard is None or (at.seq <= heard.base.seq and at.rev <= heard.base.rev)


def _names_the_same(last: str, conversation_id: str, at: Position) -> bool:
    known = read_offset(last)
    return known is not None and (known[0], known[1].seq) == (conversation_id, at.seq)


def _other(heard: Heard, all_heard: bool) -> Position | None:
    return heard.told if all_heard or heard.told == heard.base else None


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be done with what is kept under a socket's private id.

    `take` puts it in the place of whatever was there; the others do nothing unless it is the same
    socket's still: a node that notices late that a socket is gone must not touch its successor's.
    """

    what: Literal["take", "change", "forget"]
    pid: str
    sid: str
    put: Mapping[str, str] = field(default_factory=dict)
    drop: Collection[str] = ()


class SnapshotStore(Protocol):
    """Keepsakes by private id. They lapse `KEPT_SECONDS` after they were kept or renewed last, or earlier.

    Every method may raise `Unavailable`.
    """

    async def find(self, pid: str) -> Mapping[str, str]:
        """The fields of a keepsake, none if there is none."""

    async def keep(self, changes: Sequence[Change]) -> None:
        """Do these, in their order."""

    async def renew(self, pids: Sequence[str]) -> list[str]:
        """Let them lapse later; gives back those that are gone."""


KEPT_SECONDS = 120.0

USER, SPEAKS, LAST, CONVERSATION = "user", "speaks", "last", "c:"


def fields_of(keepsake: SessionSnapshot) -> dict[str, str]:
    """A keepsake as it is kept: the fields of a map."""
    heard = {CONVERSATION + each: _written(at) for each, at in keepsake.heard.items()}
    return {USER: keepsake.user_id, SPEAKS: " ".join(keepsake.speaks), LAST: keepsake.last, **heard}


def keepsake_of(fields: Mapping[str, str]) -> SessionSnapshot | None:
    """The keepsake that was kept so; None if there was none."""
    if USER not in fields:
        return None
    found = {name: text for name, text in fields.items() if name.startswith(CONVERSATION)}
    heard = {name.removeprefix(CONVERSATION): _read(text) for name, text in found.items()}
    return SessionSnapshot(fields[USER], tuple(fields.get(SPEAKS, "").split()), heard, fields.get(LAST, ""))


def _written(heard: Heard) -> str:
    return " ".join(map(str, (*heard.base, *(heard.told or ()))))


def _read(text: str) -> Heard:
    numbers = [int(each) for each in text.split()]
    return Heard(Position(*numbers[:2]), Position(*numbers[2:]) if len(numbers) > 2 else None)
