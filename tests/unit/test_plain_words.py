"""Plain words: sentences of docstrings and comments have a subject, and retired names stay retired.

`python tests/unit/test_plain_words.py [path ...]` lists the breaches below the paths, counted by folder.
"""

import ast
import io
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("shared", "gateway/src", "persistence-worker", "deploy", "tests")
RELATIVE = "who|whom|whose|which|whoever|whomever|whatever|whichever"
BEFORE = "of|for|with|by|to|from|in|on|at|that|those|they|all|nobody|none|everybody"
SUBJECT = re.compile(
    rf"(?:^|[.;:!?]\s+)((?:(?:{BEFORE})\s+)?(?:{RELATIVE}|what)|(?:of|for|to) those|whence)\b", re.IGNORECASE
)
"""A relative clause where a sentence or a clause has its subject."""
# No name may contain one of these words.
RETIRED_WORDS = """
    auditor belongings bury buried condemn condemned convergence deaf doorkeeper ear ears evictor
    flight flights fanout greet greets heal heals healed hear heard hearing hears heir heirs keeper keepsake
    keepsakes lobby loose mend mends muster newcomer newcomers obey obeys pardon pardoned patience recalled
    retold roster say saying says said seat seats settling spoken sweeper tell telling tells told town trap
    trapped trial unheard unsaid untold vocabularies vocabulary whoever whom
"""
# These are no names by themselves, though a longer name may contain them.
RETIRED_NAMES = """
    air alike beat echoes fly following house land mention play pressure reach recall serves shape
    stays trap uses visits what who world
"""
_RETIRED_WORDS, _RETIRED_NAMES = (frozenset(words.split()) for words in (RETIRED_WORDS, RETIRED_NAMES))
FIRST_OF_A_NAME = ("who", "whoever", "whom", "whose", "what", "whatever", "those")
"""Words that the name of a function may not begin with."""
FIRST_OF_A_TEST = (*FIRST_OF_A_NAME, "of", "that", "which")


class Finding(NamedTuple):
    """A breach of the rules, and its line."""

    path: str
    line: int
    complaint: str


def findings(path: str, source: str) -> list[Finding]:
    """Return all breaches of a module."""
    nodes = list(ast.walk(ast.parse(source)))
    prose = [*_docstrings(nodes), *_comments(source)]
    found = [
        (line, f"no subject: {start}") for line, text in prose for start in _starts_without_subject(text)
    ]
    found += [(line, f"retired name {name}") for line, name in _names(nodes, path) if _is_retired(name)]
    found += [(line, f"no subject: {name}") for line, name in _functions(nodes) if _has_no_subject(name)]
    return [Finding(path, line, complaint) for line, complaint in sorted(set(found))]


def _starts_without_subject(text: str) -> list[str]:
    return SUBJECT.findall(text.strip("#: \n"))


def _docstrings(nodes: list[ast.AST]) -> Iterator[tuple[int, str]]:
    """Yield the texts that stand as statements: of modules, classes, functions and attributes."""
    for node in nodes:
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                yield node.lineno, text


def _comments(source: str) -> Iterator[tuple[int, str]]:
    """Yield the comments; those of following lines in one column are one."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = [(t.start, t.string.lstrip("#: ")) for t in tokens if t.type == tokenize.COMMENT]
    for _, block in groupby(enumerate(comments), lambda each: (each[1][0][0] - each[0], each[1][0][1])):
        lines = [comment for _, comment in block]
        yield lines[0][0][0], " ".join(text for _, text in lines)


def _functions(nodes: list[ast.AST]) -> Iterator[tuple[int, str]]:
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.lineno, node.name


def _names(nodes: list[ast.AST], path: str) -> Iterator[tuple[int, str]]:
    """Yield the names that a module gives: its own, and those of what it defines."""
    yield 1, Path(path).stem
    yield from _functions(nodes)
    for node in nodes:
        match node:
            case ast.ClassDef(name=name) | ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name


def _words(name: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def _is_retired(name: str) -> bool:
    words = _words(name)
    return not _RETIRED_WORDS.isdisjoint(words) or (len(words) == 1 and words[0] in _RETIRED_NAMES)


def _has_no_subject(name: str) -> bool:
    words = _words(name.removeprefix("test_"))
    denied = FIRST_OF_A_TEST if name.startswith("test_") else FIRST_OF_A_NAME
    return len(words) > 1 and words[0] in denied


def modules(*below: str) -> list[str]:
    """Return the paths of all modules, or of those below some paths."""
    found = [p.relative_to(ROOT).as_posix() for source in SOURCES for p in (ROOT / source).rglob("*.py")]
    own = [p for p in found if not {"node_modules", ".venv"} & set(p.split("/"))]
    return sorted(p for p in own if not below or p.startswith(below))


def findings_below(*below: str) -> list[Finding]:
    """Return the breaches of all modules, or of those below some paths."""
    return [finding for path in modules(*below) for finding in findings(path, (ROOT / path).read_text())]


def _folder(finding: Finding) -> str:
    return Path(finding.path).parent.as_posix()


def test_docstrings_comments_and_names_use_plain_words() -> None:
    assert findings_below() == []


@pytest.mark.parametrize(
    "source",
    [
        '"""Who is there."""',
        'class A:\n    """Of those who are there, the first."""',
        'def f():\n    """What is there."""',
        "LIMIT = 1\n'''Whatever is more is refused.'''",
        "# Those who are there\n# know.",
        "# A client left;\n# what it sent is kept.",
        "x = 1  # what is left",
        "def told(): ...",
        "class Roster: ...",
        "def f(all_heard): ...",
        "self._keeper = 1",
        "world = 1",
        "def test_who_is_there_is_shown(): ...",
    ],
)
def test_a_breach_is_found(source: str) -> None:
    assert len(findings("a.py", source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        'def f():\n    """Return what is there."""',
        "# A client may leave; the server keeps\n# what it sent.",
        "def reach_out(retries, earlier, essays): ...",
        "def test_a_user_who_left_is_not_shown(): ...",
        "x = 'who is there'",
    ],
)
def test_plain_words_pass(source: str) -> None:
    assert findings("a.py", source) == []


def main(*below: str) -> None:
    """Print the breaches below the paths, and their number by folder."""
    found = findings_below(*below)
    if below:
        print("\n".join(f"{f.path}:{f.line}: {f.complaint}" for f in found))
    counts = Counter(map(_folder, found))
    for folder, count in [*sorted(counts.items()), ("in all", len(found))]:
        print(f"{count:5} {folder}")


if __name__ == "__main__":
    main(*sys.argv[1:])
