"""The README's table of the guides: word by word, the test that shows it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from parley.gateway.protocols.protocol import ClientProtocol
from parley.gateway.protocols.registry import PROTOCOLS

ROOT = Path(__file__).parents[2]
GUIDES = ROOT / "tests/e2e/guides"
NO_TEST = "no test"


class Shows(NamedTuple):
    """A test, and the strings that it spells out."""

    name: str
    strings: set[str | None]


def table() -> str:
    """The table as the vocabularies and the tests of the guides have it."""
    rows = ["| guide | word | shown by |", "|---|---|---|"]
    for protocol in PROTOCOLS:
        tests = list(_tests(protocol))
        rows += [f"| {protocol.name.replace('-', ' ')} | {word} |" for word in _rows(protocol, tests)]
    return "\n".join(rows)


def _rows(protocol: ClientProtocol, tests: list[Shows]) -> Iterator[str]:
    """Every event that is heard or said, and every path, with the first test that shows it."""
    for event in protocol.inbound:
        yield f"→ `{event}` | {_first(tests, {event})}"
    for event in _said(protocol):
        yield f"← `{event}` | {_first(tests, {event})}"
    for route in protocol.routes:
        path = re.sub(r"\{\w+\}", "{}", route.path)
        shown = re.sub(r"\{\w+\}", ":id", route.path)
        yield f"{route.method} `{shown}` | {_first(tests, {route.method, path})}"


def _said(protocol: ClientProtocol) -> list[str]:
    echoed = [inbound.reply for inbound in protocol.inbound.values() if inbound.reply]
    return list(dict.fromkeys(t.event for t in (*protocol.on_connect, *echoed, *protocol.outbound)))


def _first(tests: list[Shows], words: set[str]) -> str:
    return next((f"`{test.name}`" for test in tests if words <= test.strings), NO_TEST)


def _tests(protocol: ClientProtocol) -> Iterator[Shows]:
    """The tests of a guide, with all that they spell out."""
    for file in sorted(GUIDES.glob(f"test_{protocol.name.replace('-', '_')}*.py")):
        body = ast.parse(file.read_text()).body
        constants = {
            node.targets[0].id: node.value.value
            for node in body
            if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and isinstance(node.value, ast.Constant)
        }
        for node in body:
            if isinstance(node, ast.AsyncFunctionDef) and node.name.startswith("test_"):
                strings = {_spelt(inner, constants) for inner in ast.walk(node)}
                yield Shows(f"{file.name}::{node.name}", strings - {None})


def _spelt(node: ast.AST, constants: dict[str, object]) -> str | None:
    """A string as it stands there, with `{}` for what is put into it, and constants by their values."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.Name(id=name):
            return str(constants.get(name, "{}"))
        case ast.JoinedStr(values=parts):
            return "".join(_spelt(part, constants) or "{}" for part in parts)
        case ast.FormattedValue(value=inner):
            return _spelt(inner, constants) if isinstance(inner, ast.Name) else "{}"
    return None


def test_every_word_of_every_guide_is_shown_by_a_test() -> None:
    assert [row for row in table().splitlines() if NO_TEST in row] == []


def test_the_table_is_in_the_readme() -> None:
    between = re.search(r"<!-- guides -->\n(.*)\n<!-- /guides -->", (ROOT / "README.md").read_text(), re.S)
    assert between is not None
    assert between[1] == table()
