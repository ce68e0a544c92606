"""docker-compose.yml and the images: networks, permissions, settings and secrets."""

import re
import tomllib
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from parley.cli.admin import command as admin
from parley.gateway.settings import Settings as GatewaySettings
from parley.persistence_worker.settings import Settings as WorkerSettings

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy/docker/Dockerfile"
OBSERVERS = ("prometheus", "grafana")
DEFAULT = ("nginx", "gateway", "worker", "admin", "redis", "rabbitmq", "mongo")
BUILT = ("nginx", "gateway", "worker")
OWN = (*BUILT, "admin")
SERVERS = ("redis", "rabbitmq", "mongo")
SERVICES = (("gateway", GatewaySettings), ("worker", WorkerSettings))
SET_BY_THE_IMAGE = {
    *("NODE_NAME", "GATEWAY_HOST", "GATEWAY_PORT", "NGINX_NETWORKS"),
    *("WORKER_NAME", "WORKER_HOST", "WORKER_PORT"),
}
REQUIRED = ("JWT_SECRET", "REDIS_PASSWORD", "RABBITMQ_PASSWORD", "MONGO_PASSWORD", "MONGO_ROOT_PASSWORD")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One FROM of the Dockerfile with the instructions that follow it."""

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
    """Return the Dockerfile's stages by name; a stage starts with the steps of its base."""
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


def test_only_nginx_and_the_admin_page_publish_a_port() -> None:
    assert [name for name in DEFAULT if "ports" in service(name)] == ["nginx", "admin"]
    assert all("network_mode" not in service(name) for name in compose()["services"])


def test_nginx_is_published_on_the_loopback_by_default() -> None:
    assert service("nginx")["ports"] == ["${HTTP_HOST:-127.0.0.1}:${HTTP_PORT:-8080}:8080"]


def test_the_admin_page_is_published_on_the_loopback_by_default_at_a_port_of_its_own() -> None:
    assert service("admin")["ports"] == ["${ADMIN_HOST:-127.0.0.1}:${ADMIN_PORT:-8082}:8082"]
    assert str(admin.PORT) == service("admin")["ports"][0].rpartition(":")[2]


def test_the_admin_page_is_served_by_the_command_of_an_image_without_the_secret_of_tokens() -> None:
    own = service("admin")
    assert (own["image"], own["build"]) == ("parley-worker", service("worker")["build"])
    assert own["command"] == ["parley", "admin"]
    assert "JWT_SECRET" not in own["environment"]
    assert own["environment"]["ADMIN_HOST"] == "0.0.0.0"
    assert set(own["networks"]) == {"servers", "outward"}


def test_nginx_shares_a_network_with_the_gateways_only() -> None:
    (edge,) = service("nginx")["networks"]
    assert [name for name in compose()["services"] if edge in service(name)["networks"]] == [
        "nginx",
        "gateway",
    ]


@pytest.mark.parametrize("name", SERVERS)
def test_servers_are_in_an_internal_network(name: str) -> None:
    (network,) = service(name)["networks"]
    assert compose()["networks"][network] == {"internal": True}


@pytest.mark.parametrize("name", [*OWN, *SERVERS])
def test_every_service_has_a_health_check(name: str) -> None:
    own = stages()[name].all("HEALTHCHECK") if name in BUILT else []
    assert own or service(name)["healthcheck"]["test"]


@pytest.mark.parametrize(
    ("name", "needed"),
    [("nginx", ("gateway",)), ("gateway", SERVERS), ("worker", SERVERS), ("admin", SERVERS)],
)
def test_a_service_starts_after_its_dependencies_are_healthy(name: str, needed: tuple[str, ...]) -> None:
    assert service(name)["depends_on"] == {other: {"condition": "service_healthy"} for other in needed}


@pytest.mark.parametrize("name", [*OWN, *SERVERS])
def test_a_service_is_restarted_and_has_time_to_stop(name: str) -> None:
    assert service(name)["restart"] == "unless-stopped"
    assert service(name)["stop_grace_period"] == "20s"
    assert service(name)["ulimits"]["nofile"] >= 2 * 30_000


