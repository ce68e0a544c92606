"""URLs with several hosts, as `amqp://user:password@a:5672,[::1]:5672/`.

The standard library refuses an address in brackets behind another host.
"""

import re
from typing import NamedTuple
from urllib.parse import urlsplit

FORM = re.compile(r"(?P<start>[^:/?#]*://(?:[^/?#]*@)?)(?P<hosts>[^/?#]*)(?P<end>.*)", re.DOTALL)
"""The parts of https://www.rfc-editor.org/rfc/rfc3986#appendix-B, with a list in place of the host."""

Address = tuple[str, int]
"""A host and a port."""


class HostList(NamedTuple):
    """The hosts of a URL, each with its port if it has one, and what is before and behind them."""

    start: str
    hosts: list[str]
    end: str

    def urls(self) -> list[str]:
        """Return a URL for each host."""
        return [f"{self.start}{host}{self.end}" for host in self.hosts]


def split_hosts(url: str) -> HostList:
    """Split a URL.

    Raises:
        ValueError: It has no `//` behind a scheme.
    """
    parts = FORM.fullmatch(url)
    if parts is None:
        raise ValueError("a URL without hosts")
    return HostList(parts["start"], parts["hosts"].split(","), parts["end"])


def address_of(host: str, default_port: int) -> Address:
    """Return the address of `name`, `name:port` or `[::1]:port`."""
    parts = urlsplit(f"//{host}")
    return parts.hostname or "", parts.port or default_port


def host_of(address: Address) -> str:
    """Return an address as it stands in a URL."""
    name, port = address
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
