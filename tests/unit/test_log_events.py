"""Log lines: each has a name that an operator can search for, and deploy/README.md lists them all.

`python tests/unit/test_log_events.py` prints the table.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
README = ROOT / "deploy/README.md"
SOURCES = {
    "gateway": "gateway/src/parley/gateway",
    "worker": "persistence-worker/src/parley/persistence_worker",
    "shared": "shared/src/parley/shared",
    "stack": "deploy/src/parley/stack",
    "admin": "deploy/src/parley/cli/admin",
}
LEVELS = ("debug", "info", "warning", "error", "exception", "critical")
NAME = re.compile(rf"({'|'.join(SOURCES)})(\.[a-z0-9_]+)+")


class LogCall(NamedTuple):
    """A line of the code that logs; `event` is empty if it is no literal."""

    event: str
    level: str
    path: str


def log_calls(path: str, source: str) -> list[LogCall]:
    """Return the calls of `log`'s methods in a module."""
    return [
        LogCall(_literal(call), level, path)
        for node in ast.walk(ast.parse(source))
        for call, level in _logging(node)
    ]


def _logging(node: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id="log" | "_log" | "logger"), attr=level)) as call:
            if level in LEVELS:
                yield call, level


def _literal(call: ast.Call) -> str:
    match call.args:
        case [ast.Constant(value=str(event)), *_]:
            return event
    return ""


def all_log_calls() -> list[LogCall]:
    """Return all calls of the product."""
    modules = [m for source in SOURCES.values() for m in sorted((ROOT / source).rglob("*.py"))]
    return [call for m in modules for call in log_calls(m.relative_to(ROOT).as_posix(), m.read_text())]


def table() -> str:
    """Return deploy/README.md's table of log events, as the code has them."""
    rows = {(c.event, _shown_level(c.level), _module(c.path)) for c in all_log_calls()}
    head = ["| event | level | module |", "|---|---|---|"]
    return "\n".join(
        head + [f"| `{event}` | {level} | `{module}` |" for event, level, module in sorted(rows)]
    )


def _shown_level(level: str) -> str:
    return "error" if level == "exception" else level


def _module(path: str) -> str:
    return path.partition("/src/parley/")[2]


def test_each_log_event_has_the_name_of_its_component() -> None:
    assert [c for c in all_log_calls() if not NAME.fullmatch(c.event) or not _is_at_home(c)] == []


def _is_at_home(call: LogCall) -> bool:
    return call.path.startswith(f"{SOURCES[call.event.partition('.')[0]]}/")


def test_the_readme_lists_each_log_event() -> None:
    between = re.search(r"<!-- log events -->\n(.*)\n<!-- /log events -->", README.read_text(), re.S)
    assert between is not None
    assert between[1] == table()


def test_the_code_logs() -> None:
    assert len(all_log_calls()) > 50


@pytest.mark.parametrize(
    ("line", "event"),
    [
        ("log.info('worker.batch.retried', records=1)", "worker.batch.retried"),
        ("log.warning(f'worker.{x}')", ""),
        ("log.error(x)", ""),
    ],
)
def test_a_call_is_found_by_its_literal_event(line: str, event: str) -> None:
    assert [call.event for call in log_calls("a.py", line)] == [event]


if __name__ == "__main__":
    print(table())
