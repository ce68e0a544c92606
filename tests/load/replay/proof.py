"""The proof of a replay: pure comparisons of the log with what was stored, received and counted."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from load.replay.recording import Confirmation, ReceivedMessage

SHOWN = 5
"""The differences of one finding that are printed; the others are only counted."""


@dataclass(frozen=True)
class LogMessage:
    """A line of the log as one user's message."""

    user_id: str
    nick: str
    content: str
    client_message_id: str


@dataclass(frozen=True)
class Stored:
    """A message as stored in MongoDB, or as listed by the history."""

    seq: int
    id: str
    user_id: str
    content: str
    client_message_id: str | None = None


@dataclass(frozen=True)
class SocketRecording:
    """The numbers of the messages and the confirmations that one socket received, in order.

    It was on from the number `first` to the number `last`.
    """

    user_id: str
    nick: str
    first: int
    last: int
    numbers: Sequence[int]
    confirmations: Sequence[Confirmation]

    def __str__(self) -> str:
        return f"{self.user_id} (as {self.nick})"


@dataclass(frozen=True)
class Count:
    """The unread count of one user: by the log, recounted, as stored, and as reported by REST."""

    user_id: str
    by_the_log: int
    recounted: int
    stored: int | None
    by_rest: int | None


@dataclass(frozen=True)
class Finding:
    """One point of the proof; it holds if there is no difference."""

    claim: str
    differences: tuple[str, ...]

    @property
    def holds(self) -> bool:
        return not self.differences

    def __str__(self) -> str:
        if self.holds:
            return f"  proved   {self.claim}"
        shown = [f"           {difference}" for difference in self.differences[:SHOWN]]
        hidden = len(self.differences) - SHOWN
        more = [f"           and {hidden:,} more"] if hidden > 0 else []
        return "\n".join([f"  DIFFERS  {self.claim}", *shown, *more])


def log_is_stored(lines: Sequence[LogMessage], stored: Sequence[Stored], where: str) -> Finding:
    """Compare line by line: the n-th message has the sender and the content of the n-th line."""
    claim = f"{where} is the log, line for line: {len(lines):,} lines"
    sent = [(line.user_id, line.content) for line in lines]
    held = [(message.user_id, message.content) for message in stored]
    differences = [
        f"line {n} is {line!r}, stored is {message!r}"
        for n, (line, message) in enumerate(zip(sent, held, strict=False), start=1)
        if line != message
    ]
    if len(sent) != len(held):
        differences.append(f"{len(sent):,} lines were to be sent, {len(held):,} are stored")
    return Finding(claim, tuple(differences))


def numbers_have_no_holes(stored: Sequence[Stored]) -> Finding:
    """Check that the numbers are 1, 2, 3 and so on."""
    claim = f"its messages are numbered 1 to {len(stored):,} without holes"
    differences = (
        f"message {n} has the number {message.seq}"
        for n, message in enumerate(stored, start=1)
        if message.seq != n
    )
    return Finding(claim, tuple(differences))


def senders_keep_their_order(lines: Sequence[LogMessage], stored: Sequence[Stored]) -> Finding:
    """Check that each sender's messages have the order of that sender's lines in the log."""
    sent, held = defaultdict(list), defaultdict(list)
    for line in lines:
        sent[line.user_id].append(line.content)
    for message in sorted(stored, key=lambda message: message.seq):
        held[message.user_id].append(message.content)
    differences = (
        f"{user_id} sent {len(sent[user_id]):,} lines, and {len(held[user_id]):,} are stored in another order"
        for user_id in dict.fromkeys([*sent, *held])
        if sent[user_id] != held[user_id]
    )
    return Finding(f"each of {len(sent):,} senders' lines are in their order", tuple(differences))


