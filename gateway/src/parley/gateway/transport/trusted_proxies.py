"""Where a request comes from and what it was addressed to, as far as trusted proxies say so."""

from collections.abc import Collection, Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from aiohttp import hdrs, web

NETWORK_BITS = 64
REMEMBERED = 128
"""Addresses whose texts were parsed last; those of proxies come with each request."""

Address = IPv4Address | IPv6Address


class TrustedProxies:
    """Reads `X-Forwarded-For`, `-Proto` and `-Host` of requests whose sender is trusted, and of no other.

    Args:
        nginx: networks of Parley's own nginx, which is the last proxy in front of a gateway.
        outer: networks of the proxies in front of that nginx, or of this gateway.
    """

    def __init__(self, nginx: Collection[str] = (), outer: Collection[str] = ()) -> None:
        self._outer = tuple(ip_network(network, strict=False) for network in outer)
        self._senders = (*(ip_network(network, strict=False) for network in nginx), *self._outer)

    def address_of(self, request: web.Request) -> str:
        """Return the client's address: the last one before the trusted proxies.

        For IPv6 it is the network of 64 bits: a client that has one of its addresses has all of them.
        """
        remote = request.remote or ""
        if hdrs.X_FORWARDED_FOR not in request.headers:
            return _bucket_of(remote)
        address = _parse(remote)
        if address is None:
            return remote
        trusted = self._senders
        for entry in _forwarded_for(request):
            before = _parse(entry)
            if before is None or not any(address in network for network in trusted):
                break
            # Only the first hop can be Parley's own nginx: a client may have an address of that network too.
            address, trusted = before, self._outer
        return _bucket(address)

    def own_origin(self, request: web.Request) -> tuple[str, str]:
        """Return the scheme and the host that the client addressed."""
        scheme, host = "http", request.headers.get(hdrs.HOST, "")
        if not self._trusts_sender(request):
            return scheme, host
        return (
            _first(request.headers.get(hdrs.X_FORWARDED_PROTO, "")) or scheme,
            _first(request.headers.get(hdrs.X_FORWARDED_HOST, "")) or host,
        )

    def _trusts_sender(self, request: web.Request) -> bool:
        sender = _parse(request.remote or "")
        return sender is not None and any(sender in network for network in self._senders)


def _forwarded_for(request: web.Request) -> Iterator[str]:
    """Yield the entries of the header from the last one, which the sender added, to the first."""
    entries = ",".join(request.headers.getall(hdrs.X_FORWARDED_FOR, ())).split(",")
    return (entry.strip() for entry in reversed(entries))


@lru_cache(REMEMBERED)
def _parse(text: str) -> Address | None:
    """Return the address in an entry, which may have brackets and a port."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


@lru_cache(REMEMBERED)
def _bucket_of(text: str) -> str:
    address = _parse(text)
    return text if address is None else _bucket(address)


def _bucket(address: Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return str(ip_network((address, NETWORK_BITS), strict=False))


def _first(header: str) -> str:
    return header.partition(",")[0].strip()
