"""The native stack: start, restart, scaling, errors of its commands, and a clean stop."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import jwt
import pytest
import socketio

from parley.stack import Stack, StackError, processes, settings
from parley.stack.ports import require_free
from parley.stack.tokens import create_token

SECONDS = 1.0
LOOPBACK, LOOPBACK_6 = "0100007F", "00000000000000000000000001000000"
EVERY_PART = {
    "epmd", "rabbitmq", "redis", "mongodb", "worker-1", "worker-2", "gateway-1", "gateway-2", "nginx",
}  # fmt: skip


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


def eventually(holds: Callable[[], object], within: float) -> bool:
    deadline = time.monotonic() + within
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read()


def is_served(url: str) -> bool:
    try:
        return get(f"{url}/openapi.json")[0] == 200
    except urllib.error.URLError:
        return False


def pids(stack: Stack) -> dict[str, int]:
    return {part.name: part.pid for part in stack.status()}


def command_line(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (root / ".env").touch()
    command = [sys.executable, "-m", "parley.stack", "--root", str(root), *arguments]
    clean = {name: value for name, value in os.environ.items() if name != "HTTP_PORT"}
    return subprocess.run(command, capture_output=True, text=True, timeout=30, env=clean, check=False)


def test_every_part_is_ready_after_up(running: Stack) -> None:
    assert {part.name for part in running.status() if part.ready} == EVERY_PART


def test_a_second_up_restarts_nothing_and_is_quick(running: Stack) -> None:
    before, start = pids(running), time.monotonic()
    Stack(running.directory).up()
    assert pids(running) == before
    assert time.monotonic() - start < 3 * SECONDS


def test_every_process_listens_on_the_loopback_only(running: Stack) -> None:
    ours = {part.pid for part in running.status()} | processes.belonging_to(running.directory)
    assert listening_addresses(ours) <= {LOOPBACK, LOOPBACK_6}


def listening_addresses(owners: set[int]) -> set[str]:
    """Return the local addresses (hexadecimal, as in /proc/net/tcp) of these processes' listening sockets."""
    inodes = {inode for pid in owners for inode in socket_inodes(pid)}
    addresses = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                addresses.add(fields[1].partition(":")[0])
    return addresses


def socket_inodes(pid: int) -> list[str]:
    links = []
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.append(os.readlink(handle))
        except OSError:
            continue
    return [link[8:-1] for link in links if link.startswith("socket:[")]


def test_rabbitmqctl_reaches_the_stack_s_own_node(running: Stack, tmp_path: Path) -> None:
    (tmp_path / ".run").symlink_to(running.directory)
    (tmp_path / ".env").write_text("HTTP_PORT=8080\n")
    listed = command_line(tmp_path, "rabbitmqctl", "list_queues", "name", "owner_pid", "--silent").stdout
    held = {queue: owner for queue, owner in (line.split("\t") for line in listed.splitlines()) if owner}
    assert {"parley.owner.0", "parley.owner.1"} <= held.keys(), listed

    wrong = command_line(tmp_path, "rabbitmqctl", "--host", "2", "status")
    assert wrong.stderr == "parley: There is no host 2: the stack has 1.\n"
    assert "list_nothing" in command_line(tmp_path, "rabbitmqctl", "list_nothing").stderr


@pytest.mark.parametrize("part", ["gateway-1", "worker-1", "redis", "mongodb"])
def test_a_killed_part_is_restarted(running: Stack, part: str) -> None:
    killed = pids(running)[part]
    running.signal(part, signal.SIGKILL)
    assert eventually(lambda: pids(running)[part] not in (0, killed), within=10 * SECONDS)
    assert eventually(lambda: all(part.ready for part in running.status()), within=20 * SECONDS)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_nginx_does_not_route_health_and_metrics_paths(running: Stack, path: str) -> None:
    assert get(running.gateway_urls[0] + path)[0] == 200
    assert get(running.url + path)[0] == 404


