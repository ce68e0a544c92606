"""The state of one conversation's stream."""

import asyncio
from dataclasses import dataclass, field

from parley.gateway.core.positions import Position
from parley.shared.events import Numbered


@dataclass(slots=True)
class Stream:
    """How far one conversation has been delivered; `rev` is None until its first head was read."""

    rev: int | None = None
    seq: int = 0
    epoch: int = 0
    past: set[int] = field(default_factory=set)
    """Earlier epochs of this history: events of theirs are duplicates."""
    waiting: list[Numbered] = field(default_factory=list)
    backfill: "asyncio.Task[None] | None" = None

    @property
    def position(self) -> Position:
        """The position that has been delivered."""
        return Position(self.seq, self.rev or 0, self.epoch)

    def is_next(self, event: Numbered) -> bool:
        """Return whether an event surely follows the last delivered one."""
        message, rev = event.message, self.rev or 0
        return message.rev == rev + 1 and (message.epoch == self.epoch or not rev)

    def is_duplicate(self, event: Numbered) -> bool:
        """Return whether an event was surely delivered before."""
        return event.message.rev <= (self.rev or 0) and event.message.epoch in {self.epoch, *self.past}

    def advance(self, rev: int, epoch: int) -> None:
        """Note the revision that was delivered last."""
        if epoch != self.epoch:
            self.past.add(self.epoch)
        self.rev, self.epoch = rev, epoch
