"""Values that equal any valid value, for those that a test cannot know beforehand."""

import re
from typing import Any


class Pattern:
    """Equals every string that matches a pattern."""

    def __init__(self, name: str, pattern: str) -> None:
        self._name = name
        self._pattern = re.compile(pattern)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and self._pattern.fullmatch(other) is not None

    def __hash__(self) -> int:
        return hash(self._name)

    def __repr__(self) -> str:
        return self._name


class Number:
    """Equals every integer from `least` on."""

    def __init__(self, name: str, least: int) -> None:
        self._name, self._least = name, least

    def __eq__(self, other: object) -> bool:
        return isinstance(other, int) and other >= self._least

    def __hash__(self) -> int:
        return hash(self._name)

    def __repr__(self) -> str:
        return self._name


class Sorted:
    """Equals every list of the same items, in any order."""

    def __init__(self, things: list[Any]) -> None:
        self._things = sorted(things)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, list) and sorted(other) == self._things

    def __hash__(self) -> int:
        return hash(tuple(self._things))

    def __repr__(self) -> str:
        return f"Sorted({self._things})"


AN_EPOCH = Number("AN_EPOCH", 1)
A_TIME = Pattern("A_TIME", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
A_UUID = Pattern("A_UUID", r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
