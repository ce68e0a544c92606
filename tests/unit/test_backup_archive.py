"""The archive of a backup: all of it is checked before a restore writes anything."""

import gzip
import io
import random
import tarfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bson
import msgspec
import pytest

from parley.cli.backup import archive, command, manifest
from parley.cli.backup.archive import ArchiveWriter
from parley.cli.backup.manifest import COLLECTIONS, NAME, Manifest
from parley.cli.errors import CommandError
from parley.shared import documents
from parley.shared.documents import ATTEMPTS, RESTORATIONS

Members = list[tuple[str, bytes]]
RANDOM = random.Random(1)
# Not of repeated characters: another way to compress these yields them too, so a flipped bit may do no harm.
DOCUMENTS = [{"_id": str(number), "text": f"xx {RANDOM.randbytes(500).hex()}"} for number in range(100)]


@dataclass(frozen=True)
class Backup:
    """An archive with two collections, one of them in parts."""

    path: Path
    contents: Manifest


@pytest.fixture
def backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Backup:
    monkeypatch.setattr(archive, "PART_BYTES", 30_000)
    path = tmp_path / "backup.tar.gz"
    with path.open("wb") as file:
        writer = ArchiveWriter(file)
        for document in DOCUMENTS:
            assert writer.add("messages", bson.encode(document)) == 1
        writer.end("messages")
        assert writer.add("users", bson.encode({"_id": "a"}) + bson.encode({"_id": "b"})) == 2
        writer.end("users")
        contents = Manifest(
            parley=manifest.this_version(),
            mongodb="6.0.5",
            database="parley",
            taken_at=datetime(2026, 11, 28, 15, tzinfo=UTC),
            cluster_time=(1_795_878_161, 1),
            attachments="gridfs",
            parts=tuple(writer.parts),
        )
        writer.close(contents)
    return Backup(path, contents)


def rewrite(path: Path, change: Callable[[Members], Members]) -> None:
    """Change the members of an archive, whose gzip and tar stay sound."""
    with tarfile.open(path) as tar:
        members = [(each.name, tar.extractfile(each).read()) for each in tar]  # type: ignore[union-attr]
    with tarfile.open(path, "w:gz") as tar:
        for name, data in change(members):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def with_manifest(**fields: Any) -> Callable[[Members], Members]:
    def change(members: Members) -> Members:
        contents = {**msgspec.json.decode(dict(members)[NAME]), **fields}
        return [*members[:-1], (NAME, msgspec.json.encode(contents))]

    return change


def test_an_archive_is_read_as_it_was_written(backup: Backup) -> None:
    contents = archive.check(backup.path)
    read = list(archive.read(backup.path, contents))
    stored = [
        bson.decode(each)
        for part, data in read
        if part.collection == "messages"
        for each in archive.split(data)
    ]
    assert contents == backup.contents
    assert contents.by_collection == {"messages": 100, "users": 2}
    assert stored == DOCUMENTS
    assert len(read) > 3


def test_the_progress_of_a_check_ends_at_the_size_of_the_file(backup: Backup) -> None:
    read: list[int] = []
    archive.check(backup.path, read.append)
    assert 0 < sum(read) <= backup.path.stat().st_size


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_torn_archive_is_refused(backup: Backup, share: float) -> None:
    whole = backup.path.read_bytes()
    backup.path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(CommandError, match=r"is torn"):
        archive.check(backup.path)


def test_an_archive_whose_end_was_never_written_is_refused(backup: Backup) -> None:
    rewrite(backup.path, lambda members: members[:-1])
    with pytest.raises(CommandError, match=r"is torn, since it has no manifest: use another backup\.$"):
        archive.check(backup.path)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.7, 0.95])
def test_a_flipped_bit_is_found(backup: Backup, share: float) -> None:
    whole = bytearray(backup.path.read_bytes())
    whole[int(share * len(whole))] ^= 1
    backup.path.write_bytes(whole)
    with pytest.raises(CommandError, match=r"is torn|is damaged"):
        archive.check(backup.path)


