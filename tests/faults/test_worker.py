"""A worker is killed or stopped: accepted messages are stored once, and every member receives them."""

import asyncio
import signal
from uuid import uuid4

import pytest

from clients.chat import ChatUsers, eventually
from clients.invariants import assert_consistent, how_many
from clients.load_generator import Stopwatch
from clients.proxy import Proxy
from clients.recording_clients import RecordingClient, RecordingClients
from clients.termination import terminate
from clients.workers import PartitionShares
from parley.shared.mongo import Database
from parley.stack import Stack

SENDERS = [f"sender-{number}" for number in range(10)]
EACH_IN_EACH = 63
AT_ONCE = 16
TAKEOVER_SECONDS = 10.0
EXIT_SECONDS = 10.0
DRAINED_SECONDS = 25.0


async def send_share(client: RecordingClient, groups: list[str]) -> None:
    """Send a share of the 5,000 messages, a batch at a time, with a read mark after each batch."""
    turns = [(n, group) for n in range(EACH_IN_EACH) for group in groups]
    for start in range(0, len(turns), AT_ONCE):
        left = turns[start : start + AT_ONCE]
        while left:
            sends = [
                client.send(
                    group, f"{n} of {client.user_id}", clientMessageId=str(uuid4()) if n % 2 else None
                )
                for n, group in left
            ]
            answers = await asyncio.gather(*sends)
            left = [turn for turn, answer in zip(left, answers, strict=True) if not answer["success"]]
            assert {a["error"]["code"] for a in answers if not a["success"]} <= {"OVERLOADED"}, answers
        await client.call("markConversationAsRead", {"conversationId": groups[start % len(groups)]})


async def test_a_worker_killed_amid_5000_messages_loses_and_doubles_none(
    fragile: Stack,
    users: ChatUsers,
    clients: RecordingClients,
    database: Database,
    shares: PartitionShares,
) -> None:
    groups = await clients.create_group_per_partition(*SENDERS, "idler")
    senders = await clients.connect_all(SENDERS, fragile.gateway_urls)
    listeners = await clients.connect_listeners("idler", fragile.gateway_urls)
    for listener in listeners:
        await listener.join_all(groups)
    assert await shares.of(1) == 4

    def received() -> int:
        return sum(map(len, listeners[1].received.values()))

    sending = asyncio.gather(*(send_share(client, groups) for client in senders))
    await eventually(lambda: received() > 1_500)
    fragile.signal("worker-1", signal.SIGKILL)
    watch = Stopwatch()
    before = {message_id for client in senders for message_id in client.accepted}
    stored = await how_many(database, *groups)

    takeover = await watch.until(lambda: before <= listeners[1].received_at.keys(), TAKEOVER_SECONDS)
    await sending
    accepted = sum(len(client.sent[group]) for client in senders for group in groups)
    await eventually(lambda: received() >= accepted)
    print(f"killed at {stored} of {accepted}, those accepted by then received {takeover:.1f} s later")
    assert stored < accepted == len(SENDERS) * EACH_IN_EACH * len(groups)
    for group in groups:
        await assert_consistent(database, users, group, senders=senders, listeners=listeners)


@pytest.mark.slow
async def test_a_worker_cut_off_from_mongodb_releases_its_partitions_to_the_other(
    fragile: Stack,
    users: ChatUsers,
    clients: RecordingClients,
    database: Database,
    shares: PartitionShares,
) -> None:
    groups = await clients.create_group_per_partition("sender", "idler")
    client, listener = await clients.connect("sender"), await clients.connect("idler")
    await listener.join_all(groups)
    with Proxy(fragile.mongo_url) as proxy:
        await asyncio.to_thread(fragile.set_overrides, {"worker-1": {"MONGO_URL": proxy.url}})
        try:
            await shares.wait_until(4, 4)
            proxy.block()
            watch = Stopwatch()
            await asyncio.gather(*(client.send_until_accepted(group, "hello") for group in groups))
            await watch.until(lambda: len(listener.received_at) == len(groups), DRAINED_SECONDS)
            print(f"all received {watch.seconds:.1f} s after the cut")
            assert await shares.current() == [0, 8]
            proxy.unblock()
            await shares.wait_until(4, 4)
        finally:
            await asyncio.to_thread(fragile.set_overrides, {})
    for group in groups:
        await assert_consistent(database, users, group, senders=[client], listeners=[listener])


@pytest.mark.slow
@pytest.mark.parametrize("server", ["mongo", "rabbitmq"])
async def test_a_worker_that_stops_while_a_server_hangs_exits_in_time_and_loses_nothing(
    fragile: Stack,
    users: ChatUsers,
    clients: RecordingClients,
    database: Database,
    shares: PartitionShares,
    server: str,
) -> None:
    groups = await clients.create_group_per_partition("sender", "idler")
    client = await clients.connect("sender")
    listener = await clients.connect("idler")
    await listener.join_all(groups)
    with Proxy(getattr(fragile, f"{server}_url")) as proxy:
        await asyncio.to_thread(fragile.set_overrides, {"worker-1": {f"{server.upper()}_URL": proxy.url}})
        try:
            await shares.wait_until(4, 4)
            await asyncio.gather(*(client.send_until_accepted(group, "before") for group in groups))
            await eventually(lambda: len(listener.received_at) == len(groups))
            proxy.block()
            await asyncio.gather(*(client.send_until_accepted(group, "after") for group in groups))
            ended, watch = terminate(fragile, "worker-1"), Stopwatch()
            await watch.until(ended, EXIT_SECONDS)
            print(f"{ended()} {watch.seconds:.1f} s after SIGTERM")
            assert ended() == "exit status 0"
            proxy.unblock()
            for group in groups:
                await assert_consistent(
                    database, users, group, senders=[client], listeners=[listener], deadline=DRAINED_SECONDS
                )
        finally:
            await asyncio.to_thread(fragile.set_overrides, {})
