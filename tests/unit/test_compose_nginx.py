"""nginx of docker-compose.yml and Kubernetes: it routes a session to its gateway and to no other host."""

import re
from pathlib import Path

import pytest

from clients.nginx_edge import image_configuration
from parley.gateway.rest.attachments import FORM_BYTES
from parley.gateway.settings import Settings as GatewaySettings

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "deploy/docker"
NGINX = DOCKER / "nginx.conf"
SETTINGS: dict[str, dict[str, str]] = {
    "compose": {},
    "kubernetes": {
        "GATEWAYS": "parley-gateway.chat.svc.cluster.local:8001",
        "GATEWAY_PODS": "parley-gateway.parley-gateway-pods.chat.svc.cluster.local",
    },
}
NATIVE_NGINX = ROOT / "deploy/src/parley/stack/templates/nginx.conf"


def nginx() -> str:
    return NGINX.read_text()


class Routes:
    """The routes of a configuration: the upstream of a request by its ?sid=."""

    def __init__(self, configuration: str) -> None:
        block = re.search(r"map \$arg_sid \$gateway \{(.*?)\n    \}", configuration, re.S)
        assert block is not None
        self._rules: list[tuple[str, str]] = re.findall(r'^\s+"?(\S+?)"?\s+(\S+);$', block[1], re.M)

    def gateway_of(self, sid: str) -> str:
        """Return the target of the first expression that matches."""
        for pattern, target in self._rules:
            if pattern.startswith("~") and (match := re.search(pattern[1:].replace("(?<", "(?P<"), sid)):
                return target.replace("$node", match["node"])
        return dict(self._rules)["default" if sid else "''"]


@pytest.fixture(params=SETTINGS)
def kind(request: pytest.FixtureRequest) -> str:
    """Where the image runs."""
    return str(request.param)


@pytest.fixture
def routes(kind: str, tmp_path: Path) -> Routes:
    """The routes of nginx there."""
    return Routes(image_configuration(tmp_path, **SETTINGS[kind]))


def test_nginx_and_the_gateways_use_the_ports_of_compose() -> None:
    assert "listen 8080 " in nginx()
    assert "GATEWAY_PORT=8001" in (DOCKER / "Dockerfile").read_text()


@pytest.mark.parametrize(
    ("where", "sid", "address"),
    [
        ("compose", "0123456789ab.c2Vzc2lvbg", "0123456789ab:8001"),
        (
            "kubernetes",
            "parley-gateway-12.c2Vzc2lvbg",
            "parley-gateway-12.parley-gateway-pods.chat.svc.cluster.local:8001",
        ),
    ],
)
def test_a_session_id_is_routed_to_its_gateway(where: str, sid: str, address: str, tmp_path: Path) -> None:
    assert Routes(image_configuration(tmp_path, **SETTINGS[where])).gateway_of(sid) == address


@pytest.mark.parametrize(
    ("where", "address"),
    [("compose", "gateway:8001"), ("kubernetes", "parley-gateway.chat.svc.cluster.local:8001")],
)
def test_a_request_without_a_session_is_routed_to_any_gateway(
    where: str, address: str, tmp_path: Path
) -> None:
    configuration = image_configuration(tmp_path, **SETTINGS[where])
    assert Routes(configuration).gateway_of("") == "parley_any"
    assert f"server {address} resolve " in configuration
    assert "@" not in re.sub(r"#.*", "", configuration)


@pytest.mark.parametrize(
    "sid",
    [
        "mongo.x", "rabbitmq.x", "redis:6379.x", "127.0.0.1.x", "localhost.x", "g1.x", "gone", "parley_any",
        "0123456789ab", "0123456789abc.x", "0123456789AB.x", "0123456789ab:9001.x", "0123456789ab%2emongo.x",
        "x@0123456789ab.x", " 0123456789ab.x", "0123456789ab/metrics.x", "mongo\n0123456789ab.x", ".",
        "$node.", "parley-gateway.x", "parley-gateway-.x", "parley-gateway-0", "parley-gateway-00000.x",
        "parley-worker-0.x", "parley-gateway-0:9001.x", "x-parley-gateway-0.x", "parley-gateway-0/metrics.x",
        "mongo\nparley-gateway-0.x", "parley-gateway-pods.x",
    ],
)  # fmt: skip
def test_a_session_id_cannot_name_another_host(routes: Routes, sid: str) -> None:
    assert routes.gateway_of(sid) == "gone"


@pytest.mark.parametrize(
    "settings",
    [
        {"GATEWAYS": "gateway"},
        {"GATEWAYS": "gateway:8001 resolve; server mongo:27017"},
        {"GATEWAYS": ":8001"},
        {"GATEWAY_PODS": "parley-gateway"},
        {"GATEWAY_PODS": "parley-gateway.x; }"},
        {"TRUSTED_PROXIES": "proxy.example.org"},
        {"MAX_CONNECTIONS_OF_ADDRESS": "many"},
    ],
    ids=str,
)
def test_the_entry_point_refuses_an_invalid_setting_and_names_it(
    settings: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        image_configuration(tmp_path, **settings)


def test_clients_get_the_same_answers_as_from_the_native_stack() -> None:
    """Compare the server block of both files from `client_max_body_size` on."""
    ours, native = (text.partition("client_max_body_size")[2] for text in (nginx(), NATIVE_NGINX.read_text()))
    assert ours
    assert ours == native
    assert "if ($gateway = gone)" in ours


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_nginx_does_not_route_health_and_metrics_paths(path: str) -> None:
    assert f"location = {path} {{ return 404; }}" in nginx()


@pytest.mark.parametrize("file", [NGINX, NATIVE_NGINX])
def test_a_connection_without_a_whole_header_ends_within_seconds(file: Path) -> None:
    assert "client_header_timeout 5s;" in file.read_text()
    assert "limit_conn addresses @MOST_CONNECTIONS@;" in file.read_text()


def test_no_log_of_nginx_contains_a_query() -> None:
    log_format = re.search(r"log_format .*?;", nginx(), re.S)
    assert log_format is not None
    assert not re.search(r"\$(request|request_uri|args|query_string|arg_\w+|http_\w+)\b", log_format[0])
    assert re.findall(r"^    error_log .*;", nginx(), re.M) == ["    error_log stderr emerg;"]


def test_files_are_streamed_without_buffering() -> None:
    location = re.search(r"location /attachments \{(.*?)\}", nginx(), re.S)
    assert location is not None
    assert {"proxy_request_buffering off;", "proxy_buffering off;"} < {
        line.strip() for line in location[1].splitlines()
    }


def test_the_largest_file_with_its_form_fits_the_body_limit() -> None:
    passed = re.search(r"client_max_body_size (\d+)m;", nginx())
    assert passed is not None
    assert GatewaySettings().max_upload + FORM_BYTES <= int(passed[1]) * 1024 * 1024