def test_a_session_of_a_removed_gateway_is_refused_at_once(running: Stack) -> None:
    start = time.monotonic()
    status, _ = get(f"{running.url}/socket.io/?EIO=4&transport=polling&sid=g9.abcdef")
    assert status == 400
    assert time.monotonic() - start < 1 * SECONDS


def test_nginx_answers_a_retryable_error_when_no_gateway_runs(running: Stack) -> None:
    for gateway in ("gateway-1", "gateway-2"):
        running.stop(gateway)
    status, body = get(f"{running.url}/chats/conversations")
    for gateway in ("gateway-1", "gateway-2"):
        running.start(gateway)
    assert status == 503
    error = json.loads(body)["error"]
    assert (error["code"], error["retryable"]) == ("UNAVAILABLE", True)


def test_no_log_contains_a_token_from_the_query(running: Stack) -> None:
    secret = create_token(running.jwt_secret, "mallory")
    for gateway in ("gateway-1", "gateway-2"):
        running.stop(gateway)
    get(f"{running.url}/socket.io/?EIO=4&transport=polling&token={secret}")
    for gateway in ("gateway-1", "gateway-2"):
        running.start(gateway)
    get(f"{running.url}/chats/conversations?token={secret}")
    get(f"{running.url}/socket.io/?EIO=4&transport=polling&token={secret}")
    access = running.log("nginx-access")
    assert eventually(lambda: "/chats/conversations" in access.read_text(), within=5 * SECONDS)
    assert [log.name for log in access.parent.iterdir() if secret in log.read_text(errors="replace")] == []


async def test_scaling_up_and_down_drops_no_socket(running: Stack) -> None:
    client = socketio.AsyncClient(reconnection=False)
    gone = []
    client.on("disconnect", lambda *reason: gone.append(reason), namespace="/chat")
    credentials = {"token": create_token(running.jwt_secret, "alice")}
    await client.connect(running.url, auth=credentials, namespaces=["/chat"], transports=["websocket"])
    try:
        home = int(client.eio.sid.partition(".")[0].removeprefix("g"))
        running.scale(gateways=3, workers=1)
        assert {"gateway-3", "worker-1"} <= pids(running).keys()
        assert "worker-2" not in pids(running)
        running.scale(gateways=max(home, 1), workers=2)
        await client.emit("getOnlineUsers", namespace="/chat")
        assert client.connected
        assert gone == []
    finally:
        await client.disconnect()
        running.scale(gateways=2, workers=2)
    assert pids(running).keys() == EVERY_PART


def test_an_invalid_size_is_refused_and_changes_nothing(running: Stack) -> None:
    before = pids(running)
    with pytest.raises(StackError, match="1 to 24 gateways, not 0"):
        running.scale(gateways=0)
    assert pids(running) == before


def test_a_killed_part_stays_stopped_until_it_is_started(running: Stack) -> None:
    before = pids(running)["redis"]
    running.kill("redis")
    assert {part.name: part.state for part in running.status()}["redis"] == "STOPPED"
    running.start("redis")
    assert pids(running)["redis"] not in (0, before)


def test_only_a_service_with_changed_overrides_is_restarted(running: Stack) -> None:
    before = pids(running)
    running.set_overrides({"worker-2": {"BATCH_LIMIT": "7"}})
    overridden = pids(running)
    environment = Path(f"/proc/{overridden['worker-2']}/environ").read_bytes().split(b"\0")
    assert b"BATCH_LIMIT=7" in environment
    running.set_overrides({})
    after = pids(running)
    assert {name for name in before if before[name] != overridden[name]} == {"worker-2"}
    assert {name for name in before if overridden[name] != after[name]} == {"worker-2"}
    with pytest.raises(StackError, match="There is no part worker-9; the parts are watchdog, epmd, "):
        running.set_overrides({"worker-9": {}})


def test_up_waits_for_a_part_that_was_just_killed(running: Stack) -> None:
    for _ in range(2):
        before = pids(running)["gateway-2"]
        running.signal("gateway-2", signal.SIGKILL)
        running.up()
        assert pids(running)["gateway-2"] not in (0, before)


