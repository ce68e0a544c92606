"""The layout of the partitions: their number and epoch, stored in MongoDB, and how far a change of them is.

persistence-worker/README.md explains the steps of a change, and why each can be repeated.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import structlog
from pymongo.errors import PyMongoError

from parley.shared import mongo
from parley.shared.documents import LAYOUTS, Document
from parley.shared.partitions import Partitions, PartitionsDiffer, check_count
from parley.shared.settings import SharedSettings, StartupError

log = structlog.get_logger()

OPEN, PREPARING, CLOSING = "open", "preparing", "closing"
"""Records are accepted; they are, and workers consume the next partitions too; none are accepted."""
DRAINING, DELETING = "draining", "deleting"
"""States of earlier partitions: workers still consume them; they do not, and the queues are deleted."""
ID = "partitions"
READ_SECONDS = 1.0
"""Time between two looks for a change of the layout."""
MOVING_SECONDS = 0.05
"""The same while the number of partitions is being changed."""


class LayoutsUnavailable(Exception):
    """MongoDB does not answer."""


class LayoutDiffers(StartupError):
    """The broker's queues are for other partitions than the stored ones; no setting can be for both."""

    def __init__(self, stored: Partitions, found: Partitions) -> None:
        super().__init__(
            f"The stored number of partitions is {stored.count} (epoch {stored.epoch}), but the queues in "
            f"RabbitMQ are for {found.count} (epoch {found.epoch}): MongoDB and RabbitMQ are of two "
            "systems. Correct MONGO_URL or RABBITMQ_URL; after the restore of a backup see BACKUP.md."
        )


