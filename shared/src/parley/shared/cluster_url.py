"""The URLs of a Redis Cluster, `redis+cluster://user:password@a:6379,b,c`, and those of its nodes."""

from urllib.parse import SplitResult, urlsplit, urlunsplit

from parley.shared.host_lists import Address, address_of, host_of, split_hosts

SCHEMES = {"redis+cluster": "redis", "rediss+cluster": "rediss"}
DEFAULT_PORT = 6379


def is_cluster(url: str) -> bool:
    """Return whether a URL names nodes of a cluster."""
    return url.partition(":")[0] in SCHEMES


def addresses(url: str) -> list[Address]:
    """Return the addresses of the nodes that a URL names."""
    return [address_of(host, DEFAULT_PORT) for host in split_hosts(url).hosts]


def node_url(url: str, address: Address) -> str:
    """Return the URL of one node of a cluster."""
    parts = urlsplit(split_hosts(url).urls()[0])
    user, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(
        SplitResult(SCHEMES[parts.scheme], f"{user}{at}{host_of(address)}", "/0", parts.query, "")
    )
