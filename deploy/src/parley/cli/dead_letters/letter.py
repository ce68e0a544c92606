"""A dead letter: a record that could not be stored, with the reason."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import msgspec

from parley.cli.masking import masked
from parley.shared import records
from parley.shared.amqp_frames import Delivery
from parley.shared.envelope import UNREADABLE, split
from parley.shared.partitions import EXCHANGE, Partitions
from parley.shared.records import Record, UnreadableRecord

ID_CHARACTERS = 12

Fields = dict[str, Any]


@dataclass(frozen=True)
class Letter:
    """A dead letter, at its position in the queue; the first is 1."""

    position: int
    delivery: Delivery

    @cached_property
    def id(self) -> str:
        """The beginning of the body's SHA-256: the same record has the same id wherever it stands."""
        return hashlib.sha256(self.delivery.body).hexdigest()[:ID_CHARACTERS]

    @property
    def reason(self) -> str:
        """Why it was not stored, as the worker wrote it, or the broker where that dead-lettered it."""
        reason = self.delivery.headers.get("x-reason")
        return str(reason) if reason is not None else f"the broker: {self._death.get('reason', 'unknown')}"

    @property
    def partition(self) -> int | None:
        """The partition that it was in; None if that is unknown."""
        partition = self.delivery.headers.get("x-partition")
        if isinstance(partition, int):
            return partition
        number = str(self._death.get("queue", "")).removeprefix(f"{EXCHANGE}.")
        return int(number) if number.isdecimal() else None

    @property
    def at(self) -> datetime | None:
        """The time at which it became a dead letter; versions up to 0.4.0 left it out."""
        published = self.delivery.published_at
        return datetime.fromtimestamp(published, UTC) if published is not None else self._death.get("time")

    @property
    def deliveries(self) -> int:
        """How often the queue has delivered it before."""
        counts = (self.delivery.headers.get(name) for name in ("x-delivery-count", "x-acquired-count"))
        return max((count for count in counts if isinstance(count, int)), default=0)

    @cached_property
    def records(self) -> Sequence[Record | UnreadableRecord]:
        """Its records; the broker dead-letters AMQP messages with many."""
        return records.unpack(self.delivery.body)

    def summary(self) -> Fields:
        """Return the fields that a list shows; nothing that a user wrote is among them."""
        first = self.records[0] if self.records else None
        return {
            "position": self.position,
            "id": self.id,
            "at": self.at,
            "partition": self.partition,
            "records": len(self.records),
            "kind": kind(first),
            "conversationId": getattr(first, "conversation_id", None),
            "userId": getattr(first, "user_id", None),
            "reason": self.reason,
            "bytes": len(self.delivery.body),
        }

    def details(self, *, content: bool) -> Fields:
        """Return all fields; texts of users are among them only if `content` is true."""
        shown = [_shown(record, content=content) for record in self.records]
        return {**self.summary(), "headers": dict(self.delivery.headers), "records": shown}

    def bodies(self, partitions: Partitions) -> Iterator[tuple[int, bytes]]:
        """Yield the partition and the body of each AMQP message that puts its records back.

        The number of partitions may have changed since, so the conversation decides where it is known.
        """
        numbers = {_partition(record, self.partition, partitions) for record in self.records}
        if len(numbers) == 1:
            only = numbers.pop()
            if only is not None:
                yield only, self.delivery.body
            return
        items = (body for _, body in split(self.delivery.body))
        for record, body in zip(self.records, items, strict=True):
            partition = _partition(record, self.partition, partitions)
            if partition is not None:
                yield partition, body

    def is_replayable(self, partitions: Partitions) -> bool:
        """Return whether the partition of each record is known."""
        numbers = {_partition(record, self.partition, partitions) for record in self.records}
        return bool(numbers) and None not in numbers

    @property
    def _death(self) -> Mapping[str, Any]:
        deaths = self.delivery.headers.get("x-death")
        first = deaths[0] if isinstance(deaths, list) and deaths else {}
        return first if isinstance(first, dict) else {}


def kind(record: Record | UnreadableRecord | None) -> str:
    """Return the tag of a record's kind."""
    if record is None:
        return "empty"
    if isinstance(record, UnreadableRecord):
        return record.kind or "unreadable"
    return str(record.__struct_config__.tag)


def _partition(record: Record | UnreadableRecord, known: int | None, partitions: Partitions) -> int | None:
    if not isinstance(record, UnreadableRecord):
        return partitions.of(record.conversation_id)
    return known if known is not None and known < partitions.count else None


def _shown(record: Record | UnreadableRecord, *, content: bool) -> Fields:
    if isinstance(record, UnreadableRecord):
        fields = _decoded(record.item)
        return {"unreadable": record.reason, **(fields if content else masked(fields))}
    built: Fields = msgspec.to_builtins(record)
    return built if content else masked(built)


def _decoded(item: bytes) -> Fields:
    try:
        fields = msgspec.msgpack.decode(item)
    except UNREADABLE:
        return {"content": item.hex()}
    return fields if isinstance(fields, dict) else {"content": repr(fields)}
