"""The other build of a rolling upgrade: found in the history, or grown from this version."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from faults.builds import SOURCES, Build, extract, grow, previous_release
from golden.samples import samples_of
from parley.shared import envelope, events, records


class History:
    """A git repository of a test's own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for source in SOURCES:
            (root / source).mkdir(parents=True)
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        command = ["git", "-C", str(self.root), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def write(self, version: str, more: str = "") -> None:
        (self.root / "pyproject.toml").write_text(f'[project]\nversion = "{version}"\n# {more}\n')
        for source in SOURCES:
            (self.root / source / "module.py").write_text(f'"""{version} {more}"""\n')

    def commit(self, version: str, more: str = "") -> str:
        self.write(version, more)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", f"{version} {more}")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def history(tmp_path: Path) -> History:
    history = History(tmp_path / "repository")
    history.commit("0.1.0")
    return history


def test_no_release_before_0_2_0_is_mixed_with(history: History) -> None:
    assert previous_release(history.root) is None
    history.commit("0.2.0")
    assert previous_release(history.root) is None


def test_the_previous_release_is_the_commit_that_set_its_version(history: History, tmp_path: Path) -> None:
    release = history.commit("0.2.0", "released")
    history.commit("0.2.0", "changed")
    history.write("0.3.0")
    assert previous_release(history.root) == ("0.2.0", release)
    history.commit("0.3.0")
    assert previous_release(history.root) == ("0.2.0", release)

    build = extract(release, "0.2.0", tmp_path / "build", history.root)

    assert (build.folder / SOURCES[0] / "module.py").read_text() == '"""0.2.0 released"""\n'


def test_services_that_changed_since_a_release_come_after_it(history: History) -> None:
    release = history.commit("0.2.0", "released")
    assert previous_release(history.root) is None
    history.commit("0.2.0", "changed")
    assert previous_release(history.root) == ("0.2.0", release)
    later = history.commit("0.3.0")
    assert previous_release(history.root) == ("0.2.0", release)
    history.write("0.3.0", "changed")
    assert previous_release(history.root) == ("0.3.0", later)


def test_a_shallow_clone_reports_the_missing_history(history: History, tmp_path: Path) -> None:
    history.commit("0.2.0")
    history.commit("0.3.0")
    clone = tmp_path / "clone"
    history.git("clone", "-q", "--depth", "1", f"file://{history.root}", str(clone))
    with pytest.raises(LookupError, match="git fetch --unshallow"):
        previous_release(clone)


def test_a_folder_without_a_repository_is_reported(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('version = "0.3.0"\n')
    with pytest.raises(LookupError, match="git log failed"):
        previous_release(tmp_path)


PACK_ALL = """
import sys
from golden.samples import samples_of
from parley.shared import events, records
form = {"events": (events, events.Event), "records": (records, records.Record)}[sys.argv[1]]
sys.stdout.buffer.write(form[0].pack(list(samples_of(form[1]).values())))
"""


def packed_by(build: Build, form: str) -> bytes:
    path = f"{build.settings['PYTHONPATH']}:{Path(__file__).parents[1]}"
    command = [sys.executable, "-c", PACK_ALL, form]
    return subprocess.run(command, check=True, capture_output=True, env={"PYTHONPATH": path}).stdout


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Build:
    return grow(tmp_path_factory.mktemp("grown") / "build")


def test_events_of_the_grown_build_are_read_but_for_its_new_kind(grown: Build) -> None:
    body = packed_by(grown, "events")
    assert msgspec.msgpack.decode(body)[:2] == [envelope.SCHEMA + 1, grown.version]
    unpacked = events.unpack(body)
    assert [e for e in unpacked if not isinstance(e, events.UnknownEvent)] == list(
        samples_of(events.Event).values()
    )
    assert {e.kind for e in unpacked if isinstance(e, events.UnknownEvent)} == {"reacted"}


def test_records_of_the_grown_build_are_read_but_for_its_new_kind(grown: Build) -> None:
    unpacked = records.unpack(packed_by(grown, "records"))
    known = [r for r in unpacked if not isinstance(r, records.UnreadableRecord)]
    assert known == list(samples_of(records.Record).values())
    assert {r.kind for r in unpacked if isinstance(r, records.UnreadableRecord)} == {"reaction"}
