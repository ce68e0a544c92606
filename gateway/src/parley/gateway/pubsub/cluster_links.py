"""The links to the masters of a Redis Cluster, each of which carries the channels of its hash slots."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import structlog
from redis.exceptions import MovedError

from parley.gateway.background import Background
from parley.gateway.pubsub.link import Groups, Link, LinkHooks
from parley.gateway.pubsub.links import Publish
from parley.gateway.pubsub.reply_reader import SHARDED
from parley.gateway.pubsub.wanted_channels import WantedChannels
from parley.shared.cancellation import end
from parley.shared.cluster import SLOTS, slot_of
from parley.shared.cluster_commands import ClusterCommands
from parley.shared.host_lists import Address
from parley.shared.metrics import bus_failures
from parley.shared.redis import FAULTS, open_cluster

log = structlog.get_logger()

FOLLOW_SECONDS, FOLLOW_LOST_SECONDS = 1.0, 0.25
"""How often the masters are asked which slots they serve; the shorter time while one is away."""

Act = Callable[[Link, Groups], Awaitable[None]]


@dataclass(eq=False)
class _Master:
    """A master, the link to it, and the slots whose channels it carries."""

    link: Link
    slots: set[int] = field(default_factory=set)
    work: "asyncio.Task[None] | None" = None


class ClusterLinks:
    """`Links`: one to each master.

    A slot moves to another link when a master answers MOVED, takes a subscription away, or is replaced by its
    replica. The events that are published until its channels are confirmed there may be lost, so `on_back` is
    called then, as after the loss of a connection.
    """

    subscriber_commands = SHARDED

    def __init__(self, url: str) -> None:
        self._cluster = open_cluster(url)
        self.commands = ClusterCommands(self._cluster)
        self.wanted = WantedChannels(slot_of)
        self._masters: dict[Address, _Master] = {}
        self._master_of: list[_Master | None] = [None] * SLOTS
        self._version = 0
        self._hooks: LinkHooks | None = None
        self._background = Background()

    @property
    def stale(self) -> bool:
        masters = self._masters.values()
        return not masters or any(master.link.heartbeats.stale for master in masters)

    @property
    def delay(self) -> float:
        return max((master.link.heartbeats.delay for master in self._masters.values()), default=0.0)

    def start(self, hooks: LinkHooks) -> None:
        self._hooks = replace(hooks, on_moved=self._on_moved)
        self._background.spawn(self._follow())

    async def stop(self) -> None:
        await self._background.stop()
        await end([master.work for master in self._masters.values() if master.work is not None])
        await self.commands.close()

    async def subscribe(self, channels: Iterable[str]) -> None:
        await self._for_each(channels, Link.subscribe)

    async def unsubscribe(self, channels: Iterable[str]) -> None:
        await self._for_each(channels, Link.unsubscribe)

    async def send_heartbeat(self, publish: Publish) -> None:
        for master in self._masters.values():
            try:
                master.link.ping()
            except FAULTS:
                bus_failures.labels("heartbeat").inc()

    def heartbeat_received(self, count: int) -> None:
        """Do nothing: no heartbeat is published."""

    def end_stale_sessions(self) -> None:
        for master in self._masters.values():
            master.link.end_stale_session()

    async def _for_each(self, channels: Iterable[str], act: Act) -> None:
        """Act on the link of each channel: one that is lost must not keep the others from it."""
        by_master: dict[_Master, list[Sequence[str]]] = {}
        for slot, group in self.wanted.grouped(channels):
            master = self._master_of[slot]
            if master is not None:
                by_master.setdefault(master, []).append(group)
        fault = None
        for master, groups in by_master.items():
            try:
                await act(master.link, groups)
            except FAULTS as error:
                fault = error
        if fault is not None:
            raise fault

    # The slots of each master.

    async def _follow(self) -> None:
        while True:
            try:
                await self._cluster.refresh()
            except FAULTS as error:
                bus_failures.labels("cluster").inc()
                log.warning("gateway.bus.cluster_lost", error=str(error))
            self._place_all()
            connected = all(master.link.is_connected for master in self._masters.values())
            await asyncio.sleep(FOLLOW_SECONDS if connected else FOLLOW_LOST_SECONDS)

    def _on_moved(self, error: MovedError) -> None:
        self._place([error.slot_id], self._cluster.moved(error))

    def _place_all(self) -> None:
        if self._version == self._cluster.version:
            return
        self._version = self._cluster.version
        by_address: dict[Address, list[int]] = {}
        for slot, address in enumerate(self._cluster.owners()):
            old = self._master_of[slot]
            # The channels of a slot without a master wait for one where they are.
            if address is not None and (old is None or old is not self._masters.get(address)):
                by_address.setdefault(address, []).append(slot)
        for address, slots in by_address.items():
            self._place(slots, address)

    def _place(self, slots: Iterable[int], address: Address) -> None:
        """Let a master carry slots."""
        new = self._masters.get(address) or self._add(address)
        moved = 0
        taken: dict[_Master, list[Sequence[str]]] = {}
        for slot in slots:
            old = self._master_of[slot]
            if old is new:
                continue
            self._master_of[slot] = new
            new.slots.add(slot)
            if old is not None:
                moved += 1
                old.slots.discard(slot)
                taken.setdefault(old, []).extend(self.wanted.groups([slot]))
        for old, groups in taken.items():
            self._leave(old, groups)
        self._remove_unused()
        if moved:
            log.info("gateway.bus.slots_moved", server=_name(address), slots=moved)
        again = [group for groups in taken.values() for group in groups]
        if again:
            new.link.subscribe_again(again)

    def _leave(self, old: _Master, groups: Sequence[Sequence[str]]) -> None:
        """Unsubscribe from channels at a master that has lost their slots."""
        assert self._hooks is not None
        for group in groups:
            self._hooks.on_unconfirmed(group)
        old.link.forget_unwanted()
        # A master that is a replica now still delivers. The link to one without slots ends.
        if groups and old.slots:
            self._background.spawn(_unsubscribe(old.link, groups))

    def _add(self, address: Address) -> _Master:
        assert self._hooks is not None
        link = Link(
            self._cluster.client(address),
            _name(address),
            SHARDED,
            self._hooks,
            channels=lambda: self.wanted.groups(sorted(master.slots)),
            is_wanted=lambda channel: self._carries(master, channel),
            prepare=_connect,
        )
        master = self._masters[address] = _Master(link)
        master.work = asyncio.create_task(link.run())
        return master

    def _carries(self, master: _Master, channel: str) -> bool:
        return self._master_of[slot_of(channel)] is master and channel in self.wanted

    def _remove_unused(self) -> None:
        for address, master in list(self._masters.items()):
            if not master.slots and master.work is not None:
                del self._masters[address]
                self._background.spawn(end([master.work]))


def _name(address: Address) -> str:
    return f"{address[0]}:{address[1]}"


async def _unsubscribe(link: Link, groups: Groups) -> None:
    try:
        await link.unsubscribe(groups)
    except FAULTS:
        bus_failures.labels("unsubscribe").inc()


async def _connect(pubsub: Any) -> None:
    await pubsub.connect()
