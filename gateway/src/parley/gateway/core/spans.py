"""Spans: the parts in which many ids are read, each with all that is stored of the ids between its own."""

from collections.abc import Collection, Sequence
from typing import NamedTuple


class Span(NamedTuple):
    """The ids from `first` on, before `end`; None where there is no bound."""

    first: str | None = None
    end: str | None = None

    def includes(self, each: str) -> bool:
        """Return whether an id is in the span."""
        return (self.first is None or self.first <= each) and (self.end is None or each < self.end)


ALL = Span()


def in_spans(ids: Collection[str], size: int) -> list[tuple[Sequence[str], Span]]:
    """Return ids in parts of this size with their spans, which together include all ids there can be."""
    ordered = sorted(ids)
    starts = range(0, max(len(ordered), 1), size)
    firsts = [None, *(ordered[start] for start in starts[1:])]
    spans = map(Span, firsts, [*firsts[1:], None])
    return [(ordered[start : start + size], span) for start, span in zip(starts, spans, strict=True)]
