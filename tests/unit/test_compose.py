"""What teams run: docker-compose.yml and its images."""

import re
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from parley.gateway.settings import Settings as GatewaySettings
from parley.persistence_worker.settings import Settings as WorkerSettings

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy/docker/Dockerfile"
OURS = ("nginx", "gateway", "worker")
SERVERS = ("redis", "rabbitmq", "mongo")
SERVICES = (("gateway", GatewaySettings), ("worker", WorkerSettings))
OF_THE_IMAGE = {"NODE_NAME", "GATEWAY_HOST", "GATEWAY_PORT", "WORKER_NAME", "WORKER_HOST", "WORKER_PORT"}
REQUIRED = ("JWT_SECRET", "REDIS_PASSWORD", "RABBITMQ_PASSWORD", "MONGO_PASSWORD", "MONGO_ROOT_PASSWORD")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One FROM of the Dockerfile, with what follows it."""

    base: str
    steps: tuple[tuple[str, str], ...]

    def all(self, instruction: str) -> list[str]:
        return [rest for name, rest in self.steps if name == instruction]


@cache
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


def service(name: str) -> dict[str, Any]:
    found: dict[str, Any] = compose()["services"][name]
    return found


@cache
def stages() -> dict[str, Stage]:
    """The Dockerfile's stages by name; a base that is a stage adds its steps in front."""
    found: dict[str, Stage] = {}
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.M).replace("\\\n", " ")
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)", text, re.M))
    for block in re.split(r"^FROM ", text, flags=re.M)[1:]:
        first, *lines = block.strip().splitlines()
        base, name = re.sub(r"\$\{(\w+)\}", lambda m: arguments[m[1]], first).split(" AS ")
        steps = [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines if line.strip()]
        below = found.get(base, Stage(base=base, steps=()))
        found[name] = Stage(base=below.base, steps=(*below.steps, *steps))
    return found


def test_nothing_but_nginx_is_published() -> None:
    assert [name for name in compose()["services"] if "ports" in service(name)] == ["nginx"]
    assert all("network_mode" not in service(name) for name in compose()["services"])


def test_only_this_machine_reaches_it_unless_told_otherwise() -> None:
    assert service("nginx")["ports"] == ["${HTTP_HOST:-127.0.0.1}:${HTTP_PORT:-8080}:8080"]


def test_nginx_shares_a_network_with_the_gateways_alone() -> None:
    (edge,) = service("nginx")["networks"]
    assert [name for name in compose()["services"] if edge in service(name)["networks"]] == [
        "nginx",
        "gateway",
    ]


@pytest.mark.parametrize("name", SERVERS)
def test_servers_stand_in_a_network_without_a_way_out(name: str) -> None:
    (network,) = service(name)["networks"]
    assert compose()["networks"][network] == {"internal": True}


@pytest.mark.parametrize("name", [*OURS, *SERVERS])
def test_every_service_has_a_health_check(name: str) -> None:
    own = stages()[name].all("HEALTHCHECK") if name in OURS else []
    assert own or service(name)["healthcheck"]["test"]


@pytest.mark.parametrize(
    ("name", "needed"), [("nginx", ("gateway",)), ("gateway", SERVERS), ("worker", SERVERS)]
)
def test_a_service_waits_until_what_it_needs_is_healthy(name: str, needed: tuple[str, ...]) -> None:
    assert service(name)["depends_on"] == {other: {"condition": "service_healthy"} for other in needed}


@pytest.mark.parametrize("name", [*OURS, *SERVERS])
def test_a_service_starts_again_and_has_time_to_stop(name: str) -> None:
    assert service(name)["restart"] == "unless-stopped"
    assert service(name)["stop_grace_period"] == "20s"
    assert service(name)["ulimits"]["nofile"] >= 2 * 30_000


@pytest.mark.parametrize("name", OURS)
def test_images_run_as_an_ordinary_user(name: str) -> None:
    assert stages()[name].all("USER")[-1] not in ("root", "0", "0:0")
    assert "user" not in service(name)


@pytest.mark.parametrize("name", OURS)
def test_our_containers_write_to_nothing_but_tmp(name: str) -> None:
    assert service(name)["read_only"] is True
    assert service(name)["tmpfs"] == ["/tmp"]
    assert service(name)["cap_drop"] == ["ALL"]
    assert service(name)["init"] is True
    assert "volumes" not in service(name)


@pytest.mark.parametrize("name", [*OURS, *SERVERS])
def test_no_container_gains_privileges(name: str) -> None:
    assert service(name)["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", ["gateway", "worker"])
def test_images_carry_no_tools_for_building(name: str) -> None:
    stage = stages()[name]
    assert stage.all("COPY") == [f"--from={name}-build /parley /parley"]
    assert [run.split()[0] for run in stage.all("RUN")] == ["useradd"]


