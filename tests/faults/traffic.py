"""The steady load: groups on every partition, clients that come back, and some that know of nothing."""

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
LISTENER, ABSENT = "listener", "absent"
PAUSE = 0.06
WARM = 100
"""Messages before something is broken."""


class Traffic:
    """Eight who speak in all groups, and come back by themselves; one who listens; one who is absent.

    The speakers come through nginx; the listener has a websocket and polls at each gateway, and neither
    reconnects nor syncs.
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
            self.groups = await self._clients.create_group_per_partition(*SPEAKERS, LISTENER, ABSENT)
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
        """The load itself."""
        self.load = LoadGenerator(self.speakers, self.groups, PAUSE)
        return self.load

    @property
    def clients(self) -> Sequence[RecordingClient]:
        return [*self.speakers, *self.listeners]

    @property
    def connected(self) -> list[RecordingClient]:
        """The clients that have not lost their only socket."""
        return [
            *self.speakers,
            *(listener for listener in self.listeners if not listener.socket.closed.is_set()),
        ]

    def speakers_on(self, node: str) -> list[ReconnectingClient]:
        """The speakers whom this gateway holds."""
        return [speaker for speaker in self.speakers if speaker.node == node]

    async def connect_absent(self, url: str) -> RecordingClient:
        """The one who is absent comes to a gateway, with one socket that will not come back."""
        return await self._clients.connect(ABSENT, url)

    async def wait_until_recovered(self, deadline: float) -> float:
        """Wait until everyone may speak again, and everything accepted until then is known to all.

        The seconds that it took from now.
        """
        watch = Stopwatch()
        before = {speaker: len(speaker.accepted) for speaker in self.speakers}
        await watch.until(lambda: all(len(s.accepted) > count for s, count in before.items()), deadline)
        due = self.accepted.keys()
        missing = {client: due - client.received_at.keys() for client in self.clients}

        def all_know_all() -> bool:
            for client in self.connected:
                missing[client] = {id for id in missing[client] if id not in client.received_at}
            return not any(missing[client] for client in self.connected)

        return await watch.until(all_know_all, deadline)

    @property
    def accepted(self) -> dict[str, float]:
        """When each message was accepted, by its id."""
        return {id: at for speaker in self.speakers for id, at in speaker.accepted.items()}

    async def wait_for_accepted(self, count: int = WARM) -> None:
        """Wait until so many more are accepted."""
        await self.load.wait_for_accepted(count)
