"""docker-compose.cluster.yml: three of each, with the URLs, permissions and secrets of a cluster."""

import re
from functools import cache
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest
import yaml

from parley.gateway.settings import Settings as GatewaySettings
from parley.persistence_worker.settings import Settings as WorkerSettings
from parley.shared.amqp import node_urls
from parley.shared.settings import load
from parley.stack.parts.mongodb import TRANSACTION_SECONDS

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.cluster.yml"
MEMBERS = {
    "redis": ("redis", "redis-2"),
    "sentinel": ("sentinel-1", "sentinel-2", "sentinel-3"),
    "rabbitmq": ("rabbitmq", "rabbitmq-2", "rabbitmq-3"),
    "mongo": ("mongo", "mongo-2", "mongo-3"),
}
SECRETS = ("REDIS_PASSWORD", "RABBITMQ_PASSWORD", "MONGO_PASSWORD", "MONGO_ROOT_PASSWORD", "CLUSTER_SECRET")
SERVICES = (("gateway", GatewaySettings), ("worker", WorkerSettings))


@cache
def read(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / name).read_text())
    return loaded


def base(service: str) -> dict[str, Any]:
    found: dict[str, Any] = read("docker-compose.yml")["services"][service]
    return found


def cluster(service: str) -> dict[str, Any]:
    found: dict[str, Any] = read(FILE.name)["services"][service]
    return found


def address(service: str) -> str:
    """Return the fixed address of a service, with its variable."""
    found: str = cluster(service)["networks"]["servers"]["ipv4_address"]
    return found


