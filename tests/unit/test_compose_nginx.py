"""nginx of docker-compose.yml: leads sockets back to their gateway, and nobody anywhere else."""

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
    """Where nginx sends a request with this ?sid=, as its map says: the first expression that fits."""
    block = re.search(r"map \$arg_sid \$gateway \{(.*?)\n    \}", nginx(), re.S)
    assert block is not None
    rules = re.findall(r'^\s+"?(\S+?)"?\s+(\S+);$', block[1], re.M)
    for pattern, target in rules:
        if pattern.startswith("~") and (match := re.search(pattern[1:].replace("(?<", "(?P<"), sid)):
            return str(target).replace("$node", match["node"])
    otherwise: str = dict(rules)["default" if sid else "''"]
    return otherwise


def test_it_listens_where_compose_publishes_and_asks_where_gateways_listen() -> None:
    assert "listen 8080 " in nginx()
    assert "GATEWAY_PORT=8001" in (DOCKER / "Dockerfile").read_text()


def test_a_session_id_leads_back_to_its_gateway() -> None:
    assert gateway_of("0123456789ab.c2Vzc2lvbg") == "0123456789ab:8001"


def test_a_request_without_a_session_goes_to_any_gateway() -> None:
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


def test_a_session_of_nowhere_gets_the_answer_of_the_native_stack() -> None:
    """From its body size on, the server is the same in both, so what clients see is too."""
    ours, native = (text.partition("client_max_body_size")[2] for text in (nginx(), NATIVE_NGINX.read_text()))
    assert ours
    assert ours == native
    assert "if ($gateway = gone)" in ours


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_what_is_for_operators_does_not_pass_nginx(path: str) -> None:
    assert f"location = {path} {{ return 404; }}" in nginx()


def test_no_log_of_nginx_holds_a_query() -> None:
    log_format = re.search(r"log_format .*?;", nginx(), re.S)
    assert log_format is not None
    assert not re.search(r"\$(request|request_uri|args|query_string|arg_\w+|http_\w+)\b", log_format[0])
    assert re.findall(r"^    error_log .*;", nginx(), re.M) == ["    error_log stderr emerg;"]


def test_files_pass_through_without_being_gathered() -> None:
    location = re.search(r"location /attachments \{(.*?)\}", nginx(), re.S)
    assert location is not None
    assert {"proxy_request_buffering off;", "proxy_buffering off;"} < {
        line.strip() for line in location[1].splitlines()
    }


def test_the_largest_file_fits_with_the_form_around_it() -> None:
    passed = re.search(r"client_max_body_size (\d+)m;", nginx())
    assert passed is not None
    assert GatewaySettings().max_upload + FORM_BYTES <= int(passed[1]) * 1024 * 1024
