"""The hosts of a stack: this machine, or three of a cluster on addresses of their own."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from parley.stack.errors import StackError
from parley.stack.ports import LOOPBACK

HOST_COUNTS = (1, 3)
"""A cluster has three hosts, since a majority of two is no less than both."""
_NO_INTERFACE = "02:00:00:00:00:00"
"""A hardware address that no interface has: packets to it arrive nowhere."""
_IP_TIMEOUT = 10.0
"""Seconds."""


@dataclass(frozen=True, kw_only=True)
class Host:
    """One host: `number` is 0 for a stack without a cluster; `namespace` is empty where it has none."""

    number: int = 0
    address: str = LOOPBACK
    namespace: str = ""

    @property
    def name(self) -> str:
        return f"h{self.number}" if self.number else ""

    def part(self, kind: str) -> str:
        """Return the name of this host's part of a kind."""
        return f"{kind}-{self.number}" if self.number else kind

    def command(self, *argv: str) -> tuple[str, ...]:
        """Return the command line that runs `argv` on this host; the process keeps its pid."""
        return (_ip(), "netns", "exec", self.namespace, *argv) if self.namespace else argv


@dataclass(frozen=True)
class Network:
    """Network namespaces joined by a bridge, one for each host of a cluster.

    Their names and addresses follow from the stack's directory, so that stacks of one machine do not meet.
    """

    directory: Path

    @property
    def hosts(self) -> tuple[Host, ...]:
        return tuple(
            Host(number=number, address=f"{self._subnet}.{number}", namespace=f"{self._prefix}-h{number}")
            for number in range(1, 4)
        )

    @property
    def address(self) -> str:
        """The address by which the hosts reach this machine."""
        return f"{self._subnet}.254"

    def create(self) -> None:
        """Create what does not exist yet; a reboot removes all of it.

        Raises:
            StackError: This user may not create namespaces, or iproute2 is missing.
        """
        present = set(_run("netns", "list").split())
        if self._bridge not in _links():
            _run("link", "add", self._bridge, "type", "bridge")
            _run("address", "add", f"{self.address}/24", "dev", self._bridge)
        _run("link", "set", self._bridge, "up")
        for host in self.hosts:
            if host.namespace not in present:
                self._create_host(host)

    def remove(self) -> None:
        """Remove the namespaces and the bridge, if there are any."""
        present = set(_run("netns", "list").split())
        for host in self.hosts:
            self._remove_link(host)
            if host.namespace in present:
                _run("netns", "delete", host.namespace)
        if self._bridge in _links():
            _run("link", "delete", self._bridge)

    def cut(self, number: int) -> None:
        """Take a host's link down: no other host reaches it, nor it them."""
        _run("link", "set", self._link(number), "down")

    def join(self, number: int) -> None:
        """Take a host's link up again."""
        _run("link", "set", self._link(number), "up")

    def separate(self, one: int, other: int) -> None:
        """Have two hosts no longer reach each other; both still reach the third, and this machine."""
        for here, there in self._both_ways(one, other):
            _run(*here, "replace", there, "lladdr", _NO_INTERFACE, "dev", "eth0", "nud", "permanent")

    def unite(self, one: int, other: int) -> None:
        """Undo `separate`."""
        for here, there in self._both_ways(one, other):
            _run(*here, "delete", there, "dev", "eth0")

    def _both_ways(self, one: int, other: int) -> Iterator[tuple[tuple[str, ...], str]]:
        """Yield the command for the table of neighbours of each of the two, and the address of the other."""
        pair = self.hosts[one - 1], self.hosts[other - 1]
        for here, there in (pair, pair[::-1]):
            yield ("-netns", here.namespace, "neighbour"), there.address

    def _create_host(self, host: Host) -> None:
        link, inside = self._link(host.number), ("-netns", host.namespace)
        self._remove_link(host)
        _run("netns", "add", host.namespace)
        _run("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", host.namespace)
        _run("link", "set", link, "master", self._bridge, "up")
        _run(*inside, "address", "add", f"{host.address}/24", "dev", "eth0")
        _run(*inside, "link", "set", "eth0", "up")
        _run(*inside, "link", "set", "lo", "up")

    def _remove_link(self, host: Host) -> None:
        # The kernel removes it with its namespace, but not before some time after that.
        if self._link(host.number) in _links():
            _run("link", "delete", self._link(host.number))

    def _link(self, number: int) -> str:
        return f"{self._prefix}h{number}"

    @property
    def _bridge(self) -> str:
        return f"{self._prefix}br"

    @property
    def _prefix(self) -> str:
        # The kernel allows interfaces 15 characters.
        return f"parley{self._digest.hex()[:5]}"

    @property
    def _subnet(self) -> str:
        # RFC 2544 reserves 198.18.0.0/15 for tests in a lab, so this machine is in no such network.
        return f"198.{18 + self._digest[3] % 2}.{self._digest[4]}"

    @property
    def _digest(self) -> bytes:
        return hashlib.sha256(os.fsencode(self.directory)).digest()


def single_host() -> tuple[Host, ...]:
    """Return this machine as the only host."""
    return (Host(),)


def loopback_hosts() -> tuple[Host, ...]:
    """Return three hosts on loopback addresses, which cannot be cut off from each other."""
    return tuple(Host(number=number, address=f"127.0.0.{number + 1}") for number in range(1, 4))


def can_create_namespaces() -> bool:
    """Whether this user may create network namespaces."""
    probe = f"parley-probe-{os.getpid()}"
    try:
        _run("netns", "add", probe)
        _run("netns", "delete", probe)
    except StackError:
        return False
    return True


def _links() -> set[str]:
    lines = _run("-brief", "link").splitlines()
    return {line.split()[0].partition("@")[0] for line in lines}


def _run(*arguments: str) -> str:
    command = [_ip(), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_IP_TIMEOUT)
    if done.returncode:
        raise StackError(f"`ip {' '.join(arguments)}` failed: {done.stderr.strip()}")
    return done.stdout


def _ip() -> str:
    found = shutil.which("ip", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if found is None:
        raise StackError("ip is not installed: install Debian's iproute2.")
    return found
