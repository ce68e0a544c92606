"""Replays an IRC log through a running Parley and proves that no line was lost, doubled or miscounted.

    python -m load.replay LOG --speed max --url http://localhost:8080

Exits with 0 when all is proved, 1 when anything differs, 2 when it could not begin.
"""

import argparse
import asyncio
import math
import os
import secrets
import sys
from pathlib import Path

import aiohttp
import uvloop
from pymongo.errors import PyMongoError

from load import figures
from load.arguments import NOT_BEGUN, Arguments
from load.environment import Environment, MissingSetting, read_environment
from load.progress import Progress
from load.replay.attendance import Attendance, Interrupted
from load.replay.evidence import Archive, Rest, Unreachable
from load.replay.findings import findings
from load.replay.irc_log import parse
from load.replay.members import Connector, ConnectRefused, account, spread
from load.replay.proof import Finding, LogMessage
from load.replay.recording import DeliveryLog
from load.replay.replay_run import ReplayRun
from load.replay.script import Arrival, Departure, Script, script_of

PROVED, DIFFERS = 0, 1
DAY = 24 * 3600.0


class UnreadableLog(Exception):
    """The log cannot be replayed; the text is the reason."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return the process's exit code."""
    options = _options(arguments)
    try:
        script = read(options.log)
        environment = read_environment(os.environ, Path(".env"), options.mongo)
        print(synopsis(options.log, script), flush=True)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(replay(script, options.speed, options.url.rstrip("/"), environment))
    except (UnreadableLog, MissingSetting, Unreachable, ConnectRefused) as error:
        return _complain(str(error))
    except Interrupted as error:
        print(f"The replay broke off: {error}.", file=sys.stderr)
    except (aiohttp.ClientError, PyMongoError, TimeoutError) as error:
        print(f"The proof could not be read: {error}.", file=sys.stderr)
    except KeyboardInterrupt:
        print("The replay was stopped.", file=sys.stderr)
    return DIFFERS


def read(log: Path) -> Script:
    """Return the script of a log file; raises UnreadableLog."""
    try:
        with log.open("rb") as lines:
            script = script_of(parse(lines))
    except OSError as error:
        raise UnreadableLog(f"The log {log} cannot be read: {error.strerror}.") from error
    if not script.lines:
        raise UnreadableLog(f"The log {log} has no message.")
    return script


def synopsis(log: Path, script: Script) -> str:
    """Return the contents of the log by kind as text, so that no line is left out silently."""
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in script.kinds.most_common())
    people = len({speaker.person for speaker in script.speakers})
    connects = sum(isinstance(action, Arrival) for action in script.actions)
    disconnects = sum(isinstance(action, Departure) for action in script.actions)
    unsendable = f" ({len(script.unsendable):,} more are blank or too long)" if script.unsendable else ""
    return (
        f"{log.name}: {script.kinds.total():,} lines ({kinds})\n"
        f"{len(script.lines):,} messages, {people:,} people, {len(script.speakers):,} nicks{unsendable}\n"
        f"{len(script.initial_speakers):,} sockets at first; {connects:,} connects, {disconnects:,} closes"
    )


async def replay(script: Script, speed: float, url: str, environment: Environment) -> int:
    """Perform the script at `url` and print proof and figures; return PROVED or DIFFERS."""
    deliveries, progress = DeliveryLog(), Progress()
    prefix = secrets.token_hex(4)
    token_seconds = DAY + script.lines[-1].moment / speed
    connector = Connector(url, prefix, environment.jwt_secret, token_seconds, deliveries)
    opening = await connector.connect_all(script.initial_speakers, progress)
    print(f"{len(opening):,} sockets: {spread(opening)}", flush=True)
    attendance = Attendance(connector, deliveries, opening)
    replay_run = ReplayRun(script, prefix, attendance, deliveries, progress)
    try:
        async with Archive(environment.mongo_url) as archive, aiohttp.ClientSession() as session:
            rest = Rest(url, session)
            await replay_run.create_conversation(f"Replay {prefix}", opening[0], rest)
            await replay_run.run(speed)
            messages = messages_of(script, prefix)
            found = await findings(messages, replay_run, attendance, deliveries, archive, rest)
    finally:
        await attendance.close()
    print(*found, figures_of(replay_run, deliveries), sep="\n", flush=True)
    return verdict(found)


def messages_of(script: Script, prefix: str) -> list[LogMessage]:
    """Return the lines as messages of the run's user ids."""
    return [
        LogMessage(
            account(prefix, line.speaker.person), line.speaker.nick, line.content, line.client_message_id
        )
        for line in script.lines
    ]


def figures_of(replay_run: ReplayRun, deliveries: DeliveryLog) -> str:
    """Return the figures as lines of text."""
    return "\n".join(
        f"  {line}"
        for line in (
            figures.rates(len(deliveries.accept_delays), deliveries.count, replay_run.seconds),
            figures.latency("from send to accepted", deliveries.accept_delays),
            figures.latency("from send to delivery", deliveries.delivery_delays),
            f"{replay_run.repeats.total():,} repeated sends; other events received: "
            + (
                ", ".join(f"{count:,} {event}" for event, count in deliveries.other_events.most_common())
                or "none"
            ),
            "All clients are one process on the machine that they measure: its queueing is in the figures.",
        )
    )


def verdict(found: list[Finding]) -> int:
    """Print the verdict; return the exit code."""
    differing = sum(not finding.holds for finding in found)
    print(f"{differing} of {len(found)} points differ." if differing else f"All {len(found)} points proved.")
    return DIFFERS if differing else PROVED


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = Arguments(prog="load.replay", description="Replay an IRC log through a running Parley.")
    parser.add_argument("log", type=Path, metavar="LOG", help="the log of a public channel")
    parser.add_argument("--speed", type=_speed, default=math.inf, help="a factor on the log's clock, or max")
    parser.add_argument("--url", default="http://localhost:8080", help="where Parley is")
    parser.add_argument("--mongo", help="where its MongoDB is (default: MONGO_URL)")
    return parser.parse_args(arguments)


def _speed(text: str) -> float:
    if text == "max":
        return math.inf
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not (0 < speed < math.inf):
        raise argparse.ArgumentTypeError(f"the speed is a number above 0 or `max`, not {text!r}")
    return speed


def _complain(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return NOT_BEGUN


if __name__ == "__main__":
    sys.exit(main())
