"""A gateway of real parts, except for its servers and sockets."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from typing import Any

from fakes.memory_archive import (
    MemoryConnectReads,
    MemoryContracts,
    MemoryConversations,
    MemoryHistory,
    MemoryMembers,
    MemoryPeople,
)
from fakes.memory_bus import InMemoryPubSub, MemoryBus
from fakes.memory_queue import MemoryOutbox, Partition
from fakes.memory_revocations import MemoryRevocations
from fakes.memory_store import Tables
from model.fault_injector import FaultInjector, FaultyPort
from parley.gateway.background import Background
from parley.gateway.core import commands as c
from parley.gateway.core.errors import ChatError, Unavailable
from parley.gateway.core.results import PendingCommit
from parley.gateway.live.commit_barrier import RecordBarrier
from parley.gateway.live.commit_waiters import CommitWaiters
from parley.gateway.live.composition import LiveContext, build_delivery, build_live
from parley.gateway.live.sessions import Session, SessionState
from parley.gateway.protocols.clients_and_lawyers import CLIENTS_AND_LAWYERS
from parley.gateway.protocols.dispatch import resolve
from parley.gateway.protocols.groups import GROUPS
from parley.gateway.pubsub.redis_manager import RedisManager
from parley.gateway.services.command_bus import CommandBus
from parley.gateway.services.composition import Ports, build_services
from parley.gateway.services.revocations import RevocationService
from parley.gateway.state.admission import AdmissionController
from parley.gateway.state.load_monitor import LoadMonitor
from parley.gateway.state.membership_cache import MembershipCache
from parley.gateway.state.partition_windows import PartitionWindows
from parley.gateway.transport.packets import ClientPacket, EncodedEvents, EncodedPacket
from parley.shared.model import Person, Role

PROTOCOLS = (CLIENTS_AND_LAWYERS, GROUPS)

OnPayload = Callable[[Any], None]

CONNECTED, REFUSED = "connected", "refused"


class DirectRooms(RedisManager):
    """The real rooms, which hand each payload to the client instead of writing it to a socket."""

    def __init__(self, bus: Any) -> None:
        super().__init__(bus)
        self.receivers: dict[str, OnPayload] = {}

    def write(
        self, sockets: Mapping[str, str], encoded: EncodedEvents | EncodedPacket, skip: Collection[str] = ()
    ) -> None:
        for sid in [sid for sid in sockets if sid not in skip]:
            for each in encoded.packets():
                self.receivers[sid](ClientPacket(encoded_packet=each.data).data)


class NoPresence:
    """A `Presence` without users: presence is not part of the model."""

    async def add_socket(self, user_id: str, socket_id: str, contacts: Collection[str]) -> list[str]:
        return []

    async def remove_socket(self, user_id: str, socket_id: str) -> None: ...

    def forget_socket(self, user_id: str, socket_id: str) -> None: ...

    async def online(self, user_ids: Collection[str]) -> list[str]:
        return []


class NoSnapshots:
    """A `MembershipObserver` that keeps nothing: connection state recovery is not part of the model."""

    def room_changed(self, session: Session, room: str) -> None: ...

    def session_changed(self, session: Session) -> None: ...


class RecordingMembers(MemoryMembers):
    """Notes each removed user."""

    def __init__(self, tables: Tables, injector: FaultInjector, outsiders: set[tuple[str, str]]) -> None:
        super().__init__(tables, injector.step)
        self._outsiders = outsiders

    async def remove(self, conversation_id: str, user_id: str, *, unless: Role | None = None) -> bool:
        removed = await super().remove(conversation_id, user_id, unless=unless)
        if removed:
            self._outsiders.add((conversation_id, user_id))
        return removed


class Node:
    """One gateway, wired as the real one is."""

    def __init__(
        self,
        name: str,
        tables: Tables,
        partition: Partition,
        pubsub: InMemoryPubSub,
        outsiders: set[tuple[str, str]],
    ) -> None:
        self.name = name
        self.injector = FaultInjector(Unavailable)
        self.outbox = MemoryOutbox(partition)
        self.bus = MemoryBus(pubsub)
        self.manager = DirectRooms(self.bus)
        self.membership_cache = MembershipCache()
        self.background = Background()
        self.ports = self._ports(tables, RecordingMembers(tables, self.injector, outsiders))
        load_monitor = LoadMonitor(lambda: 0.0)
        revocations = RevocationService(MemoryRevocations(), self.bus, timedelta(days=1))
        commit_waiters = CommitWaiters(self.manager)
        barrier = RecordBarrier(self.outbox, commit_waiters, self.manager)
        self.services = build_services(self.ports, self.membership_cache, load_monitor, revocations, barrier)
        self.command_bus = CommandBus(self.services)
        bus: Any = self.bus
        context = LiveContext(
            bus=bus,
            manager=self.manager,
            admission=AdmissionController(self.outbox, lambda _id: 0, PartitionWindows(1, 60)),
            protocols=PROTOCOLS,
            ports=self.ports,
            services=self.services,
            commit_waiters=commit_waiters,
            membership_cache=self.membership_cache,
            load_monitor=load_monitor,
            spawn=self.background.spawn,
            presence_seconds=0,
            presence_members=200,
            audit_seconds=20.0,
        )
        self.delivery = build_delivery(context)
        self.live = build_live(context, self.delivery, NoSnapshots())
        self._locks: dict[str, asyncio.Lock] = {}
        self._people: dict[str, Person] = {}

    def _ports(self, tables: Tables, stored: RecordingMembers) -> Ports:
        members = FaultyPort(stored, self.injector)
        nothing: Any = None
        return Ports(
            outbox=self.outbox,
            event_publisher=self.bus,
            presence=NoPresence(),
            conversations=FaultyPort(MemoryConversations(tables), self.injector),
            memberships=members,
            membership_changes=members,
            contracts=MemoryContracts(tables),
            messages=FaultyPort(MemoryHistory(tables), self.injector),
            search=nothing,
            people=FaultyPort(MemoryPeople(tables), self.injector),
            connect_reads=FaultyPort(MemoryConnectReads(tables, self.injector.step), self.injector),
            attachments=nothing,
            orphaned_attachments=nothing,
            files=nothing,
            sniffer=nothing,
            upload_quotas=nothing,
            storage_space=nothing,
            client_buffers=nothing,
            max_upload=0,
            max_upload_of_day=0,
            min_free_share=0,
        )

    def connect(self, sid: str, user_id: str, namespace: str, on_payload: OnPayload) -> None:
        """Admit a socket; its client gets `CONNECTED` or `REFUSED`."""
        self.manager.receivers[sid] = on_payload
        self._locks[sid] = asyncio.Lock()
        self.manager.basic_enter_room(sid, namespace, None, eio_sid=sid)
        self.manager.basic_enter_room(sid, namespace, sid)
        self.background.spawn(self._connect(sid, user_id, namespace, on_payload))

    async def _connect(self, sid: str, user_id: str, namespace: str, on_payload: OnPayload) -> None:
        protocols = tuple(p for p in PROTOCOLS if p.namespace == namespace)
        person = self._people[sid] = Person(id=user_id, name=user_id)
        session = Session(sid, namespace, user_id)
        async with self._locks[sid]:
            try:
                await self.live.connection_manager.connect(session, person, protocols)
            except Unavailable:
                self.manager.basic_disconnect(sid, namespace)
                on_payload(REFUSED)
                return
            if sid in self._locks:
                on_payload(CONNECTED)
                self.delivery.sessions.transition(session, SessionState.REPLAYING)
                self.live.connection_manager.go_live(session)

    def disconnect(self, sid: str, namespace: str) -> None:
        """Remove a socket, after its earlier events were handled."""
        self.background.spawn(self._disconnect(sid, namespace, self._locks.pop(sid)))

    async def _disconnect(self, sid: str, namespace: str, lock: asyncio.Lock) -> None:
        async with lock:
            session = self.delivery.sessions.get(sid)
            if session is not None:
                self.live.connection_manager.disconnect(session)
            self.manager.basic_disconnect(sid, namespace)

    def handle(self, sid: str, event: str, payload: Any, answer: OnPayload) -> None:
        """Handle a client's event; `answer` gets the acknowledgement."""
        self.background.spawn(self._handle(sid, event, payload, answer))

    async def _handle(self, sid: str, event: str, payload: Any, answer: OnPayload) -> None:
        answer(await self._acknowledge(sid, event, payload))

    async def _acknowledge(self, sid: str, event: str, payload: Any) -> Any:
        """Return the acknowledgement of a client's event, after the earlier events of its socket."""
        lock, session = self._locks.get(sid), self.delivery.sessions.get(sid)
        if lock is None or session is None:
            return None
        resolved = resolve(self.delivery.session_rooms.protocols(session), event, [payload])
        try:
            async with lock:
                result = await self._do(session, resolved.inbound.command(resolved.payload))
            if isinstance(result, PendingCommit):
                await result.confirmed
                result = result.result
        except ChatError as error:
            return resolved.protocols[0].refusal(error)
        return resolved.inbound.ack(result)

    async def _do(self, session: Session, command: c.Command) -> Any:
        if isinstance(command, c.JoinRoom):
            return await self.live.connection_manager.join(session, command.conversation_id)
        return await self.command_bus.handle(self._people[session.sid], command)

    def deliver_from_bus(self, channel: str, body: bytes) -> None:
        """Receive a message of the bus."""
        for _ in self.live.router.receive(channel, body):
            pass

    async def audit(self) -> None:
        """Run the periodic audits."""
        await self.live.reconciler.check_heads(self.delivery.streams.ids(), grace=0)
        await self.live.reconciler.check_memberships(self.delivery.sessions.live_users())

    async def stop(self) -> None:
        """Stop the node without finishing its work."""
        self.bus.stop()
        self.outbox.stop()
        await self.background.stop()
        await self.delivery.streams.stop()
        await self.manager.stop()
