"""The event dispatcher: from a client's event to a command, and from its result to the acknowledgement."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from datetime import UTC, datetime
from functools import partial
from time import perf_counter
from typing import Any

import structlog

from parley.gateway import gauges
from parley.gateway.auth import Authenticator
from parley.gateway.core import commands as c
from parley.gateway.core.errors import ChatError, Forbidden, Invalid, RateLimited, Unavailable
from parley.gateway.core.eventual import Eventual, is_awaitable, settle
from parley.gateway.core.results import Introduction, Joined, Left, PendingCommit, Renewed
from parley.gateway.live.broadcaster import Broadcaster
from parley.gateway.live.connection_manager import ConnectionManager
from parley.gateway.live.presence_tracker import PresenceTracker
from parley.gateway.live.room_membership import RoomMembership
from parley.gateway.live.session_rooms import SessionRooms
from parley.gateway.live.sessions import Session
from parley.gateway.protocols.dispatch import Resolved, Unresolved, resolve, shown
from parley.gateway.protocols.protocol import ClientProtocol, InboundEvent
from parley.gateway.recovery.connection_recovery import ConnectionRecovery
from parley.gateway.services.audience import AudienceCosts
from parley.gateway.services.command_bus import CommandBus
from parley.gateway.services.command_table import (
    COMMANDS,
    answer_bytes,
    check_session_handlers,
    count_command,
    owe_by_result,
)
from parley.gateway.services.profiles import Profiles
from parley.gateway.sockets.early_refusals import EarlyRefusals
from parley.gateway.sockets.identities import Identities
from parley.gateway.sockets.socket_answers import SocketAnswers
from parley.gateway.state.bulkhead import Bulkhead
from parley.gateway.state.rates import WRONG_COST, Rates
from parley.gateway.transport.answers import DeferredAck, Refusal
from parley.gateway.transport.packets import MalformedPacket
from parley.shared.model import Person, now

log = structlog.get_logger()

READ_SECONDS = 2.0
READS_AT_ONCE, READS_WAIT_SECONDS = 24, 10.0
END_OF_TIME = datetime.max.replace(tzinfo=UTC).timestamp() - 1


def reads_bulkhead() -> Bulkhead:
    """Return the bulkhead of a node's reads whose clients wait for them."""
    return Bulkhead(READS_AT_ONCE, READS_WAIT_SECONDS, _too_slow)


