"""Builds of the services beside this one: the previous release, or this version with its formats grown."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("shared/src", "gateway/src", "persistence-worker/src")
DISTRIBUTIONS = ("parley-shared", "parley-gateway", "parley-persistence-worker")
FIRST_TO_MIX = (0, 2, 0)
"""The first release whose services run beside those of a later one."""
GROWN_VERSION = "99.0.0"
COLOUR = "red"
"""The value of the field that the grown build adds to messages."""

_VERSION = re.compile(r'^version = "([^"]+)"$', re.M)
_GROWTH: Mapping[str, tuple[tuple[str, str], ...]] = {
    "envelope.py": (("SCHEMA = ", "SCHEMA = 1 + "),),
    "model.py": (
        ('    username: str = ""\n', '    username: str = ""\n    pronouns: str = "they"\n'),
        (
            "    reply_to: str | None = None\n",
            f'    reply_to: str | None = None\n    colour: str = "{COLOUR}"\n',
        ),
    ),
    "records.py": (
        ("    message: Message\n", "    message: Message\n    priority: int = 1\n"),
        (
            "\nRecord = NewMessage | ",
            '\nclass Reaction(Struct, frozen=True, kw_only=True, tag="reaction"):\n    id: str\n\n'
            "\nRecord = Reaction | NewMessage | ",
        ),
    ),
    "events.py": (
        (
            '    """A message has its number and is stored in MongoDB."""\n',
            '    """A message has its number and is stored in MongoDB."""\n    weight: int = 1\n',
        ),
        (
            "\nNumbered = ",
            '\nclass Reacted(Struct, frozen=True, kw_only=True, tag="reacted"):\n    message_id: str\n\n'
            "\nNumbered = ",
        ),
        ("    | Control\n", "    | Control\n    | Reacted\n"),
        (
            "    return seal(events)\n",
            "    stored = (each for each in events if isinstance(each, MessageStored))\n"
            "    return seal([*(Reacted(message_id=each.message.id) for each in stored), *events])\n",
        ),
        (
            "        return _open(body).items\n",
            "        return [each for each in _open(body).items if not isinstance(each, Reacted)]\n",
        ),
    ),
}
"""The growth of the modules of `parley.shared`: texts that occur once, and their replacements.

An added event of a new kind goes before each stored message; the grown build itself ignores it.
"""


@dataclass(frozen=True)
class Build:
    """A build of the services that runs from source folders, in the environment of this one."""

    version: str
    folder: Path

    @property
    def settings(self) -> dict[str, str]:
        """The environment variables that a service of this build is started with."""
        return {"PYTHONPATH": ":".join(str(self.folder / source) for source in SOURCES)}


def previous_release(root: Path = ROOT) -> tuple[str, str] | None:
    """Return version and commit of the release before these services, None if there is none to mix with.

    A release is the commit that set its version in pyproject.toml. Services that have changed since the
    release of their version come after it.

    Raises:
        LookupError: The history that would tell is not here.
    """
    current = _version((root / "pyproject.toml").read_text())
    found: tuple[str, str] | None = None
    for commit in _git(root, "log", "--format=%H", "--", "pyproject.toml").decode().split():
        version = _version(_git(root, "show", f"{commit}:pyproject.toml").decode())
        if found and version != found[0] and (found[0] != current or _is_changed(root, found[1])):
            return found if _numbers(found[0]) >= FIRST_TO_MIX else None
        found = version, commit
    if _git(root, "rev-parse", "--is-shallow-repository").strip() == b"true":
        raise LookupError("the clone is shallow; run `git fetch --unshallow`")
    if found and found[0] == current and not _is_changed(root, found[1]):
        return None
    return found if found and _numbers(found[0]) >= FIRST_TO_MIX else None


def extract(commit: str, version: str, folder: Path, root: Path = ROOT) -> Build:
    """Write the services of a commit into a folder."""
    archive = _git(root, "archive", "--format=tar", commit, *SOURCES)
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["tar", "--extract", "--directory", folder], input=archive, check=True)
    return _named(Build(version, folder))


def grow(folder: Path, root: Path = ROOT) -> Build:
    """Write this version's services into a folder, with fields and kinds added to their formats."""
    for source in SOURCES:
        ignored = shutil.ignore_patterns("__pycache__", "node_modules")
        shutil.copytree(root / source, folder / source, ignore=ignored)
    for name, changes in _GROWTH.items():
        file = folder / "shared/src/parley/shared" / name
        file.write_text(_grown(file.read_text(), changes, name))
    return _named(Build(GROWN_VERSION, folder))


def _grown(text: str, changes: tuple[tuple[str, str], ...], name: str) -> str:
    for was, becomes in changes:
        if text.count(was) != 1:
            raise LookupError(f"{name} does not contain {was!r} once; adapt _GROWTH in {__file__}")
        text = text.replace(was, becomes)
    return text


def _named(build: Build) -> Build:
    """Have importlib.metadata find the build's version before the one that is installed."""
    for name in DISTRIBUTIONS:
        info = build.folder / SOURCES[0] / f"{name.replace('-', '_')}-{build.version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {build.version}\n")
    return build


def _version(pyproject: str) -> str:
    found = _VERSION.search(pyproject)
    assert found is not None, "pyproject.toml names no version"
    return found[1]


def _is_changed(root: Path, commit: str) -> bool:
    """Return whether the services of the working tree differ from those of a commit."""
    return bool(_git(root, "diff", "--name-only", commit, "--", *SOURCES))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)[:3]))


def _git(root: Path, *arguments: str) -> bytes:
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    except FileNotFoundError:
        raise LookupError("git is not installed") from None
    except subprocess.CalledProcessError as error:
        raise LookupError(f"git {arguments[0]} failed: {error.stderr.decode().strip()}") from None
    return done.stdout
