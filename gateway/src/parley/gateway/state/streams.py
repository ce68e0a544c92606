"""The live stream of each conversation: in the order of its revisions, each once, healed by reading."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import structlog

from parley.gateway.core.errors import Unavailable
from parley.gateway.core.ports import Messages, People
from parley.gateway.state.replay import Span, changed_event, has_changed, in_order
from parley.shared.events import MessageStored, Numbered
from parley.shared.model import Conversation, Message, Person

log = structlog.get_logger()

T = TypeVar("T")

PAGE = 200
WAITING_LIMIT = 1_000
RETRY_SECONDS = 0.5


@dataclass(slots=True)
class Stream:
    """How far one conversation has been passed on; `rev` is None until its beginning is known."""

    rev: int | None = None
    seq: int = 0
    waiting: list[Numbered] = field(default_factory=list)
    healing: "asyncio.Task[None] | None" = None


class Streams:
    """The streams of the conversations that have members on this node."""

    def __init__(self, messages: Messages, people: People, pass_on: Callable[[Numbered], None]) -> None:
        self._messages = messages
        self._people = people
        self._tell = pass_on
        self._streams: dict[str, Stream] = {}
        self._overheard: dict[str, list[list[Numbered]]] = {}
        self.healed = 0
        """Messages that were read because the bus had lost them."""

    def open(self, conversation_id: str) -> bool:
        """Start to listen; whether the stream is new and wants its beginning told by `start`."""
        stream = self._streams.setdefault(conversation_id, Stream())
        return stream.rev is None

    def start(self, conversation: Conversation) -> None:
        """Pass on what comes after this head, read after the subscription was confirmed."""
        stream = self._streams.get(conversation.id)
        if stream is not None and stream.rev is None:
            stream.rev, stream.seq = conversation.rev, conversation.last_seq
            waiting, stream.waiting = stream.waiting, []
            for event in waiting:
                self.receive(event)

    @contextmanager
    def overhearing(self, conversation_id: str) -> Iterator[list[Numbered]]:
        """The changes of messages that are passed on meanwhile."""
        changes: list[Numbered] = []
        ears = self._overheard.setdefault(conversation_id, [])
        ears.append(changes)
        try:
            yield changes
        finally:
            ears[:] = [ear for ear in ears if ear is not changes]
            if not ears:
                self._overheard.pop(conversation_id, None)

    def head(self, conversation_id: str) -> tuple[int, int]:
        """The last (seq, rev) that was passed on."""
        stream = self._streams.get(conversation_id)
        return (stream.seq, stream.rev or 0) if stream else (0, 0)

    def close(self, conversation_id: str) -> None:
        """Nobody here listens any more."""
        stream = self._streams.pop(conversation_id, None)
        if stream is not None and stream.healing is not None:
            stream.healing.cancel()

    def receive(self, event: Numbered) -> None:
        """Pass the next one on, drop what was passed on before, read what is missing."""
        stream = self._streams.get(event.message.conversation_id)
        if stream is None:
            return
        if stream.rev is None or stream.healing is not None:
            if len(stream.waiting) < WAITING_LIMIT:
                stream.waiting.append(event)
        elif event.message.rev == stream.rev + 1:
            self._next(stream, event)
        elif event.message.rev > stream.rev:
            self._heal(event.message.conversation_id, stream)

    def behind(self, heads: Mapping[str, Conversation]) -> int:
        """Read what is missing wherever a stored head is ahead; how many conversations that was."""
        late = [c for c in heads.values() if self._is_behind(c)]
        for conversation in late:
            self._heal(conversation.id, self._streams[conversation.id])
        return len(late)

    def ids(self) -> list[str]:
        """The conversations that are listened to."""
        return list(self._streams)

    async def stop(self) -> None:
        """Give up what is being read."""
        reading = [s.healing for s in self._streams.values() if s.healing is not None]
        for conversation_id in self.ids():
            self.close(conversation_id)
        await asyncio.gather(*reading, return_exceptions=True)

    def _is_behind(self, conversation: Conversation) -> bool:
        stream = self._streams.get(conversation.id)
        return (
            stream is not None
            and stream.rev is not None
            and stream.healing is None
            and stream.rev < conversation.rev
        )

    def _pass_on(self, event: Numbered) -> None:
        if not isinstance(event, MessageStored):
            for ear in self._overheard.get(event.conversation_id, ()):
                ear.append(event)
        self._tell(event)

    def _next(self, stream: Stream, event: Numbered) -> None:
        stream.rev = event.message.rev
        if not isinstance(event, MessageStored):
            self._pass_on(event)
        elif event.message.seq > stream.seq:
            stream.seq = event.message.seq
            self._pass_on(event)
        elif has_changed(event.message):
            # Stored long since, and told again under the revision of a change that nobody told of.
            self._pass_on(changed_event(event.message, {event.sender.id: event.sender}))

    def _heal(self, conversation_id: str, stream: Stream) -> None:
        stream.healing = asyncio.create_task(self._read_missing(conversation_id, stream))

    async def _read_missing(self, conversation_id: str, stream: Stream) -> None:
        try:
            while await self._read_some(conversation_id, stream):
                pass
        finally:
            stream.healing = None
            waiting, stream.waiting = stream.waiting, []
            for event in waiting:
                self.receive(event)

    async def _read_some(self, conversation_id: str, stream: Stream) -> bool:
        """Pass on the next changes; whether there may be more."""
        rev = stream.rev
        assert rev is not None
        changes = await self._insist(lambda: self._messages.changes(conversation_id, rev, PAGE))
        if not changes:
            return False
        changed = [m for m in changes if m.seq <= stream.seq and has_changed(m)]
        new = await self._read_up_to(conversation_id, stream.seq, max(m.seq for m in changes))
        people = await self._named([*changed, *new])
        for event in in_order(Span(rev, changes[-1].rev), changed, new, people):
            stream.rev = max(stream.rev or 0, event.message.rev)
            if isinstance(event, MessageStored):
                stream.seq = event.message.seq
                self.healed += 1
            self._pass_on(event)
        stream.rev = changes[-1].rev
        return len(changes) == PAGE

    async def _read_up_to(self, conversation_id: str, seq: int, last: int) -> list[Message]:
        """The messages after one number and up to another."""
        found: list[Message] = []
        while seq < last:
            page = await self._insist(lambda: self._messages.page(conversation_id, PAGE, None, seq))  # noqa: B023 - called at once
            found += [m for m in page if m.seq <= last]
            seq = page[-1].seq if page else last
        return found

    async def _named(self, messages: Sequence[Message]) -> dict[str, Person]:
        return await self._insist(lambda: self._people.get({m.sender_id for m in messages}))

    async def _insist(self, read: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await read()
            except Unavailable as error:
                log.warning("cannot heal yet", error=str(error))
            except Exception:
                log.exception("healing failed")
            await asyncio.sleep(RETRY_SECONDS)