def test_a_part_that_differs_from_its_digest_is_refused(backup: Backup) -> None:
    rewrite(backup.path, lambda members: [(name, data.replace(b"xx", b"yy", 1)) for name, data in members])
    with pytest.raises(CommandError, match=r"is damaged, since messages/000001\.bson is not what"):
        archive.check(backup.path)


def test_documents_that_are_cut_off_are_refused(backup: Backup) -> None:
    rewrite(backup.path, lambda members: [(members[0][0], members[0][1][:-1]), *members[1:]])
    with pytest.raises(CommandError, match=r"since the documents of messages/000001\.bson are cut off"):
        archive.check(backup.path)


@pytest.mark.parametrize("which", [0, 1, -2], ids=["first", "middle", "last"])
def test_a_missing_part_is_found(backup: Backup, which: int) -> None:
    rewrite(backup.path, lambda members: [each for each in members if each != members[which]])
    with pytest.raises(CommandError, match="is damaged"):
        archive.check(backup.path)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (
            {"format": manifest.FORMAT + 1, "parts": "of another kind"},
            "by a newer version of Parley: restore",
        ),
        ({"parley": "99.0.0"}, "was made by Parley 99.0.0, and this is"),
        ({"parts": None}, "its manifest cannot be read"),
    ],
)
def test_a_manifest_of_another_version_is_refused(
    backup: Backup, fields: dict[str, Any], reason: str
) -> None:
    rewrite(backup.path, with_manifest(**fields))
    with pytest.raises(CommandError, match=reason):
        archive.check(backup.path)


def test_a_backup_of_an_earlier_version_is_taken(backup: Backup) -> None:
    rewrite(backup.path, with_manifest(parley="0.1.0", unknown="a field of a later patch"))
    assert archive.check(backup.path).parley == "0.1.0"


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", gzip.compress(b"hello", mtime=0), b"PK\x03\x04"],
    ids=["empty", "json", "gzip", "zip"],
)
def test_a_file_of_another_kind_is_one_sentence(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(data)
    with pytest.raises(CommandError, match=r"^[^\n]*use another backup\.$"):
        archive.check(path)


def test_a_file_that_changes_after_the_check_is_refused(backup: Backup) -> None:
    contents = archive.check(backup.path)
    rewrite(backup.path, lambda members: [(name, data.replace(b"xx", b"yy", 1)) for name, data in members])
    with pytest.raises(CommandError, match="was changed while it was read"):
        list(archive.read(backup.path, contents))


def test_a_backup_gets_its_name_when_it_is_complete_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    with command.open_target(tmp_path / "a") as (file, path):
        file.write(b"all")
        assert path is not None
        assert not path.exists()
    assert (path.read_bytes(), path.stat().st_mode & 0o077) == (b"all", 0)
    with pytest.raises(CommandError, match="exists already"), command.open_target(path):
        pass


def test_a_backup_that_fails_leaves_no_file(tmp_path: Path) -> None:
    def back_up() -> None:
        with command.open_target(tmp_path) as (file, _):
            file.write(b"a part")
            raise CommandError("MongoDB is away.")

    with pytest.raises(CommandError, match="is away"):
        back_up()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_sentence() -> None:
    # Closing it fails too.
    with suppress(OSError), open("/dev/full", "wb") as full:
        writer = ArchiveWriter(full)
        writer.add("messages", bson.encode({"text": RANDOM.randbytes(1 << 20)}))
        with pytest.raises(CommandError, match=r"cannot be written \(No space left on device\)"):
            writer.end("messages")


def test_a_target_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(CommandError, match=r"cannot be written \(Not a directory\)"),
        command.open_target(tmp_path / "file" / "backup"),
    ):
        pass


def test_every_collection_is_backed_up_or_left_out_on_purpose() -> None:
    names = {value for name, value in vars(documents).items() if name.isupper() and isinstance(value, str)}
    assert names - {ATTEMPTS, RESTORATIONS} == set(COLLECTIONS)