def with_defaults(text: str) -> str:
    """Return a text with the default of each variable in its place."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def urls(service: str) -> dict[str, str]:
    """Return the default URLs of a service, with `secret` as every password."""
    given = cluster(service)["environment"]
    filled = {name: re.sub(r"\$\{\w+(:\?[^}]*)?\}", "secret", value) for name, value in given.items()}
    return {name: re.sub(rf"^\$\{{{name}:-(.*)\}}$", r"\1", value) for name, value in filled.items()}


@pytest.mark.parametrize("name", ["gateway", "worker"])
def test_each_service_runs_three_times(name: str) -> None:
    assert cluster(name)["scale"] == 3


@pytest.mark.parametrize(("name", "settings"), SERVICES)
def test_a_service_accepts_the_urls_of_the_cluster(name: str, settings: type) -> None:
    loaded: Any = load(settings, urls(name))
    assert loaded.redis_url.startswith("redis+sentinel://parley:secret@")
    assert len(node_urls(loaded.rabbitmq_url)) == len(MEMBERS["rabbitmq"])


@pytest.mark.parametrize("name", ["gateway", "worker", "admin"])
def test_a_url_names_all_servers_of_its_kind(name: str) -> None:
    given = urls(name)
    assert set(given) == {"REDIS_URL", "RABBITMQ_URL", "MONGO_URL", "PARTITIONS"}
    for variable, kind in (("REDIS_URL", "sentinel"), ("RABBITMQ_URL", "rabbitmq"), ("MONGO_URL", "mongo")):
        hosts = given[variable].rpartition("@")[2].partition("/")[0].split(",")
        assert tuple(host.partition(":")[0] for host in hosts) == MEMBERS[kind]


def test_each_worker_of_the_cluster_has_two_partitions() -> None:
    assert int(urls("worker")["PARTITIONS"]) == 2 * cluster("worker")["scale"]


@pytest.mark.parametrize("name", ["gateway", "worker", "admin"])
def test_a_service_waits_for_the_added_servers(name: str) -> None:
    added = set(read(FILE.name)["services"]) - set(read("docker-compose.yml")["services"])
    waited = cluster(name)["depends_on"]
    assert set(waited) | set(MEMBERS["mongo"]) == added | {"mongo"}
    assert waited["mongo-initiate"] == {"condition": "service_completed_successfully"}


@pytest.mark.parametrize("name", sorted({*MEMBERS["redis"], *MEMBERS["rabbitmq"], *MEMBERS["mongo"]}))
def test_a_server_of_a_kind_has_the_image_and_limits_of_the_first(name: str) -> None:
    first = base(name.partition("-")[0])
    added = {**first, **cluster(name)}
    for key in ("image", "restart", "stop_grace_period", "security_opt", "ulimits"):
        assert added[key] == first[key]
    assert list(added["networks"]) == list(first["networks"])
    assert "ports" not in added
    assert added["healthcheck"]["test"]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        *((member, "/var/lib/rabbitmq") for member in MEMBERS["rabbitmq"][1:]),
        *((member, "/data/db") for member in MEMBERS["mongo"][1:]),
    ],
)
def test_an_added_server_has_a_volume_of_its_own(name: str, path: str) -> None:
    assert cluster(name)["volumes"] == [f"{name}:{path}"]
    assert name in read(FILE.name)["volumes"]


def test_a_minority_of_rabbitmq_pauses_and_every_node_knows_the_others() -> None:
    content = read(FILE.name)["configs"]["rabbitmq-cluster"]["content"]
    assert "cluster_partition_handling = pause_minority" in content
    for name in MEMBERS["rabbitmq"]:
        assert f"rabbit@{name}\n" in content
        assert {**base("rabbitmq"), **cluster(name)}["hostname"] == name
        assert [config["source"] for config in cluster(name)["configs"]] == ["rabbitmq", "rabbitmq-cluster"]
        assert "net_ticktime 8" in cluster(name)["environment"]["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"]


def test_records_fetched_at_a_lost_node_go_to_another_consumer_soon() -> None:
    content = read(FILE.name)["configs"]["rabbitmq-cluster"]["content"]
    assert "\nconsumer_disconnected_timeout = 2000\n" in content


def test_the_services_user_of_redis_has_one_permission_more() -> None:
    alone, clustered = base("redis")["command"], cluster("redis")["command"]
    user = clustered[: clustered.index("cluster") - 1]
    assert [word for word in user if word not in alone] == ["+role"]
    assert clustered[-8:] == alone[-8:]
    assert cluster("redis-2")["command"] == clustered


def test_the_sentinels_watch_the_master_that_the_url_names() -> None:
    name = urls("gateway")["REDIS_URL"].partition("?")[0].rpartition("@")[2].split("/")[1]
    for sentinel in MEMBERS["sentinel"]:
        script = cluster(sentinel)["command"][-1]
        assert f"sentinel monitor {name} {address('redis')} 6379 2\n" in script
        assert "user parley on >$$REDISCLI_AUTH +ping +sentinel|master\n" in script
        assert "user default off\n" in script
        assert cluster(sentinel)["environment"]["SENTINEL_NAME"] == sentinel


def test_redis_and_its_sentinels_resolve_no_host_name() -> None:
    assert f"--replicaof {address('redis')} 6379" in " ".join(cluster("redis-2")["entrypoint"])
    for name in (*MEMBERS["redis"], *MEMBERS["sentinel"]):
        assert not re.search(r"hostnames|announce-ip", str(cluster(name)))


def test_each_redis_and_sentinel_has_an_address_that_no_other_container_gets() -> None:
    (pool,) = read(FILE.name)["networks"]["servers"]["ipam"]["config"]
    network, others = IPv4Network(with_defaults(pool["subnet"])), IPv4Network(with_defaults(pool["ip_range"]))
    fixed = [IPv4Address(with_defaults(address(name))) for name in (*MEMBERS["redis"], *MEMBERS["sentinel"])]

    assert len(set(fixed)) == len(fixed)
    # The first address is the engine's own.
    assert all(one in network and one not in others and one != network[1] for one in fixed)
    assert others.subnet_of(network)


def test_a_restarted_sentinel_keeps_its_id() -> None:
    for sentinel in MEMBERS["sentinel"]:
        script = cluster(sentinel)["command"][-1]
        assert 'sentinel myid $$(printf %s "$$SENTINEL_NAME" | sha1sum | cut -c 1-40)\n' in script


def test_the_example_names_the_subnet_that_is_the_default() -> None:
    (default,) = set(re.findall(r"\$\{CLUSTER_SUBNET:-([^}]*)\}", FILE.read_text()))
    assert f"\nCLUSTER_SUBNET={default}\n" in (ROOT / ".env.example").read_text()


def test_the_replica_set_is_the_one_that_the_url_names() -> None:
    members = ", ".join(MEMBERS["mongo"])
    script = cluster("mongo-initiate")["command"][-1]
    assert "replicaSet=parley" in urls("gateway")["MONGO_URL"]
    assert re.search(r"rs\.initiate\(\{\s+_id: 'parley'", script)
    assert ", ".join(re.findall(r"host: '(\S+):27017'", script)) == members
    for name in MEMBERS["mongo"]:
        assert re.search(r"--replSet parley \\\s+--keyFile", cluster(name)["command"][-1])


def test_the_replica_set_has_the_settings_that_bound_a_frozen_member() -> None:
    settings = re.findall(r"settings: \{ (.*) \}", cluster("mongo-initiate")["command"][-1])
    assert settings == ["electionTimeoutMillis: 3000, catchUpTimeoutMillis: 2000, chainingAllowed: false"]
    for name in MEMBERS["mongo"]:
        assert "--setParameter oplogNetworkTimeoutBufferSeconds=1" in cluster(name)["command"][-1]
        bound = f"--setParameter transactionLifetimeLimitSeconds={TRANSACTION_SECONDS}"
        assert bound in cluster(name)["command"][-1]


@pytest.mark.parametrize("name", SECRETS)
def test_the_cluster_file_names_a_missing_secret_before_it_starts_anything(name: str) -> None:
    messages = re.findall(rf"(?<!\$)\$\{{{name}\b([^}}]*)\}}", FILE.read_text())
    assert set(messages) - {""} == {":?copy .env.example to .env and fill in its secrets"}
    assert re.search(rf"^{name}=$", (ROOT / ".env.example").read_text(), re.M)


@pytest.mark.parametrize("name", ["gateway", "worker", "nginx"])
def test_no_service_of_parley_knows_the_secret_of_the_servers(name: str) -> None:
    services = read(FILE.name)["services"]
    assert "CLUSTER_SECRET" not in str(services.get(name, {})) + str(base(name))