def test_an_error_names_the_service_that_cannot_start_and_the_reason(running: Stack) -> None:
    running.stop("worker-2")
    with pytest.raises(StackError, match=r"worker-2 ended right after its start(.|\n)*PARTITIONS"):
        running.set_overrides({"worker-2": {"PARTITIONS": "none"}})
    running.set_overrides({})
    assert pids(running)["worker-2"] != 0


@pytest.mark.parametrize(
    ("part", "settings", "complaint"),
    [
        ("worker-2", {"PARTITIONS": "none"}, "PARTITIONS must be a whole number, not 'none'"),
        ("gateway-2", {"CORS_ORIGINS": "*"}, "CORS_ORIGINS must list origins"),
    ],
)
def test_a_running_service_is_not_stopped_for_invalid_settings(
    part: str, settings: dict[str, str], complaint: str, running: Stack
) -> None:
    before = pids(running)
    with pytest.raises(
        StackError, match=f"^{part} cannot start with its new settings; it still runs. {complaint}"
    ):
        running.set_overrides({part: settings})
    running.set_overrides({})
    assert pids(running) == before


@pytest.mark.parametrize("host", ["0.0.0.0", "::1", "::"])
def test_the_address_of_a_running_stack_can_be_changed(host: str, running: Stack) -> None:
    before = pids(running)
    moved = Stack(running.directory, host=host, http_port=urlsplit(running.url).port)
    try:
        moved.up()
        assert get(f"{moved.url}/openapi.json")[0] == 200
        assert pids(moved) == {**before, "nginx": pids(moved)["nginx"]}
    finally:
        running.up()
    assert get(f"{running.url}/openapi.json")[0] == 200


def test_a_running_stack_keeps_its_address_where_the_new_one_is_in_use(running: Stack) -> None:
    port = urlsplit(running.url).port
    with socket.create_server(("127.0.0.2", port or 0)):
        with pytest.raises(StackError, match=f"Port {port} is in use"):
            Stack(running.directory, host="0.0.0.0", http_port=port).up()
        assert eventually(lambda: is_served(running.url), 10 * SECONDS)


def test_rabbitmqctl_reaches_the_stack_s_own_broker(running: Stack) -> None:
    assert "parley" in running.rabbitmqctl("list_users")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["scale"], "Give the number of gateways or workers: make scale GATEWAYS=4 WORKERS=3"),
        (["scale", "--gateways", "many"], "Argument --gateways: invalid int value: 'many'."),
        (["status"], "The stack is not running: run `make up` first."),
        (["token", ""], "A token needs a user: make token USER=alice"),
        (["token", "ann", "--ttl", "1y"], "A lifetime is a number with s, m, h or d, such as 24h, not '1y'."),
        (["logs", "/nothing"], "There is no log of /nothing in {run}/log."),
        (["nonsense"], None),
    ],
)
def test_a_wrong_command_is_reported_in_one_line(
    tmp_path: Path, arguments: list[str], complaint: str | None
) -> None:
    (tmp_path / ".env").write_text(f"HTTP_PORT=8080\nJWT_SECRET={'x' * 40}\n")
    answer = command_line(tmp_path, *arguments)
    assert answer.returncode in (1, 2)
    assert re.fullmatch(r"parley: .+\n", answer.stderr)
    if complaint is not None:
        assert answer.stderr == f"parley: {complaint.format(run=tmp_path / '.run')}\n"


def test_a_token_has_the_issuer_and_audience_of_the_settings(tmp_path: Path) -> None:
    named = "JWT_ISSUER=https://id.example\nJWT_AUDIENCE=chat\n"
    (tmp_path / ".env").write_text(f"JWT_SECRET={'x' * 40}\n{named}")
    made = command_line(tmp_path, "token", "ann", "--role", "admin").stdout.strip()
    claims = jwt.decode(made, "x" * 40, ["HS256"], issuer="https://id.example", audience="chat")
    assert (claims["sub"], claims["role"]) == ("ann", "admin")
    (tmp_path / ".env").write_text("JWT_JWKS_URL=https://id.example/keys\n")
    assert "JWT_JWKS_URL" in command_line(tmp_path, "token", "ann").stderr


