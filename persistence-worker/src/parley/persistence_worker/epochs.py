"""Epochs: name the run of a worker that gives numbers, so that two histories never look alike.

After MongoDB was restored to an earlier point, revisions are given again, to other changes. The restored data
hold the old epochs too, so an epoch is nothing that is stored once and read again: each worker makes its own,
and stores it with each change. Two histories that have the same epoch at a revision are the same up to there
(the log matching property of Raft, https://raft.github.io/raft.pdf, section 5.3).
"""

import secrets
from collections.abc import Mapping
from typing import Any

from parley.persistence_worker.ports import Head, Term

EPOCH_BITS = 52
"""Fewer than the 53 that a number of JavaScript holds exactly."""
REMEMBERED = 100_000
"""Conversations whose last revision is remembered."""


class Epochs:
    """The epoch of one worker, which ends when its database may continue from an earlier point."""

    def __init__(self) -> None:
        self._epoch = 0
        self._term: Any = None
        self._given: dict[str, int] = {}

    def begin(self, term: Term, heads: Mapping[str, Head]) -> int:
        """Return the epoch of a batch.

        Args:
            term: The term in which the batch begins. A database that is restored begins a new one.
            heads: The heads that the batch has read. One that lies behind a revision that this worker has
                given reveals that the data were replaced under the running database.
        """
        went_back = any(head.rev < self._given.get(each, 0) for each, head in heads.items())
        if not self._epoch or term != self._term or went_back:
            self._epoch, self._term = 1 + secrets.randbits(EPOCH_BITS), term
            self._given.clear()
        return self._epoch

    def end(self, heads: Mapping[str, Head]) -> None:
        """Remember the heads of a batch that was stored."""
        for conversation_id, head in heads.items():
            self._given.pop(conversation_id, None)
            self._given[conversation_id] = head.rev
        while len(self._given) > REMEMBERED:
            del self._given[next(iter(self._given))]
