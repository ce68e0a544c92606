"""Workers that are killed, asleep, or told to stop, and records that come twice or not whole."""

import signal

import msgspec

from clients.broker import Exchange
from clients.chat import eventually
from clients.ledger import how_many
from clients.poison import send_unstorable
from faults.traffic import PAUSE, SPEAKERS
from faults.trial import Trial

STOP_SECONDS = 10.0
REPLACED_SECONDS = 20.0
"""RabbitMQ gives a worker up after two to three heartbeats of 4 s."""

GARBAGE = b"\xc1garbage"
WORKERS = ("worker-1", "worker-2")


async def killed(trial: Trial) -> None:
    """Each in its turn, in the middle of as much as can be said; then by turns, soon after one another."""
    async with trial.traffic() as traffic:
        for name in WORKERS:
            traffic.chatter.pause = 0.0
            await traffic.goes_on(400)
            trial.stack.signal(name, signal.SIGKILL)
            traffic.chatter.pause = PAUSE
            stored = await how_many(trial.database, *traffic.groups)
            trial.say(f"{name} killed, {len(traffic.accepted) - stored} of {stored} not stored yet")
            await trial.recovers(traffic)
        for name in WORKERS * 2:
            await eventually(lambda: runs(trial, name))  # noqa: B023 - called at once
            trial.stack.signal(name, signal.SIGKILL)
            await traffic.goes_on(100)
        await trial.recovers(traffic)


def runs(trial: Trial, name: str) -> bool:
    return any(part.name == name and part.pid for part in trial.stack.status())


async def told_to_stop(trial: Trial) -> None:
    async with trial.traffic() as traffic:
        for name in WORKERS:
            await trial.terminates(name, STOP_SECONDS)
            await trial.recovers(traffic)
            await trial.shares.become(4, 4)


async def asleep(trial: Trial) -> None:
    """Past its heartbeats: the other takes over, and it wakes with batches that are no longer its own."""

    async def all_taken() -> bool:
        return await trial.shares.of(2) == 8

    async with trial.traffic() as traffic:
        traffic.chatter.pause = 0.0
        await traffic.goes_on(300)
        trial.stack.signal("worker-1", signal.SIGSTOP)
        try:
            traffic.chatter.pause = PAUSE
            await trial.sees("replaced", all_taken, REPLACED_SECONDS)
            await trial.recovers(traffic)
        finally:
            trial.stack.signal("worker-1", signal.SIGCONT)
        await trial.shares.become(4, 4)
        await trial.recovers(traffic)


async def delivered_twice(trial: Trial) -> None:
    """All that was published for a while is published again, as it was."""
    async with Exchange(trial.stack) as exchange, trial.traffic() as traffic:
        copies = await exchange.copy()
        await traffic.goes_on(300)
        again = await exchange.publish_again(copies)
        trial.say(f"{again} AMQP messages published again")
        await trial.recovers(traffic)
        assert again > 0, "nothing was copied"


async def poisoned(trial: Trial) -> None:
    """What is no record, a record that is none, and one that no database takes, between good ones."""
    async with Exchange(trial.stack) as exchange, trial.traffic() as traffic:
        sender = trial.town.user(SPEAKERS[0])
        broken = msgspec.msgpack.encode([{"type": "new", "id": 7}])
        letters = []
        for group in traffic.groups[:3]:
            await exchange.publish(group, GARBAGE, broken)
            failing = await send_unstorable(trial.stack, sender, group)
            await traffic.goes_on(30)
            await eventually(lambda failing=failing: failed(traffic.speakers[0].trouble, failing))  # type: ignore[misc]
        await trial.recovers(traffic)

        async def all_buried() -> bool:
            letters.extend(await trial.dead_letters.take())
            return len(letters) >= 9

        await trial.sees("9 dead letters", all_buried, 5)
        reasons = [str(letter.headers["x-reason"]) for letter in letters]
        for word in ("MessagePack", "OverflowError", "$.id"):
            trial.expect(sum(word in reason for reason in reasons) == 3, f"dead letters because of {reasons}")
        traffic.speakers[0].trouble.clear()


def failed(trouble: list[tuple[str, object]], message_id: str) -> bool:
    return any(event == "messageFailed" and about["messageId"] == message_id for event, about in trouble)  # type: ignore[index]
