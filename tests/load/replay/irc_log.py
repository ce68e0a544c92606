"""Parses the IRC log of a public channel: lines, changes of nicks, joins and parts."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

DAY = 24 * 60
HALF_A_DAY = DAY // 2


@dataclass(frozen=True)
class LogLine:
    """A message, or an action ("* anna waves"); `at` in minutes since the log's first midnight."""

    at: int
    nick: str
    text: str
    action: bool = False


@dataclass(frozen=True)
class Renamed:
    """A person's nick changes from `old` to `new`."""

    at: int
    old: str
    new: str


@dataclass(frozen=True)
class Joined:
    at: int
    nick: str


@dataclass(frozen=True)
class Left:
    """A person parted, quit or was kicked."""

    at: int
    nick: str


@dataclass(frozen=True)
class Noticed:
    """A line of the channel itself: a mode or a topic."""

    at: int
    text: str


@dataclass(frozen=True)
class Unknown:
    """A line of no known form; blank lines included."""

    at: int
    text: str


Event: TypeAlias = LogLine | Renamed | Joined | Left | Noticed | Unknown

# A nick as IRC allows it, and a leading digit, which some servers allow. Lines of the channel itself
# ("mode/#parley", "..[topic/#parley:anna]") never have this form.
NICK = r"[\w\[\]\\`^{|}][\w\[\]\\`^{|}-]*"

CLOCKED = re.compile(r"\[([01][0-9]|2[0-3]):([0-5][0-9])\](.*)", re.DOTALL)
# Some loggers put a space after every "]", also inside "<anna[1] >".
TALK = re.compile(r" <([^>\s]+)\s*>(?: (.*))?", re.DOTALL)
ACTION = re.compile(r" {1,2}\* (\S+)(?: (.*))?", re.DOTALL)
RENAMED = re.compile(rf"=== ({NICK})\s+is now known as ({NICK})\s*")
JOINED = re.compile(rf"=== ({NICK})\s+\[[^\]]*\]\s+has joined\b.*", re.DOTALL)
LEFT = re.compile(
    rf"=== ({NICK})\s+(?:\[[^\]]*\]\s+has (?:left|quit)\b|was kicked (?:off|from)\b).*", re.DOTALL
)
NOTICED = re.compile(r"=== (?:mode/|\.\.\[topic/).*", re.DOTALL)
BARE_ACTION = re.compile(rf"=== ({NICK})\s+(.*)", re.DOTALL)


def parse(lines: Iterable[bytes]) -> Iterator[Event]:
    """Yield one event for each line, in order.

    A line without a clock happens when the one before it did. Where the clock falls back by more than half
    a day, midnight has passed; where it falls back by less, it was set, and time stands still.
    """
    now = 0
    for number, line in enumerate(lines):
        text = decode(line).rstrip("\r\n")
        if number == 0:
            text = text.removeprefix("\ufeff")
        if clocked := CLOCKED.fullmatch(text):
            now = _later(now, 60 * int(clocked[1]) + int(clocked[2]))
            yield _clocked(now, clocked[3], text)
        else:
            yield _unclocked(now, text)


def decode(line: bytes) -> str:
    """Decode a line as UTF-8, or else as Latin-1, in which every byte is a character: no line is lost."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")


def _later(now: int, clock: int) -> int:
    moment = now - now % DAY + clock
    if moment < now - HALF_A_DAY:
        moment += DAY
    return max(now, moment)


def _clocked(at: int, rest: str, line: str) -> Event:
    if talk := TALK.fullmatch(rest):
        return LogLine(at, talk[1], talk[2] or "")
    if action := ACTION.fullmatch(rest):
        return LogLine(at, action[1], action[2] or "", action=True)
    return Unknown(at, line)


def _unclocked(at: int, line: str) -> Event:
    if renamed := RENAMED.fullmatch(line):
        return Renamed(at, renamed[1], renamed[2])
    if joined := JOINED.fullmatch(line):
        return Joined(at, joined[1])
    if left := LEFT.fullmatch(line):
        return Left(at, left[1])
    if NOTICED.fullmatch(line):
        return Noticed(at, line.removeprefix("=== "))
    # Older logs write actions without a time: "=== anna waves".
    if action := BARE_ACTION.fullmatch(line):
        return LogLine(at, action[1], action[2], action=True)
    return Unknown(at, line)
