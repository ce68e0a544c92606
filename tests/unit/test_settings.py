"""Settings: the environment becomes typed values, or one clear error; .env.example lists them all."""

import re
import secrets
from dataclasses import dataclass, fields
from importlib.util import find_spec
from pathlib import Path

import aio_pika
import pytest
from redis.asyncio import SSLConnection
from yarl import URL

from parley.gateway.settings import Settings as GatewaySettings
from parley.gateway.settings import check, check_attachments, check_secret
from parley.persistence_worker.settings import Settings as WorkerSettings
from parley.shared import cluster_url
from parley.shared.amqp import node_urls
from parley.shared.redis import connect, open_commands
from parley.shared.settings import SettingsError, SharedSettings, host_name, load, setting

EXAMPLE = Path(__file__).parents[2] / ".env.example"
SERVICES = (GatewaySettings, WorkerSettings)
PER_PROCESS = {
    *("NODE_NAME", "GATEWAY_HOST", "GATEWAY_PORT", "NGINX_NETWORKS"),
    *("WORKER_NAME", "WORKER_HOST", "WORKER_PORT"),
}
SERVERS = {"REDIS_URL", "RABBITMQ_URL", "MONGO_URL"}
OF_THE_STACK = {
    "HTTP_PORT",
    "HTTP_HOST",
    "ADMIN_PORT",
    "ADMIN_HOST",
    "MAX_CONNECTIONS_OF_ADDRESS",
    "REDIS_PASSWORD",
    "RABBITMQ_PASSWORD",
    "MONGO_PASSWORD",
    "MONGO_ROOT_PASSWORD",
    "CLUSTER_SECRET",
    "CLUSTER_SUBNET",
}
KNOWN = {
    f.name.upper(): f for service in SERVICES for f in fields(service) if f.name.upper() not in PER_PROCESS
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Settings of every type."""

    name: str = setting("The name.")
    count: int = setting("A count.", 3)
    seconds: float = setting("A duration.", 0.5)
    switch: bool = setting("A switch.", False)
    origins: tuple[str, ...] = setting("A list.", ())


def example() -> dict[str, tuple[str, str]]:
    """Return .env.example as a map from variable to (comment, value)."""
    found = re.findall(r"^# (.+)\n(\w+)=(.*)$", EXAMPLE.read_text(), re.M)
    return {name: (comment, value) for comment, name, value in found}


def test_a_value_is_read_from_the_file_that_a_variable_names(tmp_path: Path) -> None:
    (tmp_path / "name").write_text("parley\n")
    (tmp_path / "count").write_text("7")

    settings = load(Sample, {"NAME_FILE": str(tmp_path / "name"), "COUNT_FILE": str(tmp_path / "count")})

    assert settings == Sample(name="parley", count=7)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"NAME": "x", "NAME_FILE": "/dev/null"}, "NAME and NAME_FILE are both set"),
        ({"NAME_FILE": "/nowhere/name"}, "NAME_FILE names a file that cannot be read: .*No such file"),
        ({"NAME_FILE": "/"}, "NAME_FILE names a file that cannot be read: .*Is a directory"),
        ({"NAME_FILE": "/dev/null"}, "NAME is not set"),
    ],
)
def test_an_error_names_the_variable_whose_file_cannot_be_used(environ: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load(Sample, environ)


def test_an_error_does_not_quote_what_a_file_contains(tmp_path: Path) -> None:
    (tmp_path / "url").write_bytes(b"mongodb://parley:hidden@\xff/parley")
    with pytest.raises(SettingsError) as raised:
        load(SharedSettings, {"MONGO_URL_FILE": str(tmp_path / "url")})
    assert "hidden" not in str(raised.value)


def test_a_value_is_parsed_to_the_type_of_its_setting() -> None:
    environ = {"NAME": " ann ", "COUNT": "7", "SECONDS": "1.5", "SWITCH": "on", "ORIGINS": "a, b,,"}
    loaded = load(Sample, environ)
    assert loaded == Sample(name="ann", count=7, seconds=1.5, switch=True, origins=("a", "b"))


def test_a_variable_that_is_not_set_keeps_its_default() -> None:
    assert load(Sample, {"NAME": "ann", "SOMETHING_ELSE": "x"}) == Sample(name="ann")


def test_an_empty_variable_counts_as_not_set() -> None:
    assert load(Sample, {"NAME": "ann", "COUNT": "", "SWITCH": "  ", "ORIGINS": ""}) == Sample(name="ann")


@pytest.mark.parametrize("environ", [{}, {"NAME": ""}, {"NAME": "  "}, {"name": "ann"}])
def test_a_missing_required_setting_is_reported_with_its_meaning(environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"^NAME is not set: The name\.$"):
        load(Sample, environ)


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("COUNT", "many", "COUNT must be a whole number, not 'many'"),
        ("COUNT", "1.5", "COUNT must be a whole number, not '1.5'"),
        ("SECONDS", "soon", "SECONDS must be a number, not 'soon'"),
        ("SWITCH", "maybe", "SWITCH must be on or off, not 'maybe'"),
    ],
)
def test_a_value_of_the_wrong_type_is_reported_in_one_sentence(name: str, value: str, complaint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(Sample, {"NAME": "ann", name: value})
    assert str(caught.value) == complaint


@pytest.mark.parametrize(
    ("text", "value"),
    [("on", True), ("True", True), ("1", True), ("off", False), ("FALSE", False), ("0", False)],
)
def test_a_switch_accepts_on_true_and_1_and_their_opposites(text: str, value: bool) -> None:
    assert load(Sample, {"NAME": "ann", "SWITCH": text}).switch is value


@pytest.mark.parametrize(
    ("service", "name", "value"),
    [
        *((GatewaySettings, "REDIS_URL", f"redis://{wrong}") for wrong in ("", ":::", "h:port/0", "a b")),
        *(
            (WorkerSettings, "RABBITMQ_URL", f"amqp://{wrong}")
            for wrong in ("x:y:z@", "h:port/", "a,,b/", "a,b:0/")
        ),
        *(
            (WorkerSettings, "REDIS_URL", f"redis+sentinel://{wrong}")
            for wrong in ("a,b", "a,b/", "/name", "a,/name", "a:66000,b/name", "a,b/name/x", "a b/name")
        ),
        *(
            (WorkerSettings, "REDIS_URL", f"redis+cluster://{wrong}")
            for wrong in ("", "/0", "a,,b", "a:66000,b", "a,b/1", "a,b/name", "a b", "a,b/0/x")
        ),
        *((WorkerSettings, "MONGO_URL", f"mongodb://{wrong}") for wrong in ("::::", "h:port/x", "a:1,b:c/x")),
        (GatewaySettings, "JWT_JWKS_URL", "id.example/keys"),
        *((GatewaySettings, "AUDIT_SECONDS", wrong) for wrong in ("nan", "inf", "1e999")),
        (GatewaySettings, "REVOCATION_DAYS", "99999999999999999999"),
        (GatewaySettings, "GATEWAY_PORT", "65536"),
        (WorkerSettings, "PREFETCH", "65536"),
        (WorkerSettings, "PARTITIONS", "1000000"),
    ],
)
def test_an_unusable_value_is_reported_with_its_setting(
    service: type[SharedSettings], name: str, value: str
) -> None:
    with pytest.raises(SettingsError, match=f"^{name} "):
        load(service, {name: value})


@pytest.mark.parametrize(
    "value",
    [
        "mongodb://ann:p%40ss@a.example:27017,b.example:27018,[::1]:27019/parley?replicaSet=rs0&tls=true",
        "mongodb+srv://ann:secret@cluster0.example.net/parley?retryWrites=true",
        "mongodb://%2Ftmp%2Fmongodb-27017.sock/parley",
        "mongodb://localhost",
        "mongodb://h1,h2,h3/parley?replicaSet=parley&readPreference=primary",
    ],
)
def test_mongo_url_accepts_every_kind_of_mongodb_url(value: str) -> None:
    assert load(WorkerSettings, {"MONGO_URL": value}).mongo_url == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RABBITMQ_URL", "amqp://user:p%40w@h1:5672,h2:65535,h3/vhost?connection_timeout=1"),
        ("RABBITMQ_URL", "amqps://[::1]:5671,h2/?cafile=/ca.pem"),
        ("REDIS_URL", "redis+sentinel://h1:26379,h2,h3/parley"),
        ("REDIS_URL", "redis+cluster://h1"),
        ("REDIS_URL", "redis+cluster://h1:6379,h2,h3/0"),
        ("REDIS_URL", "rediss+cluster://user:p%40w@h1:6379,[::1]:2,h3/?ssl_ca_certs=/ca.pem"),
        ("REDIS_URL", "rediss+sentinel://user:p%40w@h1:26379,[::1]:2,h3/parley/2?ssl_ca_certs=/ca.pem"),
    ],
)
def test_the_url_of_a_cluster_names_several_hosts(name: str, value: str) -> None:
    assert getattr(load(WorkerSettings, {name: value}), name.lower()) == value


@pytest.mark.parametrize(
    ("url", "urls"),
    [
        ("amqp://h", ["amqp://h"]),
        (
            "amqp://u:p@a:1,[::1]:2,c/v?x=1",
            ["amqp://u:p@a:1/v?x=1", "amqp://u:p@[::1]:2/v?x=1", "amqp://u:p@c/v?x=1"],
        ),
    ],
)
def test_a_rabbitmq_url_is_one_of_each_host(url: str, urls: list[str]) -> None:
    assert node_urls(url) == urls


@pytest.mark.parametrize("option", ["unknown=1", "socket_timeout=soon"])
@pytest.mark.parametrize(
    "url", ["redis://ann:secret@h/0", "redis+sentinel://ann:secret@h/name", "redis+cluster://ann:secret@h,i"]
)
def test_an_unusable_option_of_a_redis_url_is_reported_in_one_sentence(url: str, option: str) -> None:
    complaint = "REDIS_URL has an unknown option, or one with an invalid value."
    for opened in (connect, open_commands):
        with pytest.raises(SettingsError) as caught:
            opened(f"{url}?{option}")
        assert str(caught.value) == complaint


def test_the_url_of_a_redis_cluster_holds_for_all_of_its_nodes() -> None:
    url = "rediss+cluster://ann:p%40w@h1:6379,[::1]:2,h3/0?ssl_ca_certs=/ca.pem"
    assert cluster_url.addresses(url) == [("h1", 6379), ("::1", 2), ("h3", 6379)]
    assert cluster_url.node_url(url, ("::2", 7)) == "rediss://ann:p%40w@[::2]:7/0?ssl_ca_certs=/ca.pem"
    options = connect(url).connection_kwargs
    assert (options["username"], options["password"], options["ssl_ca_certs"]) == ("ann", "p@w", "/ca.pem")
    assert issubclass(options["connection_class"], SSLConnection)


def test_host_name_leaves_out_the_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "Chat-7.Example.org")
    assert host_name() == "chat-7"


def test_the_example_has_every_setting_of_both_services_and_no_other() -> None:
    assert set(example()) == set(KNOWN) | OF_THE_STACK


def test_each_line_of_the_example_is_a_setting_or_its_description() -> None:
    lines = EXAMPLE.read_text().splitlines()
    assert len(lines) == 2 * len(example())
    assert all(comment.endswith(".") for comment, _ in example().values())


@pytest.mark.parametrize("name", sorted(set(KNOWN) - SERVERS))
def test_the_example_describes_a_setting_as_the_code_does(name: str) -> None:
    assert example()[name][0].startswith(KNOWN[name].metadata["doc"])


@pytest.mark.parametrize("name", sorted(SERVERS))
def test_the_example_leaves_the_urls_of_servers_to_the_stack(name: str) -> None:
    assert example()[name][1] == ""


@pytest.mark.parametrize("service", SERVICES)
def test_the_values_of_the_example_are_the_defaults(service: type[SharedSettings]) -> None:
    values = {name: value for name, (_, value) in example().items()}
    assert load(service, values) == load(service, {})


@pytest.mark.parametrize("name", sorted(set(KNOWN) - SERVERS))
def test_the_example_shows_each_default_that_is_not_empty(name: str) -> None:
    assert bool(example()[name][1]) is (KNOWN[name].default not in ("", (), None))


@pytest.mark.parametrize(
    ("environ", "complaint"),
    [
        ({"ATTACHMENTS": "s3"}, "S3_BUCKET is not set: ATTACHMENTS=s3 needs one."),
        (
            {"ATTACHMENTS": "s3", "S3_BUCKET": "files", "S3_ACCESS_KEY": "ann"},
            "S3_ACCESS_KEY and S3_SECRET_KEY belong together: set both or neither.",
        ),
        (
            {"ATTACHMENTS": "disk"},
            "ATTACHMENTS has an invalid value: The storage of uploads: gridfs or s3.",
        ),
        ({"MAX_UPLOAD": "0"}, "MAX_UPLOAD must be at least 1, not 0"),
        (
            {"S3_ENDPOINT": "s3.example.org"},
            "S3_ENDPOINT has an invalid value: The URL of an S3-compatible server; empty takes Amazon's.",
        ),
    ],
)
def test_contradictory_settings_of_attachments_are_reported_in_one_sentence(
    environ: dict[str, str], complaint: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        check_attachments(load(GatewaySettings, environ))
    assert str(caught.value) == complaint


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"ATTACHMENTS": "s3", "S3_BUCKET": "files"},
        {"ATTACHMENTS": "s3", "S3_BUCKET": "files", "S3_ACCESS_KEY": "ann", "S3_SECRET_KEY": "a secret"},
    ],
)
def test_valid_settings_of_attachments_are_accepted(environ: dict[str, str]) -> None:
    check_attachments(load(GatewaySettings, environ))


VALID = {"JWT_SECRET": secrets.token_hex(32), "NODE_NAME": "gateway-1"}


@pytest.mark.parametrize("origins", ["*", "https://a.example,*"])
def test_a_list_of_origins_does_not_allow_all(origins: str) -> None:
    with pytest.raises(SettingsError) as caught:
        check(load(GatewaySettings, {**VALID, "CORS_ORIGINS": origins}))
    assert str(caught.value) == (
        "CORS_ORIGINS must list origins: with * any web page could act for its visitors."
    )


@pytest.mark.parametrize(
    "origin", ["https://a.example/", "a.example", "null", "https://*.example", "https://"]
)
def test_an_invalid_origin_cannot_be_listed(origin: str) -> None:
    with pytest.raises(SettingsError) as caught:
        check(load(GatewaySettings, {**VALID, "CORS_ORIGINS": origin}))
    assert str(caught.value) == (
        f"CORS_ORIGINS must list origins as https://chat.example:8443, not {origin!r}."
    )


WEAK = [
    ("secret", "is shorter than 32 bytes"),
    ("0123456789abcdefghijklmnopqrstu", "is shorter than 32 bytes"),
    ("a" * 64, "repeats a few characters"),
    ("0101" * 16, "repeats a few characters"),
    ("your-secret-key-change-in-production", "is a publicly known placeholder"),
    ("your-super-secret-jwt-key-change-this", "is a publicly known placeholder"),
    ("your_jwt_secret_key", "is a publicly known placeholder"),
    ("your-production-secret-key", "is a publicly known placeholder"),
    ("CHANGE_ME_" * 4, "is a publicly known placeholder"),
    ("this is a super secret of the whole team", "is a publicly known placeholder"),
]


@pytest.mark.parametrize(("secret", "weakness"), WEAK)
def test_a_weak_secret_is_refused_in_one_sentence(secret: str, weakness: str) -> None:
    with pytest.raises(SettingsError) as caught:
        check_secret(load(GatewaySettings, {"JWT_SECRET": secret}))
    assert str(caught.value) == (
        f"JWT_SECRET {weakness}: generate one with `openssl rand -base64 48`, "
        "or set ENVIRONMENT=development to try Parley out."
    )


@pytest.mark.parametrize("secret", [secret for secret, _ in WEAK])
def test_development_accepts_a_weak_secret(secret: str) -> None:
    check_secret(load(GatewaySettings, {"JWT_SECRET": secret, "ENVIRONMENT": "development"}))


@pytest.mark.parametrize("environment", ["production", "development"])
def test_a_missing_secret_is_refused_in_every_environment(environment: str) -> None:
    with pytest.raises(SettingsError, match=r"^JWT_SECRET is not set; set it, or JWT_JWKS_URL\.$"):
        check_secret(load(GatewaySettings, {"ENVIRONMENT": environment}))


def test_a_weak_secret_is_accepted_where_a_jwks_is_used() -> None:
    check_secret(load(GatewaySettings, {"JWT_SECRET": "secret", "JWT_JWKS_URL": "https://id.example/keys"}))


@pytest.mark.parametrize("bytes_", [24, 32, 48])
def test_random_secrets_are_accepted(bytes_: int) -> None:
    for _ in range(100):
        check_secret(load(GatewaySettings, {"JWT_SECRET": secrets.token_urlsafe(bytes_)}))
        check_secret(load(GatewaySettings, {"JWT_SECRET": secrets.token_hex(bytes_)}))


def test_a_random_secret_that_begins_with_your_is_accepted() -> None:
    check_secret(load(GatewaySettings, {"JWT_SECRET": "YoUr9tqW3zRk-7LpVx2_bNf8HsDg4JcM"}))


@pytest.mark.parametrize("environment", ["prod", "staging", "Development"])
def test_an_environment_other_than_production_and_development_is_refused(environment: str) -> None:
    with pytest.raises(SettingsError, match=r"^ENVIRONMENT has an invalid value"):
        load(GatewaySettings, {"ENVIRONMENT": environment})


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("REDIS_URL", "rediss://parley:secret@redis.example:6380/0?ssl_ca_certs=/ca.pem"),
        ("RABBITMQ_URL", "amqps://parley:secret@rabbitmq.example:5671/chat?cafile=/ca.pem"),
        ("MONGO_URL", "mongodb+srv://parley:secret@cluster.example/parley?retryWrites=true"),
        ("MONGO_URL", "mongodb://parley:secret@mongo.example/parley?tls=true"),
    ],
)
@pytest.mark.parametrize("service", [GatewaySettings, WorkerSettings])
def test_the_url_of_a_server_may_ask_for_tls(name: str, url: str, service: type[SharedSettings]) -> None:
    assert getattr(load(service, {name: url}), name.lower()) == url


async def test_the_drivers_use_tls_for_these_urls() -> None:
    connection = connect("rediss://parley:secret@redis.example:6380/0").connection_pool.make_connection()
    assert isinstance(connection, SSLConnection)
    assert aio_pika.Connection(URL("amqps://parley:secret@rabbitmq.example/chat")).url.scheme == "amqps"
    assert find_spec("dns") is not None, "mongodb+srv:// asks the DNS for the hosts"


@pytest.mark.parametrize("name", ["g1", "0123456789ab", "a-long-release-parley-gateway-12", "x" * 63])
def test_a_gateway_may_have_the_name_of_a_container_or_a_pod(name: str) -> None:
    assert load(GatewaySettings, {"NODE_NAME": name}).node_name == name


@pytest.mark.parametrize("name", ["x" * 64, "g.1", "G1", "g_1"])
def test_a_gateway_s_name_is_one_that_dns_accepts(name: str) -> None:
    with pytest.raises(SettingsError, match="NODE_NAME"):
        load(GatewaySettings, {"NODE_NAME": name})
