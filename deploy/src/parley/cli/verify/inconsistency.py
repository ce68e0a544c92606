"""An inconsistency of the stored data, and the write that repairs it, if there is a safe one."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

Repair = Callable[[Any], Awaitable[bool]]
"""Takes the database; returns whether the data were still as they were found, and are repaired now."""


@dataclass(frozen=True, kw_only=True)
class Inconsistency:
    """One inconsistency.

    Attributes:
        kind: A word by which programs tell them apart.
        where: The ids of the conversation, user, message or attachment.
        text: A sentence that says what to do.
    """

    kind: str
    where: dict[str, Any]
    text: str
    repair: Repair | None = field(default=None, compare=False)

    @property
    def key(self) -> str:
        """The same for the same inconsistency, found again."""
        return f"{self.kind} {sorted(self.where.items())}"

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            **self.where,
            "text": self.text,
            "repairable": self.repair is not None,
        }
