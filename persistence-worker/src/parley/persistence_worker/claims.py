"""The message by which a worker announces itself to the others, and the partitions that it claims."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aio_pika import Message
from aio_pika.abc import AbstractIncomingMessage

PRESENT, ABSENT = "present", "absent"


@dataclass(frozen=True, slots=True)
class Claims:
    """The partitions that a worker holds, and those of them whose lock it has."""

    held: frozenset[int] = frozenset()
    locked: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """A message from worker to worker.

    Args:
        queue: The sender's queue.
        present: Whether the sender counts as a live worker.
        claims: The partitions that it holds.
        sent: Its own monotonic clock: messages by several ways may overtake each other.
        known: The queues of the other workers that it knows.
    """

    queue: str
    present: bool
    claims: Claims = Claims()
    sent: float = 0.0
    known: frozenset[str] = frozenset()

    def to_message(self) -> Message:
        """Return the AMQP message."""
        headers: dict[str, Any] = {
            "held": sorted(self.claims.held),
            "locked": sorted(self.claims.locked),
            "sent": self.sent,
            "known": sorted(self.known),
        }
        return Message(b"", app_id=self.queue, type=PRESENT if self.present else ABSENT, headers=headers)

    @classmethod
    def from_message(cls, message: Message | AbstractIncomingMessage) -> "Announcement | None":
        """Read an AMQP message; return None if it does not name its sender."""
        if not message.app_id:
            return None
        headers = message.headers
        sent = headers.get("sent")
        return cls(
            queue=message.app_id,
            present=message.type == PRESENT,
            claims=Claims(_all(int, headers, "held"), _all(int, headers, "locked")),
            sent=sent if isinstance(sent, float) else 0.0,
            known=_all(str, headers, "known"),
        )


def _all(kind: type, headers: Mapping[str, Any], name: str) -> frozenset[Any]:
    values = headers.get(name)
    return (
        frozenset(each for each in values if isinstance(each, kind))
        if isinstance(values, list)
        else frozenset()
    )
