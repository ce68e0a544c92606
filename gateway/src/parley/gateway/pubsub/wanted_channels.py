"""The channels that a node wants, by their hash slots: one SSUBSCRIBE takes channels of one slot."""

from collections.abc import Callable, Iterable, Iterator, Sequence

AT_ONCE = 500
"""Channels of one command: others of this process wait in Redis for as long as it takes."""


class WantedChannels:
    """A set of channels. `slot_of` returns a channel's slot; without a cluster all have the same."""

    def __init__(self, slot_of: Callable[[str], int] = lambda _channel: 0) -> None:
        self._slot_of = slot_of
        self._by_slot: dict[int, set[str]] = {}

    def __contains__(self, channel: object) -> bool:
        name = str(channel)
        return name in self._by_slot.get(self._slot_of(name), ())

    def __len__(self) -> int:
        return sum(map(len, self._by_slot.values()))

    def add(self, channels: Iterable[str]) -> list[str]:
        """Add channels; return those that are new."""
        fresh = []
        for channel in channels:
            of_slot = self._by_slot.setdefault(self._slot_of(channel), set())
            if channel not in of_slot:
                of_slot.add(channel)
                fresh.append(channel)
        return fresh

    def discard(self, channels: Iterable[str]) -> None:
        """Remove channels."""
        for channel in channels:
            slot = self._slot_of(channel)
            of_slot = self._by_slot.get(slot, set())
            of_slot.discard(channel)
            if not of_slot:
                self._by_slot.pop(slot, None)

    def groups(self, slots: Iterable[int]) -> Iterator[Sequence[str]]:
        """Return the channels of slots, some hundreds of one slot at a time."""
        for slot in slots:
            yield from _parts(list(self._by_slot.get(slot, ())))

    def grouped(self, channels: Iterable[str]) -> Iterator[tuple[int, Sequence[str]]]:
        """Return given channels, some hundreds of one slot at a time, with the slot."""
        by_slot: dict[int, list[str]] = {}
        for channel in channels:
            by_slot.setdefault(self._slot_of(channel), []).append(channel)
        for slot, of_slot in by_slot.items():
            for part in _parts(of_slot):
                yield slot, part


def _parts(channels: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(channels), AT_ONCE):
        yield channels[start : start + AT_ONCE]
