"""Makes a script of a log: who comes and goes, and which lines are said by whom and when."""

import itertools
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from load.irc_log import Event, Joined, Left, Renamed, Said
from parley.shared.model import MAX_CONTENT


@dataclass(frozen=True)
class Speaker:
    """A person under one of their nicks; `person` is the first nick they were known by."""

    person: str
    nick: str


@dataclass(frozen=True)
class Line:
    """What a speaker says, `moment` seconds after the first line, under an id that every retry repeats."""

    speaker: Speaker
    content: str
    moment: float
    client_message_id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(frozen=True)
class Arrival:
    """A speaker comes on: joined, took this nick, or speaks though the log had seen them go."""

    speaker: Speaker


@dataclass(frozen=True)
class Departure:
    """A speaker goes: left, quit, was kicked, or took another nick."""

    speaker: Speaker


Action: TypeAlias = Line | Arrival | Departure


@dataclass(frozen=True)
class Script:
    """All that happens, in order; `opening` are the speakers who are on when it begins.

    `unsayable` is what Parley refuses, `kinds` counts all lines of the log by what they were.
    """

    initial_speakers: tuple[Speaker, ...]
    actions: tuple[Action, ...]
    unsendable: tuple[Said, ...]
    kinds: Counter[str]

    @property
    def lines(self) -> tuple[Line, ...]:
        return tuple(cue for cue in self.actions if isinstance(cue, Line))

    @property
    def speakers(self) -> tuple[Speaker, ...]:
        """Everybody who has a line, in the order of their first."""
        return tuple(dict.fromkeys(line.speaker for line in self.lines))


def script_of(events: Iterable[Event]) -> Script:
    """Follows nick changes: one person for all the nicks of a person, one speaker for each nick.

    Who never says a line has no part in it.
    """
    log = list(events)
    unsayable = tuple(e for e in log if isinstance(e, Said) and not is_sendable(content_of(e)))
    cues = list(_cues(log))
    cast = {cue.speaker for cue in cues if isinstance(cue, Line)}
    played = [cue for cue in cues if cue.speaker in cast]
    firsts = {cue.speaker: cue for cue in reversed(played)}
    opening = tuple(
        dict.fromkeys(cue.speaker for cue in played if not isinstance(firsts[cue.speaker], Arrival))
    )
    if not opening:
        # Somebody must be there to begin a conversation.
        opening = tuple(cue.speaker for cue in played[:1])
    kinds = Counter(map(_kind, log))
    return Script(opening, tuple(_without_contradictions(opening, played)), unsayable, kinds)


def content_of(said: Said) -> str:
    """The message's text: an action keeps the form that IRC shows it in."""
    return f"* {said.nick} {said.text}" if said.action else said.text


def is_sendable(content: str) -> bool:
    """Whether Parley takes this text as a message: not blank, and at most `MAX_CONTENT` characters."""
    return bool(content.strip()) and len(content) <= MAX_CONTENT


def moments_of(minutes: Sequence[int]) -> list[float]:
    """Seconds from the first line to each; the log knows only minutes, so its lines share a minute evenly."""
    if not minutes:
        return []
    moments: list[float] = []
    for minute, group in itertools.groupby(minutes):
        size = len(list(group))
        moments += [60.0 * (minute - minutes[0] + place / size) for place in range(size)]
    return moments


def _cues(log: Sequence[Event]) -> Iterator[Action]:
    """Every cue of everybody, silent people too."""
    persons: dict[str, str] = {}
    moments = iter(moments_of([e.at for e in log if isinstance(e, Said) and is_sendable(content_of(e))]))

    def speaker(nick: str) -> Speaker:
        return Speaker(persons.setdefault(_folded(nick), nick), nick)

    for event in log:
        match event:
            case Said() if is_sendable(content_of(event)):
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
    """Nobody enters twice, leaves unentered, or speaks while away: logs have gaps."""
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
    if isinstance(event, Said):
        return "action" if event.action else "talk"
    return type(event).__name__.lower()


def _folded(nick: str) -> str:
    # IRC takes {}|^ as the small letters of []\~.
    return nick.lower().translate(str.maketrans("[]\\~", "{}|^"))