@pytest.mark.parametrize("name", BUILT)
def test_images_run_as_an_unprivileged_user(name: str) -> None:
    assert stages()[name].all("USER")[-1] not in ("root", "0", "0:0")
    assert "user" not in service(name)


@pytest.mark.parametrize("name", OWN)
def test_containers_can_write_to_tmp_only(name: str) -> None:
    assert service(name)["read_only"] is True
    assert service(name)["tmpfs"] == ["/tmp"]
    assert service(name)["cap_drop"] == ["ALL"]
    assert service(name)["init"] is True
    assert "volumes" not in service(name)


@pytest.mark.parametrize("name", [*OWN, *SERVERS])
def test_containers_gain_no_privileges(name: str) -> None:
    assert service(name)["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", ["gateway", "worker"])
def test_images_contain_no_build_tools(name: str) -> None:
    stage = stages()[name]
    assert stage.all("COPY") == [f"--from={name}-build /parley /parley"]
    assert [run.split()[0] for run in stage.all("RUN")] == ["useradd"]


@pytest.mark.parametrize("name", ["gateway", "worker"])
def test_images_contain_the_locked_packages_without_development_tools(name: str) -> None:
    syncs = [run for run in stages()[f"{name}-build"].all("RUN") if run.startswith("uv sync")]
    package = {"gateway": "parley-gateway", "worker": "parley-persistence-worker"}[name]
    assert syncs
    assert all(f"--locked --no-dev --package {package} --package parley-deploy " in sync for sync in syncs)
    assert syncs[-1].endswith("--no-editable")


def test_images_contain_the_operators_command_without_the_native_stack() -> None:
    deploy = tomllib.loads((ROOT / "deploy/pyproject.toml").read_text())
    assert deploy["tool"]["uv"]["build-backend"]["module-name"] == "parley.cli"
    assert deploy["project"]["scripts"] == {"parley": "parley.cli.__main__:main"}
    needed = " ".join(deploy["project"]["dependencies"])
    assert "supervisor" not in needed
    assert "fiftyone" not in needed
    for name in ("gateway", "worker"):
        copies = stages()[f"{name}-build"].all("COPY")
        assert [copy for copy in copies if copy.startswith("deploy/src")] == [
            "deploy/src/parley/cli deploy/src/parley/cli"
        ]
        assert not any(
            "--extra" in run or "--all-extras" in run for run in stages()[f"{name}-build"].all("RUN")
        )


def test_every_image_is_pinned_to_a_minor_version() -> None:
    pulled = {service(name)["image"] for name in (*SERVERS, *OBSERVERS)}
    images = {stage.base for stage in stages().values()} | pulled
    assert [image for image in images if not re.search(r":v?\d+\.\d+|/node:\d+-", image)] == []


def test_the_build_context_has_the_copied_files_and_no_secret() -> None:
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
def test_compose_passes_every_setting_to_its_service(name: str, settings: type) -> None:
    known = {f.name.upper() for f in fields(settings)} - SET_BY_THE_IMAGE
    assert set(service(name)["environment"]) == known


@pytest.mark.parametrize(("name", "settings"), SERVICES)
def test_a_setting_missing_in_env_keeps_the_service_s_default(name: str, settings: type) -> None:
    urls_and_secret = {"REDIS_URL", "RABBITMQ_URL", "MONGO_URL", "JWT_SECRET"}
    for variable, value in service(name)["environment"].items():
        if variable in urls_and_secret:
            assert value.startswith(f"${{{variable}:")
        else:
            assert value == f"${{{variable}:-}}"


@pytest.mark.parametrize("name", REQUIRED)
def test_compose_names_a_missing_secret_before_it_starts_anything(name: str) -> None:
    messages = re.findall(rf"\$\{{{name}\b([^}}]*)\}}", (ROOT / "docker-compose.yml").read_text())
    assert set(messages) == {":?copy .env.example to .env and fill in its secrets"}


