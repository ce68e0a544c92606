"""The steady load: groups on every partition, clients that reconnect, and clients that do not."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from clients.chat import ChatUsers
from clients.load_generator import LoadGenerator, Stopwatch
from clients.reconnecting_client import ReconnectingClient
from clients.recording_clients import RecordingClient, RecordingClients
from parley.stack import Stack

SPEAKERS = [f"speaker-{number}" for number in range(8)]
LISTENER, ABSENT, LATER_MEMBER = "listener", "absent", "later-member"
PAUSE_SECONDS = 0.06
WARM_UP_MESSAGES = 100
"""Accepted messages before the fault."""


class Traffic:
    """Eight senders in all groups, which reconnect by themselves; one listener; two absent members.

    The senders connect through nginx. The listener has a websocket and a polling socket at each gateway,
    which neither reconnect nor sync.
    """

    def __init__(self, stack: Stack, users: ChatUsers) -> None:
        self._stack, self._users = stack, users
        self._clients = RecordingClients(users)
        self._exit_stack = AsyncExitStack()
        self.groups: list[str] = []
        self.speakers: list[ReconnectingClient] = []
        self.listeners: list[RecordingClient] = []
        self.load: LoadGenerator

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as end:
            await end.enter_async_context(self._clients)
            self.groups = await self._clients.create_group_per_partition(
                *SPEAKERS, LISTENER, ABSENT, LATER_MEMBER
            )
            for name in SPEAKERS:
                self.speakers.append(
                    await self._clients.add(ReconnectingClient(self._users.user(name), self._users.url))
                )
            self.listeners = await self._clients.connect_listeners(LISTENER, self._stack.gateway_urls)
            for client in self.clients:
                await client.join_all(self.groups)
            self._exit_stack = end.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exit_stack.aclose()

    def start_load(self) -> LoadGenerator:
        """Return the load, to be entered as a context."""
        self.load = LoadGenerator(self.speakers, self.groups, PAUSE_SECONDS)
        return self.load

    @property
    def clients(self) -> Sequence[RecordingClient]:
        return [*self.speakers, *self.listeners]

    @property
    def connected(self) -> list[RecordingClient]:
        """The clients that still have a socket or reconnect by themselves."""
        return [
            *self.speakers,
            *(listener for listener in self.listeners if not listener.socket.closed.is_set()),
        ]

    def speakers_on(self, node: str) -> list[ReconnectingClient]:
        """Return the speakers that are connected to a gateway."""
        return [speaker for speaker in self.speakers if speaker.node == node]

    async def connect_absent(self, url: str, name: str = ABSENT) -> RecordingClient:
        """Connect an absent member to a gateway, with a socket that does not reconnect."""
        return await self._clients.connect(name, url)

    async def wait_until_recovered(self, deadline: float, since: float = 0.0) -> float:
        """Wait until every speaker can send again, and all clients have all messages accepted until then.

        Args:
            deadline: Seconds for each of both.
            since: The time from which on accepted messages count.

        Returns:
            The seconds that it took from now.
        """
        watch = Stopwatch()
        before = {speaker: len(speaker.accepted) for speaker in self.speakers}
        await watch.until(lambda: all(len(s.accepted) > count for s, count in before.items()), deadline)
        expected = {id for id, at in self.accepted.items() if at > since}
        missing = {client: expected - client.received_at.keys() for client in self.clients}

        def all_have_all() -> bool:
            for client in self.connected:
                missing[client] = {id for id in missing[client] if id not in client.received_at}
            return not any(missing[client] for client in self.connected)

        return await watch.until(all_have_all, deadline)

    @property
    def accepted(self) -> dict[str, float]:
        """When each message was accepted, by its id."""
        return {id: at for speaker in self.speakers for id, at in speaker.accepted.items()}

    async def wait_for_accepted(self, count: int = WARM_UP_MESSAGES) -> None:
        """Wait until this many more messages are accepted."""
        await self.load.wait_for_accepted(count)