def test_a_port_in_use_is_reported_in_one_line_and_nothing_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (tmp_path / ".env").write_text(f"HTTP_PORT={port}\n")
        answer = command_line(tmp_path, "up")
    assert answer.returncode == 1
    assert answer.stderr == (
        f"parley: Port {port} is in use: stop its program, or set HTTP_PORT in .env to another port.\n"
    )
    assert processes.belonging_to(tmp_path / ".run") == set()


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("HTTP_PORT=eighty", "HTTP_PORT must be a port from 1 to 65535, not 'eighty'."),
        ("HTTP_PORT 80", ".env, line 1: expected NAME=value, not 'HTTP_PORT 80'."),
        ("HTTP_PORT=8080 # f\xfcr", ".env is not UTF-8."),
    ],
)
def test_an_invalid_setting_is_reported_in_one_line(tmp_path: Path, line: str, complaint: str) -> None:
    (tmp_path / ".env").write_text(f"{line}\n", "latin-1")
    assert command_line(tmp_path, "up").stderr == f"parley: {complaint}\n"


def test_an_address_of_ipv6_is_checked_and_written_with_brackets() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StackError, match=f"Port {port} is in use"):
            require_free(port, "::1", "HTTP_PORT")
    require_free(port, "::1", "HTTP_PORT")
    with pytest.raises(
        StackError, match=r"Cannot listen on \[2001:db8::1\]:8080 \(HTTP_HOST and HTTP_PORT\)"
    ):
        require_free(8080, "2001:db8::1", "HTTP_PORT")


def test_an_error_names_the_setting_of_an_invalid_host() -> None:
    with pytest.raises(StackError, match=r"\(HTTP_HOST and HTTP_PORT\): not a valid host name\.$"):
        require_free(8080, "ä" * 70, "HTTP_PORT")


def test_the_first_env_file_has_a_fresh_secret(tmp_path: Path) -> None:
    (tmp_path / ".env.example").write_text("# Signs tokens.\nJWT_SECRET=\nHTTP_PORT=8080\n")
    assert settings.create_env_file(tmp_path)
    assert not settings.create_env_file(tmp_path)
    assert len(settings.load(tmp_path)["JWT_SECRET"]) >= 64
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600


def test_clean_deletes_data_only_after_confirmation(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("HTTP_PORT=8080\n")
    data = tmp_path / ".run" / "data"
    data.mkdir(parents=True)
    assert command_line(tmp_path, "clean").returncode == 1
    assert data.exists()
    assert command_line(tmp_path, "clean", "--yes").returncode == 0
    assert not data.exists()


_OWNER = """
import sys, time
from pathlib import Path
from parley.stack import Stack
stack = Stack(Path(sys.argv[1]), gateways=1, workers=1, settings={"REDIS_URL": sys.argv[2]})
stack.up()
print(*(part.name for part in stack.status()), flush=True)
time.sleep(60)
"""


@pytest.mark.slow
def test_a_second_stack_ends_with_its_owner_and_leaves_the_first_alone(
    running: Stack, tmp_path: Path
) -> None:
    before = pids(running)
    command = [sys.executable, "-c", _OWNER, str(tmp_path), running.redis_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout
        assert owner.stdout.readline().split() == [
            "epmd", "rabbitmq", "mongodb", "worker-1", "gateway-1", "nginx",
        ]  # fmt: skip
        owner.kill()
    assert eventually(lambda: not processes.belonging_to(tmp_path), within=20 * SECONDS)
    assert pids(running) == before


@pytest.mark.slow
def test_down_leaves_no_process(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "100 % 'our' own" / ("deep" * 20), gateways=1, workers=1)
    stack.up()
    assert processes.belonging_to(stack.directory)
    stack.down()
    assert processes.belonging_to(stack.directory) == set()
    assert not [pid for pid in running_pids() if str(tmp_path) in processes.title(pid)]
    stack.down()


def running_pids() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
