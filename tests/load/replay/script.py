"""Turns a log into a script: speakers come and go, and send lines at their times."""

import itertools
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from load.replay.irc_log import Event, Joined, Left, LogLine, Renamed
from parley.shared.model import MAX_CONTENT


@dataclass(frozen=True)
class Speaker:
    """A person under one nick; `person` is the first nick of that person."""

    person: str
    nick: str


@dataclass(frozen=True)
class Line:
    """A message sent `moment` seconds after the first line; its id is the same for every retry."""

    speaker: Speaker
    content: str
    moment: float
    client_message_id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(frozen=True)
class Arrival:
    """A speaker comes online: joined, took this nick, or speaks though the log saw them leave."""

    speaker: Speaker


@dataclass(frozen=True)
class Departure:
    """A speaker goes offline: left, quit, was kicked, or took another nick."""

    speaker: Speaker


Action: TypeAlias = Line | Arrival | Departure


@dataclass(frozen=True)
class Script:
    """All cues in order; `initial_speakers` are online at the beginning.

    `unsendable` are the lines that Parley would refuse, `kinds` counts all lines of the log by their kind.
    """

    initial_speakers: tuple[Speaker, ...]
    actions: tuple[Action, ...]
    unsendable: tuple[LogLine, ...]
    kinds: Counter[str]

    @property
    def lines(self) -> tuple[Line, ...]:
        return tuple(cue for cue in self.actions if isinstance(cue, Line))

    @property
    def speakers(self) -> tuple[Speaker, ...]:
        """The speakers that have a line, in the order of their first ones."""
        return tuple(dict.fromkeys(line.speaker for line in self.lines))


def script_of(events: Iterable[Event]) -> Script:
    """Return the script of a log: one person for all nicks of a person, one speaker for each nick.

    Speakers without a line are left out.
    """
    log = list(events)
    unsendable = tuple(e for e in log if isinstance(e, LogLine) and not is_sendable(content_of(e)))
    cues = list(_cues(log))
    cast = {cue.speaker for cue in cues if isinstance(cue, Line)}
    played = [cue for cue in cues if cue.speaker in cast]
    firsts = {cue.speaker: cue for cue in reversed(played)}
    opening = tuple(
        dict.fromkeys(cue.speaker for cue in played if not isinstance(firsts[cue.speaker], Arrival))
    )
    if not opening:
        # A conversation needs a speaker that creates it.
        opening = tuple(cue.speaker for cue in played[:1])
    kinds = Counter(map(_kind, log))
    return Script(opening, tuple(_without_contradictions(opening, played)), unsendable, kinds)


def content_of(line: LogLine) -> str:
    """Return the message's text: an action keeps the form that IRC shows it in."""
    return f"* {line.nick} {line.text}" if line.action else line.text


def is_sendable(content: str) -> bool:
    """Return whether Parley accepts this text: not blank, and at most `MAX_CONTENT` characters."""
    return bool(content.strip()) and len(content) <= MAX_CONTENT


def moments_of(minutes: Sequence[int]) -> list[float]:
    """Return the seconds from the first line to each; lines of one minute are spread evenly over it."""
    if not minutes:
        return []
    moments: list[float] = []
    for minute, group in itertools.groupby(minutes):
        size = len(list(group))
        moments += [60.0 * (minute - minutes[0] + index / size) for index in range(size)]
    return moments


def _cues(log: Sequence[Event]) -> Iterator[Action]:
    """Yield every cue, those of silent people included."""
    persons: dict[str, str] = {}
    moments = iter(moments_of([e.at for e in log if isinstance(e, LogLine) and is_sendable(content_of(e))]))

    def speaker(nick: str) -> Speaker:
        return Speaker(persons.setdefault(_folded(nick), nick), nick)

    for event in log:
        match event:
            case LogLine() if is_sendable(content_of(event)):
                yield Line(speaker(event.nick), content_of(event), next(moments))
            case Joined():
                yield Arrival(speaker(event.nick))
            case Left():
                yield Departure(speaker(event.nick))
            case Renamed():
                old = speaker(event.old)
                persons[_folded(event.new)] = old.person
                yield Departure(old)
                yield Arrival(speaker(event.new))
            case _:
                pass


def _without_contradictions(opening: Iterable[Speaker], cues: Iterable[Action]) -> Iterator[Action]:
    """Fill the gaps of logs: no speaker enters twice, leaves without entering, or speaks while offline."""
    present = set(opening)
    for cue in cues:
        here = cue.speaker in present
        if isinstance(cue, Departure):
            present.discard(cue.speaker)
        else:
            present.add(cue.speaker)
        if isinstance(cue, Line):
            if not here:
                yield Arrival(cue.speaker)
            yield cue
        elif here == isinstance(cue, Departure):
            yield cue


def _kind(event: Event) -> str:
    if isinstance(event, LogLine):
        return "action" if event.action else "talk"
    return type(event).__name__.lower()


def _folded(nick: str) -> str:
    # IRC treats {}|^ as the lower case of []\~.
    return nick.lower().translate(str.maketrans("[]\\~", "{}|^"))
