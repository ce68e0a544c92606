"""The pages refer to files and functions that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GATEWAY = ROOT / "gateway/src/parley/gateway"
WORKER = ROOT / "persistence-worker/src/parley/persistence_worker"
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
STEPS = re.findall(r"^\| \d+ \| (worker )?`([\w/]+\.py)` \| `([\w.]+)` \|", TEXT, re.MULTILINE)


@pytest.mark.parametrize(("service", "file", "function"), STEPS, ids=[step[2] for step in STEPS])
def test_each_step_of_a_walk_exists(service: str, file: str, function: str) -> None:
    tree = ast.parse(((WORKER if service else GATEWAY) / file).read_text())
    *owner, name = function.split(".")
    body = tree.body
    if owner:
        (found,) = (each for each in tree.body if isinstance(each, ast.ClassDef) and each.name == owner[0])
        body = found.body
    assert name in {each.name for each in body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_both_walks_have_their_steps() -> None:
    assert len(STEPS) > 25


def test_the_glossary_has_at_most_forty_terms() -> None:
    rows = re.findall(r"^\| (.+?) \|", (ROOT / "GLOSSARY.md").read_text(), re.MULTILINE)
    terms = [row for row in rows if row not in ("term", "---")]
    assert len(terms) == len(set(terms)) <= 40


@pytest.mark.parametrize(
    "page", sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("*/*.md")), ids=lambda p: p.name
)
def test_every_linked_file_exists(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []
