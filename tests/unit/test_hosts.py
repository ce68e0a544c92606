"""The hosts of a stack: names, addresses and command lines, and which services they run."""

from pathlib import Path

import pytest

from parley.stack import hosts
from parley.stack.errors import StackError
from parley.stack.hosts import Host, Network, loopback_hosts
from parley.stack.parts import mongodb
from parley.stack.paths import StackPaths
from parley.stack.state import StackState

LONGEST_INTERFACE_NAME = 15
"""Characters that the kernel allows."""


def fresh(directory: Path) -> StackState:
    return StackState.load(StackPaths(directory))


def test_a_part_is_named_by_the_number_of_its_host() -> None:
    assert Host().part("redis") == "redis"
    assert [host.part("redis") for host in loopback_hosts()] == ["redis-1", "redis-2", "redis-3"]


def test_a_command_runs_in_the_namespace_of_its_host() -> None:
    (first, *_) = Network(Path("/somewhere")).hosts

    assert first.command("redis-server")[1:] == ("netns", "exec", first.namespace, "redis-server")
    assert Host().command("redis-server") == ("redis-server",)


def test_the_hosts_of_two_stacks_never_meet() -> None:
    one, other = Network(Path("/one")).hosts, Network(Path("/other")).hosts

    assert len({host.address for host in (*one, *other)}) == 6
    assert len({host.namespace for host in (*one, *other)}) == 6
    assert all(len(f"{host.namespace}".replace("-", "")) <= LONGEST_INTERFACE_NAME for host in one)


def test_two_separated_hosts_know_no_hardware_address_of_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run: list[tuple[str, ...]] = []
    monkeypatch.setattr(hosts, "_run", lambda *arguments: run.append(arguments))
    network = Network(Path("/somewhere"))
    one, other, _ = network.hosts

    network.separate(1, 2)
    network.unite(1, 2)

    assert [(each[1], each[3], each[4]) for each in run] == [
        (one.namespace, "replace", other.address),
        (other.namespace, "replace", one.address),
        (one.namespace, "delete", other.address),
        (other.namespace, "delete", one.address),
    ]


def test_a_cluster_has_a_gateway_and_a_worker_on_each_host(tmp_path: Path) -> None:
    state = fresh(tmp_path).sized(gateways=None, workers=None, hosts=3)

    assert (state.gateways, state.workers) == (3, 3)
    assert fresh(tmp_path).sized(gateways=5, workers=1, hosts=3).gateways == 5


@pytest.mark.parametrize("hosts", [0, 2, 4])
def test_a_cluster_has_three_hosts(hosts: int, tmp_path: Path) -> None:
    with pytest.raises(StackError, match=rf"^A stack runs on 1 host or as a cluster on 3, not on {hosts}\.$"):
        fresh(tmp_path).sized(gateways=None, workers=None, hosts=hosts)


def test_a_machine_without_a_mongodb_is_reported_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(mongodb.sysconfig, "get_path", lambda name: str(tmp_path))

    with pytest.raises(StackError, match=r"^There is no MongoDB for this machine: .*MONGO_URL.*\.$"):
        mongodb.mongod()


def test_a_mongod_on_the_path_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "mongod"
    own.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert mongodb.mongod() == str(own)
