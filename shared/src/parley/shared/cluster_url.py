"""The URLs of a Redis Cluster, `redis+cluster://user:password@a:6379,b,c`, and those of its nodes."""

from urllib.parse import SplitResult, urlsplit, urlunsplit

from parley.shared.host_lists import split_hosts

SCHEMES = {"redis+cluster": "redis", "rediss+cluster": "rediss"}
DEFAULT_PORT = 6379

Address = tuple[str, int]
"""A node's host and port."""


def is_cluster(url: str) -> bool:
    """Return whether a URL names nodes of a cluster."""
    return url.partition(":")[0] in SCHEMES


def addresses(url: str) -> list[Address]:
    """Return the addresses of the nodes that a URL names."""
    return [_address(host) for host in split_hosts(url).hosts]


def node_url(url: str, address: Address) -> str:
    """Return the URL of one node of a cluster."""
    parts = urlsplit(split_hosts(url).urls()[0])
    user, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(
        SplitResult(SCHEMES[parts.scheme], f"{user}{at}{_text(address)}", "/0", parts.query, "")
    )


def _address(host: str) -> Address:
    parts = urlsplit(f"//{host}")
    return parts.hostname or "", parts.port or DEFAULT_PORT


def _text(address: Address) -> str:
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"{host}:{address[1]}"