@dataclass(frozen=True, slots=True)
class Retired:
    """Partitions of an earlier epoch, whose queues exist."""

    partitions: Partitions
    is_consumed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The layout as it is stored.

    Attributes:
        version: The number of changes of this document by workers.
        current: The partitions to which gateways publish, unless the phase is `CLOSING`.
        phase: `OPEN`, `PREPARING` or `CLOSING`.
        next: The partitions of the next epoch, from `PREPARING` on.
        wanted: The number that was asked for, if it is not reached.
        counts: The numbers of all epochs.
        forced: Whether gateways that do not take part in the change may be cut off.
        gateways: The gateways that are waited for in `CLOSING`.
        answered: The gateways that have noticed the phase, and acted upon it.
        retired: The partitions of earlier epochs.
        note: Why a change does not go on; empty if it does.
        held_seconds: How long no records were accepted in the last change.
    """

    version: int = 0
    current: Partitions
    phase: str = OPEN
    next: Partitions | None = None
    wanted: int | None = None
    counts: frozenset[int] = frozenset()
    forced: bool = False
    gateways: frozenset[str] = frozenset()
    answered: frozenset[str] = frozenset()
    retired: tuple[Retired, ...] = ()
    note: str = ""
    held_seconds: float | None = None

    @property
    def is_changing(self) -> bool:
        """Whether the number of partitions is being changed, up to the deletion of the former queues."""
        return bool(self.next or self.wanted or self.retired)

    @property
    def consumed(self) -> list[Partitions]:
        """The partitions that workers consume."""
        earlier = [each.partitions for each in self.retired if each.is_consumed]
        return [*earlier, self.current, *([self.next] if self.next else [])]

    def is_refused_by(self, found: Partitions) -> bool:
        """Return whether the queues in RabbitMQ are for others than these partitions.

        Args:
            found: Those of RabbitMQ. Of a later epoch they are right: the database was restored, or lost.
        """
        return found not in (self.current, self.next) and found.epoch <= self.current.epoch

    def check(self, count: int | None) -> None:
        """Check the setting PARTITIONS of a service. It may be a number of before, until somebody changes it.

        Args:
            count: The setting; None is any number.

        Raises:
            StartupError: The partitions never had this number.
        """
        if count and count not in {*self.counts, self.current.count, self.next.count if self.next else None}:
            raise StartupError(
                f"PARTITIONS is {count}, but the stored number of partitions is {self.current.count}: set "
                f"PARTITIONS to it; to change it, run make partitions N={count} while the services run."
            )


class Layouts:
    """The document with the layout.

    Each method raises `LayoutsUnavailable` if MongoDB does not answer; a change may have had its effect then.
    """

    def __init__(self, database: Any) -> None:
        self._collection = database[LAYOUTS]

    async def read(self) -> Layout | None:
        """Return the layout; None if no worker has stored one yet."""
        with _translated():
            document = await self._collection.find_one({"_id": ID})
        return _layout(document) if document else None

    async def check(self, settings: SharedSettings, stopped: asyncio.Event, *, name: str) -> Layout:
        """Check the setting PARTITIONS before a service starts; wait for MongoDB until `stopped`.

        Without the setting and a stored layout it waits for RabbitMQ too.

        Args:
            settings: The service's settings.
            stopped: Ends the wait.
            name: The service's name, for a connection to the broker.

        Returns:
            The layout; while none is stored, that of the settings, which may leave it to the broker.

        Raises:
            StartupError: The partitions, or the queues in the broker, have another number.
        """
        layout = Layout(current=Partitions.first(settings.partitions))
        while not stopped.is_set():
            try:
                layout = await self.read() or layout
                is_known = bool(settings.partitions or layout.version)
                others = [layout.next] if layout.next else []
                is_checked = await check_count(settings.rabbitmq_url, layout.current, *others, name=name)
                layout.check(settings.partitions)
                if is_checked or is_known:
                    break
                # The broker may keep a number, and nothing else tells it: with another one this service
                # would never be able to use the broker.
                await asyncio.sleep(READ_SECONDS)
            except PartitionsDiffer as error:
                if error.found is None:
                    raise
                if not is_known and error.found.epoch == layout.current.epoch:
                    # Another service has started before, but no worker has stored the layout yet.
                    layout = Layout(current=error.found)
                    continue
                if layout.is_refused_by(error.found):
                    if not layout.version:
                        raise
                    raise LayoutDiffers(layout.current, error.found) from None
                # The database was restored, or lost. Only a change that was done begins an epoch.
                log.warning("shared.layouts.adopted", count=error.found.count, epoch=error.found.epoch)
                await self._adopt(layout, error.found, settings.partitions)
            except LayoutsUnavailable as error:
                log.warning("shared.layouts.database_away", error=str(error))
                await asyncio.sleep(READ_SECONDS)
        return layout

    async def create(self, count: int) -> None:
        """Store the first layout, unless there is one."""
        await self._create(Partitions(count), [count])

    async def _create(self, partitions: Partitions, counts: list[int]) -> None:
        first = {"version": 1, **_fields(partitions), "phase": OPEN, "counts": counts}
        with _translated():
            await self._collection.update_one({"_id": ID}, {"$setOnInsert": first}, upsert=True)

    async def ask_for(self, count: int, *, forced: bool = False) -> bool:
        """Ask the workers to change the number of partitions; return False if there is no layout yet."""
        with _translated():
            done = await self._collection.update_one(
                {"_id": ID}, {"$set": {"wanted": count, "forced": forced}}
            )
        return bool(done.matched_count)

    async def answer(self, layout: Layout, gateway: str) -> None:
        """Note that a gateway has noticed the present phase, and acted upon it."""
        if gateway in layout.answered:
            return
        same = {"_id": ID, "epoch": layout.current.epoch, "phase": layout.phase}
        with _translated():
            await self._collection.update_one(same, {"$addToSet": {"answered": gateway}})

    async def note(self, layout: Layout, note: str) -> None:
        """Store why a change does not go on."""
        if note != layout.note:
            with _translated():
                await self._collection.update_one(_unchanged(layout), {"$set": {"note": note}})

    async def begin(self, layout: Layout) -> None:
        """Begin the change to the wanted number, or forget a number that is reached."""
        if layout.wanted is None or layout.wanted == layout.current.count:
            await self._change(layout, {"wanted": None})
            return
        successor = Partitions(layout.wanted, layout.current.epoch + 1)
        await self._change(
            layout, {"phase": PREPARING, "next": _fields(successor), "answered": [], "note": ""}
        )

    async def close(self, layout: Layout) -> None:
        """Let gateways publish to no partitions."""
        fields = {"phase": CLOSING, "gateways": sorted(layout.answered), "answered": [], "note": ""}
        await self._change(layout, fields, {"closedAt": "$$NOW"})

    async def open_next(self, layout: Layout) -> None:
        """Let gateways publish to the next partitions."""
        assert layout.next is not None
        retired = [*map(_retired_fields, layout.retired), _retired_fields(Retired(layout.current, True))]
        await self._change(
            layout,
            {
                **_fields(layout.next),
                "phase": OPEN,
                "next": None,
                "wanted": None if layout.wanted == layout.next.count else layout.wanted,
                "counts": sorted(layout.counts | {layout.next.count}),
                "gateways": [],
                "answered": [],
                "retired": retired,
            },
            {"heldMs": {"$subtract": ["$$NOW", "$closedAt"]}},
        )

    async def retire(self, layout: Layout, retired: Iterable[Retired]) -> None:
        """Replace the list of earlier partitions."""
        await self._change(layout, {"retired": [*map(_retired_fields, retired)]})

    async def _adopt(self, layout: Layout, found: Partitions, setting: int | None) -> None:
        """Take the partitions of the broker; records in the queues of the stored ones are still consumed."""
        if not layout.version:
            await self._create(found, sorted({found.count, setting or found.count}))
            return
        counts = sorted(layout.counts | {layout.current.count, found.count})
        earlier = [*map(_retired_fields, layout.retired), _retired_fields(Retired(layout.current, True))]
        fields = {**_fields(found), "phase": OPEN, "next": None, "wanted": None, "retired": earlier}
        await self._change(layout, {**fields, "counts": counts})

    async def _change(self, layout: Layout, fields: Document, expressions: Document | None = None) -> None:
        """Change the document, unless another worker has changed it."""
        literal = {name: {"$literal": value} for name, value in fields.items()}
        update = {**literal, **(expressions or {}), "version": layout.version + 1}
        with _translated():
            await self._collection.update_one(_unchanged(layout), [{"$set": update}])


def _unchanged(layout: Layout) -> Document:
    return {"_id": ID, "version": layout.version}


def _fields(partitions: Partitions) -> Document:
    return {"count": partitions.count, "epoch": partitions.epoch}


def _retired_fields(retired: Retired) -> Document:
    return {**_fields(retired.partitions), "state": DRAINING if retired.is_consumed else DELETING}


def _partitions(document: Document) -> Partitions:
    return Partitions(document["count"], document["epoch"])


def _layout(document: Document) -> Layout:
    return Layout(
        version=document["version"],
        current=_partitions(document),
        phase=document["phase"],
        next=_partitions(document["next"]) if document.get("next") else None,
        wanted=document.get("wanted"),
        counts=frozenset(document.get("counts", ())),
        forced=document.get("forced", False),
        gateways=frozenset(document.get("gateways", ())),
        answered=frozenset(document.get("answered", ())),
        retired=tuple(
            Retired(_partitions(each), each["state"] == DRAINING) for each in document.get("retired", ())
        ),
        note=document.get("note", ""),
        held_seconds=document["heldMs"] / 1000 if document.get("heldMs") is not None else None,
    )


def _translated() -> Any:
    return mongo.translate_errors(_unavailable)


def _unavailable(error: PyMongoError) -> LayoutsUnavailable:
    return LayoutsUnavailable(str(error)[:200])
