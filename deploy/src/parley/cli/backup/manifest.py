"""The manifest of a backup: a list of its parts, with the digests by which a restore checks them."""

from datetime import datetime
from importlib.metadata import version

import msgspec
from msgspec import Struct

from parley.shared.documents import (
    ATTACHMENT_USES,
    ATTACHMENTS,
    CHANGES,
    CONTRACTS,
    CONVERSATIONS,
    FILE_CHUNKS,
    FILES,
    LAYOUTS,
    MEMBERSHIPS,
    MESSAGES,
    MIGRATIONS,
    REVOCATIONS,
    SEARCH_BLOCKS,
    SEARCH_WORDS,
    UPLOAD_QUOTAS,
    USERS,
)

FORMAT = 1
"""Grows with each change that an older `parley restore` could not read."""
NAME = "manifest.json"
"""The name of the manifest in the archive: its last member, so that a torn archive has none."""
COLLECTIONS = (
    LAYOUTS,
    MIGRATIONS,
    REVOCATIONS,
    USERS,
    CONTRACTS,
    CONVERSATIONS,
    MEMBERSHIPS,
    CHANGES,
    MESSAGES,
    UPLOAD_QUOTAS,
    ATTACHMENT_USES,
    ATTACHMENTS,
    SEARCH_WORDS,
    SEARCH_BLOCKS,
    FILES,
    FILE_CHUNKS,
)
"""The collections of a backup. `attempts` is none of them: it counts deliveries of records that RabbitMQ has
now, and an old count would make a record look like one that kills workers."""


class Part(Struct, frozen=True):
    """Some documents of a collection: one member of the archive, in BSON, one document after the other."""

    name: str
    documents: int
    size: int
    sha256: str

    @property
    def collection(self) -> str:
        return self.name.rpartition("/")[0]


class Manifest(Struct, frozen=True, kw_only=True, rename="camel"):
    """The contents of a backup.

    Attributes:
        format: The format of the archive.
        parley: The version that made it.
        mongodb: The version of the server.
        database: The name of the database.
        taken_at: The time of the snapshot, as the primary's clock had it.
        cluster_time: The snapshot's time as MongoDB counts it: seconds and ordinal.
        attachments: Where the files of uploads lie: `gridfs`, which is in the archive, or `s3`, which is not.
        parts: The members before the manifest, in their order.
    """

    format: int = FORMAT
    parley: str
    mongodb: str
    database: str
    taken_at: datetime
    cluster_time: tuple[int, int]
    attachments: str
    parts: tuple[Part, ...]

    @property
    def documents(self) -> int:
        return sum(part.documents for part in self.parts)

    @property
    def size(self) -> int:
        """The bytes of all documents."""
        return sum(part.size for part in self.parts)

    @property
    def by_collection(self) -> dict[str, int]:
        """The number of documents in each collection that has some."""
        counts: dict[str, int] = {}
        for part in self.parts:
            counts[part.collection] = counts.get(part.collection, 0) + part.documents
        return counts


def encode(manifest: Manifest) -> bytes:
    """Return the manifest as JSON for people too."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2)


def decode(data: bytes) -> Manifest:
    """Read a manifest.

    Raises:
        ValueError: It is none, or one of a newer format.
    """
    return msgspec.json.decode(data, type=Manifest)


def format_of(data: bytes) -> int:
    """Return the format of a manifest, also of one that cannot be read otherwise; 0 if it names none."""
    try:
        return msgspec.json.decode(data, type=_Format).format
    except msgspec.MsgspecError:
        return 0


class _Format(Struct):
    format: int


def this_version() -> str:
    """Return the version of this command."""
    return version("parley-deploy")


def is_newer(one: str, other: str) -> bool:
    """Return whether the data of one version may be unknown to another: a later major or minor number."""
    return _release(one) > _release(other)


def _release(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(".")[:2] if number.isdecimal())