def every_socket_received_all(recordings: Sequence[SocketRecording]) -> Finding:
    """Check that every socket received all numbers from its first to its last, once each and in order."""
    claim = f"each of {len(recordings):,} sockets received every line of its stay once and in order"
    differences = []
    for each in recordings:
        right = range(each.first, each.last + 1)
        if list(each.numbers) != list(right):
            differences.append(f"{each} {_difference(each.numbers, right)}")
    return Finding(claim, tuple(differences))


def deliveries_match_storage(
    received: Mapping[int, ReceivedMessage], stored: Sequence[Stored], contradictions: Sequence[str]
) -> Finding:
    """Check that all sockets received the stored message under each number."""
    held = {message.seq: ReceivedMessage(message.id, message.user_id, message.content) for message in stored}
    differences = (
        f"number {number} was received as {received.get(number)}, stored is {held.get(number)}"
        for number in sorted(held.keys() | received.keys())
        if received.get(number) != held.get(number)
    )
    return Finding("the received messages are the stored ones", (*contradictions, *differences))


def every_send_is_confirmed(
    lines: Sequence[LogMessage],
    stored: Sequence[Stored],
    recordings: Sequence[SocketRecording],
    repeats: Mapping[str, int],
) -> Finding:
    """Check that the sending socket received one `messageSent` of each line, with the stored id and number.

    A line that was sent again may be confirmed again, the same each time; `repeats` counts that by client
    id. Other sockets of the same user may receive it too; those of other users never.
    """
    by_client = {message.client_message_id: message for message in stored}
    own: defaultdict[tuple[str, str], Counter[Confirmation]] = defaultdict(Counter)
    of_user: defaultdict[str, Counter[Confirmation]] = defaultdict(Counter)
    never: list[str] = []
    for line in lines:
        message = by_client.get(line.client_message_id)
        if message is None:
            never.append(f"{line} is not stored")
            continue
        confirmation = Confirmation(line.client_message_id, message.id, message.seq)
        own[line.user_id, line.nick][confirmation] = 1
        of_user[line.user_id][confirmation] = 1 + repeats.get(line.client_message_id, 0)
    received: defaultdict[tuple[str, str], Counter[Confirmation]] = defaultdict(Counter)
    for each in recordings:
        received[each.user_id, each.nick].update(each.confirmations)
    wrong: list[str] = []
    for speaker in own.keys() | received.keys():
        user_id, nick = speaker
        wrong += [f"{user_id} (as {nick}) did not receive {due}" for due in own[speaker] - received[speaker]]
        wrong += [
            f"{user_id} (as {nick}) received {odd}, not due" for odd in received[speaker] - of_user[user_id]
        ]
    return Finding(f"each of {len(lines):,} lines was confirmed to its sender once", (*never, *wrong))


def counts_agree(counts: Sequence[Count]) -> Finding:
    """Check that every unread count equals its recount."""
    claim = f"each of {len(counts):,} unread counts equals its recount ({_range(counts)})"
    differences = (
        str(count)
        for count in counts
        if len({count.by_the_log, count.recounted, count.stored, count.by_rest}) > 1
    )
    return Finding(claim, tuple(differences))


def unread(user_id: str, mark: int, senders: Sequence[str]) -> int:
    """Return how many messages above number `mark` others sent; `senders[0]` sent number 1."""
    return sum(sender != user_id for sender in senders[mark:])


def _difference(numbers: Sequence[int], right: Sequence[int]) -> str:
    missing = sorted(set(right) - set(numbers))
    doubled = [number for number, times in Counter(numbers).items() if times > 1]
    strange = sorted(set(numbers) - set(right))
    if not (missing or doubled or strange):
        return "received all, in another order"
    parts = [("missed", missing), ("received twice", doubled), ("received unknown numbers", strange)]
    return "; ".join(f"{word} {_some(which)}" for word, which in parts if which)


def _some(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:SHOWN]))
    return shown if len(numbers) <= SHOWN else f"{shown} … ({len(numbers):,} in all)"


def _range(counts: Sequence[Count]) -> str:
    values = [count.by_the_log for count in counts]
    return f"{min(values):,} to {max(values):,}" if values else "none"