@pytest.mark.parametrize("name", ["gateway", "worker"])
def test_images_hold_what_the_lock_says_and_nothing_for_development(name: str) -> None:
    syncs = [run for run in stages()[f"{name}-build"].all("RUN") if run.startswith("uv sync")]
    package = {"gateway": "parley-gateway", "worker": "parley-persistence-worker"}[name]
    assert syncs
    assert all(f"--locked --no-dev --package {package} " in sync for sync in syncs)
    assert syncs[-1].endswith("--no-editable")


def test_every_image_is_pinned_to_a_minor_version() -> None:
    images = {stage.base for stage in stages().values()} | {service(name)["image"] for name in SERVERS}
    assert [image for image in images if not re.search(r":\d+\.\d+|^node:\d+-", image)] == []


def test_builds_see_what_they_copy_and_no_secret() -> None:
    first, *rules = (ROOT / ".dockerignore").read_text().split()
    seen = [rule[1:] for rule in rules if rule.startswith("!")]
    copied = {
        source
        for stage in stages().values()
        for copy in stage.all("COPY")
        if "--from" not in copy
        for source in re.sub(r"--\S+ ", "", copy).split()[:-1]
    }
    assert first == "*"
    assert [source for source in copied if not any(source.startswith(path) for path in seen)] == []
    assert all((ROOT / path).exists() for path in [*seen, *copied])
    assert "**/.env" in rules


@pytest.mark.parametrize(("name", "settings"), SERVICES)
def test_compose_passes_on_every_setting_that_the_services_know(name: str, settings: type) -> None:
    known = {f.name.upper() for f in fields(settings)} - OF_THE_IMAGE
    assert set(service(name)["environment"]) == known


@pytest.mark.parametrize(("name", "settings"), SERVICES)
def test_what_env_leaves_open_keeps_the_default_of_the_service(name: str, settings: type) -> None:
    urls_and_secret = {"REDIS_URL", "RABBITMQ_URL", "MONGO_URL", "JWT_SECRET"}
    for variable, value in service(name)["environment"].items():
        if variable in urls_and_secret:
            assert value.startswith(f"${{{variable}:")
        else:
            assert value == f"${{{variable}:-}}"


@pytest.mark.parametrize("name", REQUIRED)
def test_a_secret_that_is_missing_is_named_before_anything_starts(name: str) -> None:
    uses = re.findall(rf"\$\{{{name}\b([^}}]*)\}}", (ROOT / "docker-compose.yml").read_text())
    assert set(uses) == {":?copy .env.example to .env and fill in its secrets"}


@pytest.mark.parametrize("name", ["gateway", "worker"])
def test_replicas_differ_in_nothing_that_compose_would_have_to_number(name: str) -> None:
    assert not {"container_name", "hostname", "ports"} & set(service(name))
    assert not {"NODE_NAME", "WORKER_NAME"} & set(service(name)["environment"])


@pytest.mark.parametrize(("name", "path"), [("rabbitmq", "/var/lib/rabbitmq"), ("mongo", "/data/db")])
def test_data_outlive_their_container(name: str, path: str) -> None:
    assert service(name)["volumes"] == [f"{name}:{path}"]
    assert name in compose()["volumes"]


def test_rabbitmq_keeps_the_name_that_its_data_stand_under() -> None:
    assert service("rabbitmq")["hostname"] == "rabbitmq"


def test_the_services_come_to_their_servers_by_name_and_password_and_as_nobodys_root() -> None:
    urls = [service("gateway")["environment"][name] for name in ("REDIS_URL", "RABBITMQ_URL", "MONGO_URL")]
    assert all("://parley:${" in url and "authSource=admin" not in url for url in urls)
    assert service("mongo")["environment"]["MONGO_INITDB_ROOT_USERNAME"] != "parley"


def test_in_mongodb_they_write_to_their_own_database_alone() -> None:
    made = compose()["configs"]["mongo"]["content"]
    assert re.findall(r"roles: (.*),", made) == ['[{ role: "readWrite", db: "parley" }]']
    assert re.findall(r'getSiblingDB\("(\w+)"\)', made) == ["parley"]
    assert service("mongo")["configs"] == [
        {"source": "mongo", "target": "/docker-entrypoint-initdb.d/parley.js"}
    ]


def test_in_rabbitmq_they_govern_nothing() -> None:
    assert "default_user_tags.administrator = false" in compose()["configs"]["rabbitmq"]["content"]
    assert service("rabbitmq")["configs"][0]["target"].startswith("/etc/rabbitmq/conf.d/")


def test_redis_lets_nobody_in_without_a_name() -> None:
    command = " ".join(service("redis")["command"])
    assert "--user default off" in command
    assert "--requirepass" not in command
    assert "nopass" not in command
