"""Each distribution declares what it imports: an image contains nothing else."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
DISTRIBUTIONS = {
    "gateway/src": (),
    "persistence-worker/src": (),
    "shared/src": (),
    "deploy/src": ("native",),
    # The images contain the command without what the native stack needs besides.
    "deploy/src/parley/cli": (),
}
"""The extras with which the modules below each folder are installed."""
OWN = "parley"


def imported(folder: Path) -> set[str]:
    """Return the distributions that the modules of a folder import, except ours."""
    providers = packages_distributions()
    names = {
        name.partition(".")[0]
        for file in folder.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        for name in _names(node)
    }
    others = names - sys.stdlib_module_names - {OWN}
    return {canonicalize_name(providers[name][0]) for name in others}


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module


def installed_with(requirements: list[str], extras: frozenset[str] = frozenset()) -> set[str]:
    """Return the distributions that are installed with some requirements."""
    found: set[str] = set()
    waiting = [(Requirement(text), extras) for text in requirements]
    while waiting:
        requirement, wanted = waiting.pop()
        if requirement.marker is not None and not _applies(requirement, wanted):
            continue
        name = canonicalize_name(requirement.name)
        if name in found and not requirement.extras:
            continue
        found.add(name)
        try:
            further = requires(name) or []
        except PackageNotFoundError:
            continue
        waiting += [(Requirement(text), frozenset(requirement.extras)) for text in further]
    return found


def _applies(requirement: Requirement, extras: frozenset[str]) -> bool:
    assert requirement.marker is not None
    return any(requirement.marker.evaluate({"extra": extra}) for extra in (*extras, ""))


@pytest.mark.parametrize(("folder", "extras"), DISTRIBUTIONS.items())
def test_a_distribution_is_installed_with_all_that_it_imports(folder: str, extras: tuple[str, ...]) -> None:
    project = tomllib.loads((ROOT / folder.partition("/")[0] / "pyproject.toml").read_text())["project"]
    optional = [name for extra in extras for name in project["optional-dependencies"][extra]]
    missing = imported(ROOT / folder) - installed_with([*project["dependencies"], *optional])
    assert missing == set()
