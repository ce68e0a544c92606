"""`python -m load.heavy_connects`: measure what others wait while a user of many conversations connects."""

import argparse
import asyncio
import tempfile
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import uvloop

from clients.chat import NAMESPACE, token
from clients.database import open_database
from clients.socketio_lean import LeanSocket, Refused
from load import figures
from load.arguments import Arguments
from load.connects import Scenario, Users
from load.neighbours import Neighbours
from parley.stack import Stack

ALONE_SECONDS = 5.0
PAIRS = 2


class HeavyUser:
    """A user who connects at a steady rate, whatever becomes of the earlier connects."""

    def __init__(self, stack: Stack, user: str) -> None:
        self._url = stack.url
        self._auth = {"token": token(stack.jwt_secret, user)}
        self.outcomes: Counter[str] = Counter()

    async def run(self, per_second: float, seconds: float) -> None:
        """Connect for some seconds; each socket is closed once it is connected."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        async with asyncio.TaskGroup() as group:
            for n in range(int(per_second * seconds)):
                await asyncio.sleep(begun + n / per_second - loop.time())
                group.create_task(self._connect())

    async def _connect(self) -> None:
        try:
            socket = await LeanSocket.connect(self._url, NAMESPACE, self._auth, lambda *_: None)
        except Refused as refused:
            self.outcomes[refused.data.get("data", {}).get("code", "refused")] += 1
        except (OSError, TimeoutError):
            self.outcomes["closed"] += 1
        else:
            self.outcomes["connected"] += 1
            socket.abort()


async def measure(stack: Stack, args: argparse.Namespace) -> None:
    """Measure the neighbours alone, then beside the user who connects, and print the figures."""
    users = Users(Scenario("heavy", 1, args.conversations, 2), stack)
    async with open_database(stack.mongo_url) as database:
        await users.store(database)
    user = HeavyUser(stack, users.ids[0])
    pairs = [Neighbours(stack) for _ in range(PAIRS)]
    for pair in pairs:
        await pair.start()
    alone = await _run(pairs, ALONE_SECONDS)
    beside, _ = await asyncio.gather(_run(pairs, args.seconds), user.run(args.per_second, args.seconds))
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in user.outcomes.most_common())
    print(f"a user of {args.conversations:,} conversations, {args.per_second:g} connects/s: {outcomes}")
    print(figures.latency("a neighbour's message, without them", alone))
    print(figures.latency("a neighbour's message, beside them", beside))
    await asyncio.gather(*(pair.close() for pair in pairs))


async def _run(pairs: Sequence[Neighbours], seconds: float) -> list[float]:
    return [*chain.from_iterable(await asyncio.gather(*(pair.run(seconds) for pair in pairs)))]


def main() -> None:
    """Read the arguments, and run on an own stack with the default rate limits."""
    parser = Arguments(prog="load.heavy_connects", description=__doc__)
    parser.add_argument("--conversations", type=int, default=8_000)
    parser.add_argument("--per-second", type=float, default=10)
    parser.add_argument("--seconds", type=float, default=15)
    args = parser.parse_args()
    if args.conversations < 1 or args.per_second <= 0 or args.seconds <= 0:
        parser.error("all must be above zero")
    with (
        tempfile.TemporaryDirectory(prefix="parley-heavy-") as directory,
        Stack(Path(directory)) as stack,
    ):
        uvloop.run(measure(stack, args))


if __name__ == "__main__":
    main()