@pytest.mark.parametrize("name", ["gateway", "worker"])
def test_replicas_need_no_number_of_their_own(name: str) -> None:
    assert not {"container_name", "hostname", "ports"} & set(service(name))
    assert not {"NODE_NAME", "WORKER_NAME"} & set(service(name)["environment"])


@pytest.mark.parametrize(("name", "path"), [("rabbitmq", "/var/lib/rabbitmq"), ("mongo", "/data/db")])
def test_data_is_kept_in_a_named_volume(name: str, path: str) -> None:
    assert service(name)["volumes"] == [f"{name}:{path}"]
    assert name in compose()["volumes"]


def test_rabbitmq_has_a_fixed_host_name() -> None:
    assert service("rabbitmq")["hostname"] == "rabbitmq"


def test_services_log_in_to_servers_as_an_unprivileged_user() -> None:
    urls = [service("gateway")["environment"][name] for name in ("REDIS_URL", "RABBITMQ_URL", "MONGO_URL")]
    assert all("://parley:${" in url and "authSource=admin" not in url for url in urls)
    assert service("mongo")["environment"]["MONGO_INITDB_ROOT_USERNAME"] != "parley"


def test_the_mongodb_user_can_write_to_its_own_database_only() -> None:
    made = compose()["configs"]["mongo"]["content"]
    assert re.findall(r"roles: (.*),", made) == ['[{ role: "readWrite", db: "parley" }]']
    assert re.findall(r'getSiblingDB\("(\w+)"\)', made) == ["parley"]
    assert service("mongo")["configs"] == [
        {"source": "mongo", "target": "/docker-entrypoint-initdb.d/parley.js"}
    ]


def test_the_rabbitmq_user_is_no_administrator() -> None:
    assert "default_user_tags.administrator = false" in compose()["configs"]["rabbitmq"]["content"]
    assert service("rabbitmq")["configs"][0]["target"].startswith("/etc/rabbitmq/conf.d/")


def test_redis_refuses_the_default_user() -> None:
    command = " ".join(service("redis")["command"])
    assert "--user default off" in command
    assert "--requirepass" not in command
    assert "nopass" not in command


def test_prometheus_and_grafana_start_with_their_profile_only() -> None:
    assert [name for name in compose()["services"] if "profiles" not in service(name)] == list(DEFAULT)
    assert all(service(name)["profiles"] == ["observe"] for name in OBSERVERS)


@pytest.mark.parametrize("name", OBSERVERS)
def test_observers_are_published_on_the_loopback_and_gain_no_privileges(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in service(name)["ports"])
    assert service(name)["security_opt"] == ["no-new-privileges:true"]
    assert service(name)["healthcheck"]["test"]


def test_the_observers_files_exist_and_are_mounted_to_be_read_only() -> None:
    mounts = [mount for name in OBSERVERS for mount in service(name)["volumes"] if mount.startswith("./")]
    assert len(mounts) == 5
    assert [mount for mount in mounts if not mount.endswith(":ro")] == []
    assert [mount for mount in mounts if not (ROOT / mount.split(":")[0]).is_file()] == []


def test_prometheus_shares_a_network_with_the_services_and_grafana_with_prometheus_only() -> None:
    networks = {name: set(service(name)["networks"]) for name in (*OBSERVERS, "gateway", "worker")}
    assert networks["prometheus"] & networks["gateway"]
    assert networks["prometheus"] & networks["worker"]
    assert [name for name in networks if networks[name] & networks["grafana"]] == list(OBSERVERS)


@pytest.mark.parametrize(("name", "settings"), SERVICES)
def test_prometheus_scrapes_a_service_at_its_port_under_the_job_of_the_rules(
    name: str, settings: type
) -> None:
    config = yaml.safe_load((ROOT / "deploy/observe/prometheus.yml").read_text())
    targets = {each["job_name"]: each["dns_sd_configs"][0] for each in config["scrape_configs"]}
    (port,) = (f.default for f in fields(settings) if f.name == f"{name}_port")
    assert len(targets) == len(SERVICES)
    assert (targets[f"parley-{name}"]["names"], targets[f"parley-{name}"]["port"]) == ([name], port)
