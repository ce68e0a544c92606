"""Redis behind Sentinel: each connection is one to the present master, before and after a failover."""

import asyncio
from collections.abc import Sequence
from time import monotonic
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import Connection, SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError

from parley.shared.host_lists import Address, address_of, host_of, split_hosts
from parley.shared.majority import latest_answer

log = structlog.get_logger()

SCHEMES = {"redis+sentinel": "redis", "rediss+sentinel": "rediss"}
DEFAULT_PORT = 26379
ANSWER_SECONDS = 1.0
FRESH_SECONDS = 1.0
"""Time for which an answer of the sentinels is used again."""


def is_url(url: str) -> bool:
    """Return whether a URL names sentinels."""
    return url.partition(":")[0] in SCHEMES


def master_pool(url: str, **options: Any) -> "MasterPool":
    """Return a pool of connections to the master.

    Args:
        url: `redis+sentinel://user:password@a:26379,b,c/NAME/0`, where NAME is the sentinels' name for the
            master. User and password are those of Redis; the options `sentinel_username` and
            `sentinel_password` are those of the sentinels. All options hold for both, TLS included.
        options: Further options of the pool.

    Raises:
        TypeError, ValueError: An option in the URL is unknown, or has an invalid value.
    """
    listed = split_hosts(url)
    parts = urlsplit(listed.urls()[0])
    user, at, _ = parts.netloc.rpartition("@")
    name, _, db = parts.path.strip("/").partition("/")
    first, *_ = addresses = [address_of(host, DEFAULT_PORT) for host in listed.hosts]
    plain = SplitResult(SCHEMES[parts.scheme], f"{user}{at}{host_of(first)}", f"/{db}", parts.query, "")
    found: dict[str, Any] = {**parse_url(urlunsplit(plain))}
    own = {key: found.pop(f"sentinel_{key}", None) for key in ("username", "password")}
    is_tls = found.pop("connection_class", None) is SSLConnection
    tls = {"ssl": is_tls, **{key: value for key, value in found.items() if key.startswith("ssl_")}}
    master = Master(name, [_sentinel(address, **own, **tls) for address in addresses])
    found["connection_class"] = TlsMasterConnection if is_tls else MasterConnection
    return MasterPool(master=master, **{**found, **options})


class Master:
    """The address of the master, by what a majority of its sentinels answers."""

    def __init__(self, name: str, sentinels: Sequence["Redis"]) -> None:
        self.name = name
        """The sentinels' name for it."""
        self.sentinels = sentinels
        self._lock = asyncio.Lock()
        self._address: Address | None = None
        self._asked_at = 0.0

    async def address(self) -> Address:
        """Return the address; the sentinels are asked again after `FRESH_SECONDS`.

        Raises:
            redis.exceptions.ConnectionError: No sentinel answers, or none knows the master.
        """
        async with self._lock:
            if self._address is None or monotonic() - self._asked_at > FRESH_SECONDS:
                questions = map(self._ask, self.sentinels)
                self._address = await latest_answer(questions, f"no sentinel knows the master {self.name}")
                self._asked_at = monotonic()
            return self._address

    async def has_moved(self, address: Address) -> bool:
        """Return whether the master has another address; not if no sentinel answers."""
        try:
            return await self.address() != address
        except RedisConnectionError as error:
            log.debug("shared.sentinel.unanswered", error=str(error))
            return False

    async def close(self) -> None:
        """Close the connections to the sentinels."""
        for sentinel in self.sentinels:
            await sentinel.aclose()

    async def _ask(self, sentinel: "Redis") -> tuple[int, Address]:
        """Return the number of the failover that made the master one, and its address."""
        async with asyncio.timeout(ANSWER_SECONDS):
            state: Any = await sentinel.sentinel_master(self.name)
        return int(state["config-epoch"]), (state["ip"], int(state["port"]))


class MasterPool(BlockingConnectionPool):
    """A pool of connections to the master."""

    def __init__(self, *, master: Master, **options: Any) -> None:
        self.master = master
        super().__init__(master=master, **options)

    async def disconnect(self, inuse_connections: bool = True) -> None:
        """Close the connections; those to the sentinels too, as a client does when it is closed."""
        await super().disconnect(inuse_connections)
        if inuse_connections:
            await self.master.close()


class MasterConnection(Connection):
    """A connection that is made to the master, and that ends when the master is another one.

    A demoted master stays reachable, and accepts PUBLISH: events would reach nobody.
    """

    def __init__(self, *, master: Master, **options: Any) -> None:
        self._master = master
        super().__init__(**options)

    async def _connect(self) -> None:
        self.host, self.port = await self._master.address()
        await super()._connect()  # type: ignore[no-untyped-call]

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        await super().on_connect_check_health(check_health)
        await self.send_command("ROLE", check_health=False)
        role = (await self.read_response())[0]
        if role not in (b"master", "master"):
            raise RedisConnectionError(f"{self._host_error()} is not the master: the failover is not over")

    async def check_health(self) -> None:
        """Check before a command that the master is still the same."""
        await super().check_health()  # type: ignore[no-untyped-call]
        if await self._master.has_moved((self.host, self.port)):
            await self.disconnect()
            # The connection is not replaced here: a subscriber has to notice what it may have lost.
            raise RedisConnectionError(f"{self._host_error()} is not the master any more")

    async def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*args, **options)
        except ReadOnlyError as error:
            await self.disconnect()
            raise RedisConnectionError(f"{self._host_error()} is a replica now") from error


class TlsMasterConnection(MasterConnection, SSLConnection):
    """The same by TLS."""


def _sentinel(address: Address, **options: Any) -> "Redis":
    return Redis(
        host=address[0],
        port=address[1],
        socket_timeout=ANSWER_SECONDS,
        socket_connect_timeout=ANSWER_SECONDS,
        decode_responses=True,
        retry=Retry(NoBackoff(), 1),
        **options,
    )
