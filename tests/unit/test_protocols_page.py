"""gateway/PROTOCOLS.md is true: its tables of events, routes, error codes and limits.

`python tests/unit/test_protocols_page.py` prints the generated tables.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from parley.gateway.core.errors import ChatError, UnknownEvent
from parley.gateway.protocols.groups import GROUPS
from parley.gateway.protocols.protocol import ClientProtocol, Route
from parley.gateway.protocols.registry import PROTOCOLS
from parley.gateway.rest.attachments import RangeNotSatisfiable
from parley.gateway.rest.form_body import BodyTooSlow
from parley.gateway.rest.mount import STATUSES
from parley.shared.http_server import CODES
from parley.shared.model import (
    MAX_ATTACHMENTS,
    MAX_CHANGES,
    MAX_CONTENT,
    MAX_EXTRA,
    MAX_PAGE,
    MAX_PARTICIPANTS,
    MAX_TITLE,
)

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "gateway/PROTOCOLS.md").read_text()
GUIDES = ROOT / "tests/e2e/guides"
NO_TEST = "no test"


class GuideTest(NamedTuple):
    """A test of a guide, and the strings in its code."""

    name: str
    strings: set[str | None]


def guides_table() -> str:
    """Return the table of all events and routes, each with the first test that uses it."""
    rows = ["| protocol | event or route | shown by |", "|---|---|---|"]
    for protocol in PROTOCOLS:
        tests = list(_tests(protocol))
        rows += [f"| {protocol.name.replace('-', ' ')} | {row} |" for row in _rows(protocol, tests)]
    return "\n".join(rows)


def _rows(protocol: ClientProtocol, tests: list[GuideTest]) -> Iterator[str]:
    for event in protocol.inbound:
        yield f"→ `{event}` | {_first(tests, {event})}"
    for event in _outbound(protocol):
        yield f"← `{event}` | {_first(tests, {event})}"
    for route in protocol.routes:
        path = re.sub(r"\{\w+\}", "{}", route.path)
        yield f"{route.method} `{_shown_path(route)}` | {_first(tests, {route.method, path})}"


def _outbound(protocol: ClientProtocol) -> list[str]:
    replies = [inbound.reply for inbound in protocol.inbound.values() if inbound.reply]
    return list(dict.fromkeys(each.event for each in (*protocol.on_connect, *replies, *protocol.outbound)))


def _shown_path(route: Route) -> str:
    return re.sub(r"\{\w+\}", ":id", route.path)


def routes_table(protocol: ClientProtocol) -> str:
    """Return the table of a protocol's routes with their fields, as OpenAPI describes them."""
    rows = [f"| `{_route(each)}` | {_fields(each)} | {each.doc} |" for each in protocol.routes]
    return "\n".join(["| route | fields | |", "|---|---|---|", *rows])


def _route(route: Route) -> str:
    path = re.sub(r"{(\w+)}", r":\1", route.path)
    return f"{route.method} {path}"


def _fields(route: Route) -> str:
    names = {field.data_key or name: field.required for name, field in route.schema.fields.items()}
    own = [
        name + ("" if required else "?")
        for name, required in names.items()
        if f"{{{name}}}" not in route.path
    ]
    return f"`{', '.join(own)}`" if own else ""


def _first(tests: list[GuideTest], strings: set[str]) -> str:
    return next((f"`{test.name}`" for test in tests if strings <= test.strings), NO_TEST)


def _tests(protocol: ClientProtocol) -> Iterator[GuideTest]:
    """Yield the tests of a guide with the strings in their code."""
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
                strings = {_text_of(inner, constants) for inner in ast.walk(node)}
                yield GuideTest(f"{file.name}::{node.name}", strings - {None})


def _text_of(node: ast.AST, constants: dict[str, object]) -> str | None:
    """Return a string with constants by their values and `{}` for other replacement fields."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.Name(id=name):
            return str(constants.get(name, "{}"))
        case ast.JoinedStr(values=parts):
            return "".join(_text_of(part, constants) or "{}" for part in parts)
        case ast.FormattedValue(value=inner):
            return _text_of(inner, constants) if isinstance(inner, ast.Name) else "{}"
    return None


def _between(marker: str) -> str:
    found = re.search(rf"<!-- {marker} -->\n(.*)\n<!-- /{marker} -->", PAGE, re.S)
    assert found is not None
    return found[1]


def _error_types(base: type[ChatError] = ChatError) -> Iterator[type[ChatError]]:
    yield base
    for each in base.__subclasses__():
        yield from _error_types(each)


def test_a_guide_test_shows_every_event_and_route() -> None:
    assert [row for row in guides_table().splitlines() if NO_TEST in row] == []


def test_the_page_has_the_table_of_events_and_routes() -> None:
    assert _between("guides") == guides_table()


def test_the_page_has_the_table_of_the_groups_routes() -> None:
    assert _between("groups routes") == routes_table(GROUPS)


def test_the_page_names_every_event_of_the_groups_protocol() -> None:
    prose = PAGE.partition("<!-- guides -->")[0]
    assert [event for event in (*GROUPS.inbound, *_outbound(GROUPS)) if f"`{event}" not in prose] == []


def test_the_page_lists_every_error_code_with_its_status() -> None:
    expected = {(each.code, each.retryable, _status(each)) for each in _error_types() if _is_ours(each)}
    expected |= {(code, False, str(int(status))) for status, (code, _) in CODES.items()}
    rows = [line.split(" | ") for line in _between("codes").splitlines()[2:]]
    assert {
        (code.strip("| `"), retryable == "yes", status) for code, retryable, status, _ in rows
    } == expected


def _status(error: type[ChatError]) -> str:
    elsewhere = {UnknownEvent: "", BodyTooSlow: "408", RangeNotSatisfiable: "416"}
    return elsewhere.get(error, str(STATUSES.get(error, 500)))


def _is_ours(error: type[ChatError]) -> bool:
    return error.__module__.startswith("parley.")


def test_the_page_has_the_limits() -> None:
    limits = (
        f"{MAX_CONTENT:,} characters and {MAX_ATTACHMENTS} attachments",
        f"a title {MAX_TITLE} characters",
        f"at most {MAX_PARTICIPANTS:,} participants",
        f"at most {MAX_PAGE} entries",
        f"{MAX_EXTRA:,} characters of JSON",
        f"more than {MAX_CHANGES} changes",
    )
    prose = " ".join(PAGE.split())
    assert [limit for limit in limits if limit not in prose] == []


if __name__ == "__main__":
    print(routes_table(GROUPS), guides_table(), sep="\n\n")
