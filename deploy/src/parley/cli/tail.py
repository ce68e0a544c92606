"""`parley tail`: events as they pass from the workers and gateways to the gateways, by Redis."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Annotated, Any

import msgspec
import typer

from parley.cli import environment
from parley.cli.faults import open_redis
from parley.cli.masking import masked
from parley.cli.output import Json, print_json, print_line
from parley.shared import events, rooms
from parley.shared.events import Event, Heartbeat, UnknownEvent, UnreadableEvent
from parley.shared.pubsub import Subscription, is_cluster, subscribed_channels, subscription

EVERYTHING = f"{rooms.CHANNEL_PREFIX}*"
BRIEF = ("conversation_id", "user_id", "seq", "record_id")

LOOK_SECONDS = 1.0
"""How often new channels are looked for in a cluster."""

AnyEvent = Event | UnknownEvent | UnreadableEvent


@dataclass
class Known:
    """The channels that were found in a cluster, and when."""

    channels: set[str] = field(default_factory=set)
    looked_at: float = -LOOK_SECONDS


def tail(
    context: typer.Context,
    conversation: Annotated[str | None, typer.Option(help="Only events of this conversation.")] = None,
    user: Annotated[str | None, typer.Option(help="Only events of or for this user.")] = None,
    count: Annotated[int, typer.Option("--count", "-n", help="End after so many events.", min=0)] = 0,
    content: Annotated[bool, typer.Option("--content", help="Show what users wrote.")] = False,
    as_json: Json = False,
) -> None:
    """Print events as they pass, until Ctrl-C; contents of users are hidden without --content.

    Redis may lose events, and gateways then read them from MongoDB: this shows only what passes. Of a Redis
    Cluster it shows the channels that a gateway subscribes to, each about a second later than the gateway.
    """
    url = environment.of(context).settings.redis_url
    asyncio.run(_tail(url, conversation, user, count, content=content, as_json=as_json))


async def _tail(
    url: str, conversation: str | None, user: str | None, count: int, *, content: bool, as_json: bool
) -> None:
    printed = 0
    async for room, event in watch(url, conversation):
        if user is not None and not concerns(event, room, user):
            continue
        shown = to_json(room, event, content=content)
        print_json(shown) if as_json else print_line(_line(shown))
        printed += 1
        if printed == count:
            return


async def watch(url: str, conversation: str | None = None) -> AsyncIterator[tuple[str, AnyEvent]]:
    """Yield each event with its room, of one conversation or of all; heartbeats of gateways are left out.

    Raises:
        CommandError: Redis is away.
    """
    async with open_redis(url) as client, subscription(client) as subscribed:
        known = await _begin(client, subscribed, conversation)
        while True:
            if known is not None:
                await _add_new(client, subscribed, known)
            publication = await subscribed.next(LOOK_SECONDS)
            if publication is None:
                continue
            room = rooms.of_channel(publication.channel)
            for event in events.unpack(publication.body):
                if not isinstance(event, Heartbeat):
                    yield room, event


async def _begin(client: Any, subscribed: Subscription, conversation: str | None) -> "Known | None":
    """Subscribe; return an empty `Known` if new channels have to be looked for."""
    if conversation is not None:
        await subscribed.add([rooms.channel(rooms.conversation(conversation))])
    elif is_cluster(client):
        return Known()
    else:
        # The users of Redis that docker-compose.yml creates may subscribe to this pattern as it is.
        await subscribed.add_pattern(EVERYTHING)
    return None


async def _add_new(client: Any, subscribed: Subscription, known: "Known") -> None:
    """Subscribe to the channels that gateways have subscribed to: a cluster has no patterns of channels."""
    if monotonic() - known.looked_at < LOOK_SECONDS:
        return
    new = set(await subscribed_channels(client, EVERYTHING)) - known.channels
    if new:
        await subscribed.add(sorted(new))
    known.channels |= new
    known.looked_at = monotonic()


def concerns(event: AnyEvent, room: str, user: str) -> bool:
    """Return whether an event is of a user, or goes to their own sockets."""
    if room == rooms.user(user) or getattr(event, "user_id", None) == user:
        return True
    people = (getattr(event, name, None) for name in ("sender", "user", "person"))
    return any(getattr(person, "id", None) == user for person in people)


def to_json(room: str, event: AnyEvent, *, content: bool) -> dict[str, Any]:
    """Return an event for programs."""
    fields: dict[str, Any] = msgspec.to_builtins(event)
    return {
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "room": room,
        "event": kind(event),
        **(fields if content else masked(fields)),
    }


def kind(event: AnyEvent) -> str:
    """Return the tag of an event's kind."""
    if isinstance(event, UnreadableEvent):
        return "unreadable"
    return event.kind if isinstance(event, UnknownEvent) else str(event.__struct_config__.tag)


def _line(shown: dict[str, Any]) -> str:
    at = shown["at"][11:23]
    rest = {name: value for name, value in shown.items() if name not in ("at", "room", "event", "type")}
    return f"{at}  {shown['event']:10}  {shown['room']}  {_brief(rest)}"


def _brief(fields: dict[str, Any]) -> str:
    message = fields.pop("message", None) or {}
    parts = [f"{name}={fields[name]}" for name in BRIEF if fields.get(name) not in (None, "")]
    parts += [f"{name}={message[name]}" for name in ("seq", "rev", "senderId", "content") if name in message]
    named = ("typing", "online", "joined", "code", "reason")
    return " ".join(parts + [f"{name}={fields[name]}" for name in named if name in fields])
