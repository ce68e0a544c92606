"""The archive of a backup: a gzipped tar file that is written and read once, from front to back.

Its members are parts of collections, as BSON that `bsondump` reads too, and the manifest, which comes last:
a file that ends early has none. Nothing is ever extracted to a file system.
"""

import gzip
import hashlib
import io
import tarfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from parley.cli.backup import manifest
from parley.cli.backup.manifest import FORMAT, NAME, Manifest, Part
from parley.cli.errors import CommandError

PART_BYTES = 4 << 20
"""A part is ended past this size; so many bytes are held in memory at once."""
COMPRESSION = 1
"""The fastest level of gzip: MongoDB keeps the snapshot for some minutes only."""
LENGTH_BYTES = 4
OTHER_BACKUP = "use another backup"

Advance = Callable[[int], None]


class ArchiveWriter:
    """Writes an archive to a file that need not be seekable."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        with _writable():
            self._gzip = gzip.GzipFile(fileobj=file, mode="wb", compresslevel=COMPRESSION, filename="")
            # Closed by `close`, and not at all where a backup fails; a stream (`w|`) would end itself then.
            self._tar = tarfile.open(fileobj=self._gzip, mode="w")  # noqa: SIM115
        self._waiting: dict[str, bytearray] = {}
        self._documents: dict[str, int] = {}
        self.parts: list[Part] = []

    def add(self, collection: str, documents: bytes) -> int:
        """Add documents in BSON, one after the other; return their number."""
        waiting = self._waiting.setdefault(collection, bytearray())
        waiting += documents
        added = count(documents)
        self._documents[collection] = self._documents.get(collection, 0) + added
        if len(waiting) >= PART_BYTES:
            self.end(collection)
        return added

    def end(self, collection: str) -> None:
        """Write what is held in memory of a collection."""
        data = bytes(self._waiting.pop(collection, b""))
        if data:
            number = 1 + sum(part.collection == collection for part in self.parts)
            name = f"{collection}/{number:06}.bson"
            self.parts.append(Part(name, self._documents.pop(collection), len(data), _digest(data)))
            self._write(name, data)

    def close(self, contents: Manifest) -> None:
        """Write the manifest and the end of the archive; the file is left open."""
        self._write(NAME, manifest.encode(contents))
        with _writable():
            self._tar.close()
            self._gzip.close()
            self._file.flush()

    def _write(self, name: str, data: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mode, member.mtime = len(data), 0o600, int(time.time())
        with _writable():
            self._tar.addfile(member, io.BytesIO(data))


def check(path: Path, advance: Advance = lambda _bytes: None) -> Manifest:
    """Read a whole archive, compare each part with its digest, and return the manifest.

    Args:
        path: The file.
        advance: Is told how many bytes of the file have been read.

    Raises:
        CommandError: The file is no backup, is torn or damaged, or was made by a newer version.
    """
    found: list[Part] = []
    contents = None
    for name, data in _members(path, advance):
        if name == NAME:
            contents = _manifest(path, data)
        else:
            found.append(_part(path, name, data))
    if contents is None:
        raise CommandError(f"{path} is torn, since it has no manifest: {OTHER_BACKUP}.")
    for part, right in zip(found, contents.parts, strict=False):
        if part != right:
            raise CommandError(
                f"{path} is damaged, since {part.name} is not what its manifest says: {OTHER_BACKUP}."
            )
    if len(found) != len(contents.parts):
        raise CommandError(f"{path} is damaged, since parts of it are missing: {OTHER_BACKUP}.")
    return contents


def read(path: Path, contents: Manifest) -> Iterator[tuple[Part, bytes]]:
    """Yield the parts of an archive that was checked.

    Raises:
        CommandError: The file was changed meanwhile.
    """
    parts = iter(contents.parts)
    for name, data in _members(path, lambda _bytes: None):
        if name == NAME:
            return
        part = next(parts, None)
        if part is None or _part(path, name, data) != part:
            raise CommandError(f"{path} was changed while it was read: restore it again.")
        yield part, data


def split(documents: bytes) -> Iterator[bytes]:
    """Yield the documents that stand in BSON one after the other.

    Raises:
        ValueError: They are cut off, or no documents.
    """
    at = 0
    while at < len(documents):
        length = int.from_bytes(documents[at : at + LENGTH_BYTES], "little")
        # The least document has its length and an end of one byte.
        if length <= LENGTH_BYTES or at + length > len(documents):
            raise ValueError("cut off")
        yield documents[at : at + length]
        at += length


def count(documents: bytes) -> int:
    """Return the number of documents that stand in BSON one after the other; raises as `split` does."""
    return sum(1 for _ in split(documents))


def _part(path: Path, name: str, data: bytes) -> Part:
    try:
        return Part(name, count(data), len(data), _digest(data))
    except ValueError:
        raise CommandError(
            f"{path} is damaged, since the documents of {name} are cut off: {OTHER_BACKUP}."
        ) from None


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _manifest(path: Path, data: bytes) -> Manifest:
    if manifest.format_of(data) > FORMAT:
        raise CommandError(f"{path} was made by a newer version of Parley: restore it with that version.")
    try:
        contents = manifest.decode(data)
    except ValueError as error:
        raise CommandError(f"{path} is damaged, since its manifest cannot be read ({error}).") from None
    ours = manifest.this_version()
    if manifest.is_newer(contents.parley, ours):
        raise CommandError(
            f"{path} was made by Parley {contents.parley}, and this is {ours}: restore it with that version."
        )
    return contents


def _members(path: Path, advance: Advance) -> Iterator[tuple[str, bytes]]:
    with _readable(path), path.open("rb") as file:
        before = 0
        with gzip.open(file) as unzipped, tarfile.open(fileobj=unzipped, mode="r|") as tar:
            for member in tar:
                extracted = tar.extractfile(member)
                data = extracted.read() if extracted is not None else b""
                before, read = file.tell(), file.tell() - before
                advance(read)
                yield member.name, data
            # The digest of gzip stands at its very end, behind the end of the tar file.
            while unzipped.read(PART_BYTES):
                pass


@contextmanager
def _writable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # A broken pipe too: elsewhere it ends a command with 0, but a backup that nobody reads has failed.
        raise CommandError(f"The backup cannot be written ({error.strerror or error}).") from error


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (EOFError, zlib.error, tarfile.TarError, gzip.BadGzipFile) as error:
        raise CommandError(f"{path} is torn, or no backup of Parley ({error}): {OTHER_BACKUP}.") from None
    except OSError as error:
        raise CommandError(f"{path} cannot be read ({error.strerror or error}).") from None