class EventDispatcher:
    """Dispatches the events of sessions that are live."""

    def __init__(
        self,
        *,
        authenticator: Authenticator,
        identities: Identities,
        profiles: Profiles,
        command_bus: CommandBus,
        connection_manager: ConnectionManager,
        session_rooms: SessionRooms,
        room_membership: RoomMembership,
        presence_tracker: PresenceTracker,
        broadcaster: Broadcaster,
        recovery: ConnectionRecovery,
        rates: Rates,
        audience_costs: AudienceCosts,
        answers: SocketAnswers,
        early_refusals: EarlyRefusals,
        reads: Bulkhead,
    ) -> None:
        self._authenticator = authenticator
        self._identities = identities
        self._profiles = profiles
        self._command_bus = command_bus
        self._connection_manager = connection_manager
        self._session_rooms = session_rooms
        self._room_membership = room_membership
        self._presence_tracker = presence_tracker
        self._broadcaster = broadcaster
        self._recovery = recovery
        self._rates = rates
        self._audience_costs = audience_costs
        self._answers = answers
        self._early_refusals = early_refusals
        self._reads = reads
        self._session_handlers: dict[type[c.Command], Callable[[Session, Any], Eventual[Any]]] = {
            c.JoinRoom: self._join,
            c.LeaveRoom: self._leave,
            c.Introduce: self._introduce,
            c.Ping: self._ping,
            c.Reauthenticate: self._renew,
        }
        check_session_handlers(self._session_handlers)

    def dispatch(self, session: Session, event: Any, args: list[Any], size: int = 0) -> Eventual[Any]:
        """Return an event's acknowledgement, a `DeferredAck` or a `Refusal`: at once, if nothing is awaited.

        Raises:
            RateLimited: The user's rate for this command is exceeded.
        """
        protocols = self._session_rooms.protocols(session)
        if isinstance(event, MalformedPacket):
            self._rates.owe("requests", session.user_id, WRONG_COST)
            return refusal(protocols[0], Invalid(str(event)))
        early = self._early_refusals.of(protocols, event, args)
        if early is not None:
            return early
        try:
            resolved = resolve(protocols, event, args)
        except Unresolved as unresolved:
            if isinstance(unresolved.error, Invalid):
                self._rates.owe("requests", session.user_id, WRONG_COST)
            return refusal(unresolved.protocol, unresolved.error)
        if resolved.protocols != protocols:
            self._room_membership.narrow(session, resolved.protocols)
        try:
            command = resolved.inbound.command(resolved.payload)
            gauges.received_bytes.of[type(command).__name__] += size
            began = perf_counter()
            result = self._execute(session, command)
            if is_awaitable(result):
                return self._answer_later(session, event, resolved, command, result, began)
            return self._answer(session, resolved, command, result, began)
        except RateLimited:
            raise
        except Exception as error:
            return _failure(session, event, resolved, error)

    def introduction(self, session: Session) -> Introduction:
        """Return what a client is told of itself: its user, its socket, and who is online."""
        online = self._presence_tracker.online(session)
        return Introduction(self._identities.person(session), session.sid, online)

    async def _answer_later(
        self,
        session: Session,
        event: Any,
        resolved: Resolved,
        command: c.Command,
        result: Coroutine[Any, Any, Any],
        began: float,
    ) -> Any:
        try:
            return self._answer(session, resolved, command, await result, began)
        except RateLimited:
            raise
        except Exception as error:
            return _failure(session, event, resolved, error)

    def _answer(
        self, session: Session, resolved: Resolved, command: c.Command, result: Any, began: float
    ) -> Any:
        inbound = resolved.inbound
        self._audience_costs.charge(session.user_id, command, result)
        if isinstance(result, PendingCommit):
            refuse = partial(refusal, resolved.protocols[0])
            return DeferredAck(
                result.confirmed, partial(_ack, inbound, command, result.result, began), refuse
            )
        owe_by_result(self._rates, session.user_id, command, result)
        if inbound.reply is not None:
            self._broadcaster.emit_to(session, inbound.reply, result)
        return _ack(inbound, command, result, began)

    def _execute(self, session: Session, command: c.Command) -> Eventual[Any]:
        gauges.events_received.of[type(command).__name__] += 1
        person = self._identities.person(session)
        count_command(self._rates, person.id, command)
        handle = self._session_handlers.get(type(command))
        if handle is not None:
            return handle(session, command)
        size = answer_bytes(command)
        if size:
            return self._read(session, person, command, size)
        return self._begin(person, command)

    def _begin(self, person: Person, command: c.Command) -> Eventual[Any]:
        result = self._command_bus.begin(person, command)
        if COMMANDS[type(command)].is_bounded and is_awaitable(result):
            return self._bounded(result)
        return result

    async def _read(self, session: Session, person: Person, command: c.Command, size: int) -> Any:
        """Do a command with a long answer as soon as its client has taken what was written before."""
        await self._answers.wait_until_read(session)
        is_bounded = COMMANDS[type(command)].is_bounded
        # A slot is taken before the bytes: a read that waits for one holds nothing that others need.
        async with self._reads.slot(session.user_id) if is_bounded else nullcontext():
            await self._answers.take(session, size)
            try:
                return await settle(self._begin(person, command))
            finally:
                self._answers.give_back_when_read(session, size)

    async def _join(self, session: Session, command: c.JoinRoom) -> Joined:
        joined = await self._connection_manager.join(session, command.conversation_id)
        await self._recovery.written(session)
        return joined

    def _leave(self, session: Session, command: c.LeaveRoom) -> Left:
        return self._connection_manager.leave(session, command.conversation_id)

    def _introduce(self, session: Session, _command: c.Introduce) -> Introduction:
        return self.introduction(session)

    def _ping(self, _session: Session, _command: c.Ping) -> datetime:
        return now()

    async def _renew(self, session: Session, command: c.Reauthenticate) -> Renewed:
        identity = await self._authenticator.identify(command.token)
        if identity.person.id != session.user_id:
            raise Forbidden("The token is another user's.")
        self._identities.renew(session, identity)
        await self._profiles.present(identity.person, identity.issued_at)
        return Renewed(datetime.fromtimestamp(min(identity.expires_at, END_OF_TIME), UTC))

    async def _bounded(self, answer: Coroutine[Any, Any, Any]) -> Any:
        """Await a read for a bounded time: the client's next events wait behind it."""
        try:
            async with asyncio.timeout(READ_SECONDS):
                return await answer
        except TimeoutError as error:
            # Those that wait for a slot would find out one after the other, each after its own time.
            self._reads.turn_away()
            raise _too_slow() from error


def _too_slow() -> ChatError:
    return Unavailable("The archive is too slow at the moment; try again.")


def _ack(inbound: InboundEvent, command: c.Command, result: Any, began: float) -> Any:
    """Return a command's acknowledgement, and count the time since its event."""
    gauges.command_seconds.of[type(command).__name__].add(perf_counter() - began)
    return inbound.ack(result)


def _failure(session: Session, event: Any, resolved: Resolved, error: Exception) -> Refusal:
    """Return the refusal for what was raised while an event was handled."""
    if not isinstance(error, ChatError):
        named = _message_id(session, resolved)
        log.error("gateway.event.failed", name=shown(event), message_id=named, exc_info=error)
        error = ChatError("Something went wrong.")
    return refusal(resolved.protocols[0], error)


def _message_id(session: Session, resolved: Resolved) -> str | None:
    try:
        # Made again, since the failure may have been its making.
        return c.message_named_by(resolved.inbound.command(resolved.payload), session.user_id)
    except Exception:
        return None


def refusal(protocol: ClientProtocol, error: ChatError) -> Refusal:
    """Return a refusal with a protocol's acknowledgement; counts the error."""
    return Refusal(protocol.refusal(gauges.count(error)), error)
