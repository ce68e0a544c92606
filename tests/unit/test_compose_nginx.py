"""nginx of docker-compose.yml: it routes a session to its gateway and to no other host."""

import re
from pathlib import Path

import pytest

from parley.gateway.rest.attachments import FORM_BYTES
from parley.gateway.settings import Settings as GatewaySettings

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "deploy/docker"
NGINX = DOCKER / "nginx.conf"
NATIVE_NGINX = ROOT / "deploy/src/parley/stack/templates/nginx.conf"


def nginx() -> str:
    return NGINX.read_text()


def gateway_of(sid: str) -> str:
    """Return the upstream of a request with this ?sid=: the first expression of nginx's map that matches."""
    block = re.search(r"map \$arg_sid \$gateway \{(.*?)\n    \}", nginx(), re.S)
    assert block is not None
    rules = re.findall(r'^\s+"?(\S+?)"?\s+(\S+);$', block[1], re.M)
    for pattern, target in rules:
        if pattern.startswith("~") and (match := re.search(pattern[1:].replace("(?<", "(?P<"), sid)):
            return str(target).replace("$node", match["node"])
    otherwise: str = dict(rules)["default" if sid else "''"]
    return otherwise


def test_nginx_and_the_gateways_use_the_ports_of_compose() -> None:
    assert "listen 8080 " in nginx()
    assert "GATEWAY_PORT=8001" in (DOCKER / "Dockerfile").read_text()


def test_a_session_id_is_routed_to_its_gateway() -> None:
    assert gateway_of("0123456789ab.c2Vzc2lvbg") == "0123456789ab:8001"


def test_a_request_without_a_session_is_routed_to_any_gateway() -> None:
    assert gateway_of("") == "parley_any"
    assert "server gateway:8001 resolve " in nginx()


@pytest.mark.parametrize(
    "sid",
    [
        "mongo.x", "rabbitmq.x", "redis:6379.x", "127.0.0.1.x", "localhost.x", "g1.x", "gone", "parley_any",
        "0123456789ab", "0123456789abc.x", "0123456789AB.x", "0123456789ab:9001.x", "0123456789ab%2emongo.x",
        "x@0123456789ab.x", " 0123456789ab.x", "0123456789ab/metrics.x", "mongo\n0123456789ab.x", ".",
        "$node.",
    ],
)  # fmt: skip
def test_a_session_id_cannot_name_another_host(sid: str) -> None:
    assert gateway_of(sid) == "gone"


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
