"""The native stack: it comes up whole, stays as it is, follows a change of size, and leaves nothing."""

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

import jwt
import pytest
import socketio

from parley.stack import Stack, StackError, processes, settings
from parley.stack.ports import require_free
from parley.stack.tokens import token

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


def pids(stack: Stack) -> dict[str, int]:
    return {part.name: part.pid for part in stack.status()}


def command_line(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (root / ".env").touch()
    command = [sys.executable, "-m", "parley.stack", "--root", str(root), *arguments]
    clean = {name: value for name, value in os.environ.items() if name != "HTTP_PORT"}
    return subprocess.run(command, capture_output=True, text=True, timeout=30, env=clean, check=False)


def test_every_part_is_ready_once_it_is_up(running: Stack) -> None:
    assert {part.name for part in running.status() if part.ready} == EVERY_PART


def test_a_second_up_changes_nothing_and_is_quick(running: Stack) -> None:
    before, start = pids(running), time.monotonic()
    Stack(running.directory).up()
    assert pids(running) == before
    assert time.monotonic() - start < 3 * SECONDS


def test_nothing_listens_to_other_machines(running: Stack) -> None:
    ours = {part.pid for part in running.status()} | processes.belonging_to(running.directory)
    assert listening_addresses(ours) <= {LOOPBACK, LOOPBACK_6}


def listening_addresses(owners: set[int]) -> set[str]:
    """The local addresses (hexadecimal, as the kernel writes them) of these processes' listening sockets."""
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


@pytest.mark.parametrize("part", ["gateway-1", "worker-1", "redis", "mongodb"])
def test_a_killed_part_comes_back(running: Stack, part: str) -> None:
    killed = pids(running)[part]
    running.signal(part, signal.SIGKILL)
    assert eventually(lambda: pids(running)[part] not in (0, killed), within=10 * SECONDS)
    assert eventually(lambda: all(part.ready for part in running.status()), within=20 * SECONDS)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_what_operators_ask_is_not_answered_to_clients(running: Stack, path: str) -> None:
    assert get(running.gateway_urls[0] + path)[0] == 200
    assert get(running.url + path)[0] == 404


def test_a_session_of_a_gateway_that_is_gone_is_refused_at_once(running: Stack) -> None:
    start = time.monotonic()
    status, _ = get(f"{running.url}/socket.io/?EIO=4&transport=polling&sid=g9.abcdef")
    assert status == 400
    assert time.monotonic() - start < 1 * SECONDS


def test_without_a_gateway_the_answer_is_a_retryable_error(running: Stack) -> None:
    for gateway in ("gateway-1", "gateway-2"):
        running.stop(gateway)
    status, body = get(f"{running.url}/chats/conversations")
    for gateway in ("gateway-1", "gateway-2"):
        running.start(gateway)
    assert status == 503
    error = json.loads(body)["error"]
    assert (error["code"], error["retryable"]) == ("UNAVAILABLE", True)


def test_no_log_shows_a_token_from_the_query(running: Stack) -> None:
    secret = token(running.jwt_secret, "mallory")
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


async def test_scaling_adds_and_removes_without_dropping_a_socket(running: Stack) -> None:
    client = socketio.AsyncClient(reconnection=False)
    gone = []
    client.on("disconnect", lambda *reason: gone.append(reason), namespace="/chat")
    credentials = {"token": token(running.jwt_secret, "alice")}
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


def test_a_size_that_makes_no_sense_is_refused(running: Stack) -> None:
    before = pids(running)
    with pytest.raises(StackError, match="1 to 24 gateways, not 0"):
        running.scale(gateways=0)
    assert pids(running) == before


def test_a_part_that_is_killed_for_good_stays_away_until_it_is_started(running: Stack) -> None:
    before = pids(running)["redis"]
    running.kill("redis")
    assert {part.name: part.state for part in running.status()}["redis"] == "STOPPED"
    running.start("redis")
    assert pids(running)["redis"] not in (0, before)


def test_only_a_service_that_is_told_something_of_its_own_is_restarted(running: Stack) -> None:
    before = pids(running)
    running.tell({"worker-2": {"BATCH_LIMIT": "7"}})
    told = pids(running)
    environment = Path(f"/proc/{told['worker-2']}/environ").read_bytes().split(b"\0")
    assert b"BATCH_LIMIT=7" in environment
    running.tell({})
    after = pids(running)
    assert {name for name in before if before[name] != told[name]} == {"worker-2"}
    assert {name for name in before if told[name] != after[name]} == {"worker-2"}
    with pytest.raises(StackError, match="There is no part worker-9"):
        running.tell({"worker-9": {}})


def test_what_was_killed_a_moment_ago_is_waited_for(running: Stack) -> None:
    for _ in range(2):
        before = pids(running)["gateway-2"]
        running.signal("gateway-2", signal.SIGKILL)
        running.up()
        assert pids(running)["gateway-2"] not in (0, before)


def test_a_service_that_cannot_start_is_named_with_its_reason(running: Stack) -> None:
    running.stop("worker-2")
    with pytest.raises(StackError, match=r"worker-2 ends right after its start(.|\n)*PARTITIONS"):
        running.tell({"worker-2": {"PARTITIONS": "none"}})
    running.tell({})
    assert pids(running)["worker-2"] != 0


@pytest.mark.parametrize(
    ("part", "settings", "complaint"),
    [
        ("worker-2", {"PARTITIONS": "none"}, "PARTITIONS must be a whole number, not 'none'"),
        ("gateway-2", {"CORS_ORIGINS": "*"}, "CORS_ORIGINS must list origins"),
    ],
)
def test_nothing_that_runs_is_given_up_for_settings_that_make_no_sense(
    part: str, settings: dict[str, str], complaint: str, running: Stack
) -> None:
    before = pids(running)
    with pytest.raises(StackError, match=f"^{part} would not start, and was left as it was. {complaint}"):
        running.tell({part: settings})
    running.tell({})
    assert pids(running) == before


def test_the_broker_answers_its_own_control_command(running: Stack) -> None:
    assert "parley" in running.rabbitmqctl("list_users")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["scale"], "Say how many there shall be: make scale GATEWAYS=4 WORKERS=3"),
        (["scale", "--gateways", "many"], "Argument --gateways: invalid int value: 'many'."),
        (["status"], "The stack is not up: run `make up` first."),
        (["token", ""], "A token needs a user: make token USER=alice"),
        (["token", "ann", "--ttl", "1y"], "A lifetime is a number with s, m, h or d, such as 24h, not '1y'."),
        (["logs", "/nothing"], "There is no log of /nothing in {run}/log."),
        (["nonsense"], None),
    ],
)
def test_what_is_asked_wrongly_is_one_clear_sentence(
    tmp_path: Path, arguments: list[str], complaint: str | None
) -> None:
    (tmp_path / ".env").write_text(f"HTTP_PORT=8080\nJWT_SECRET={'x' * 40}\n")
    answer = command_line(tmp_path, *arguments)
    assert answer.returncode in (1, 2)
    assert re.fullmatch(r"parley: .+\n", answer.stderr)
    if complaint is not None:
        assert answer.stderr == f"parley: {complaint.format(run=tmp_path / '.run')}\n"


def test_a_token_says_what_its_gateways_ask_for(tmp_path: Path) -> None:
    named = "JWT_ISSUER=https://id.example\nJWT_AUDIENCE=chat\n"
    (tmp_path / ".env").write_text(f"JWT_SECRET={'x' * 40}\n{named}")
    made = command_line(tmp_path, "token", "ann", "--role", "admin").stdout.strip()
    claims = jwt.decode(made, "x" * 40, ["HS256"], issuer="https://id.example", audience="chat")
    assert (claims["sub"], claims["role"]) == ("ann", "admin")
    (tmp_path / ".env").write_text("JWT_JWKS_URL=https://id.example/keys\n")
    assert "JWT_JWKS_URL" in command_line(tmp_path, "token", "ann").stderr


def test_a_port_in_use_is_one_clear_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (tmp_path / ".env").write_text(f"HTTP_PORT={port}\n")
        answer = command_line(tmp_path, "up")
    assert answer.returncode == 1
    assert answer.stderr == (
        f"parley: Port {port} is in use: stop what listens there, or set HTTP_PORT in .env.\n"
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
def test_a_setting_that_makes_no_sense_is_one_clear_sentence(
    tmp_path: Path, line: str, complaint: str
) -> None:
    (tmp_path / ".env").write_text(f"{line}\n", "latin-1")
    assert command_line(tmp_path, "up").stderr == f"parley: {complaint}\n"


def test_a_host_that_is_none_is_named_with_its_setting() -> None:
    with pytest.raises(StackError, match=r"by HTTP_HOST and HTTP_PORT: that is no name of a host\.$"):
        require_free(8080, "ä" * 70, "HTTP_PORT")


def test_the_first_settings_have_a_secret_of_their_own(tmp_path: Path) -> None:
    (tmp_path / ".env.example").write_text("# Signs tokens.\nJWT_SECRET=\nHTTP_PORT=8080\n")
    assert settings.write_first(tmp_path)
    assert not settings.write_first(tmp_path)
    assert len(settings.load(tmp_path)["JWT_SECRET"]) >= 64
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600


def test_data_is_deleted_only_after_a_yes(tmp_path: Path) -> None:
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


def test_a_stack_beside_another_ends_with_its_owner(running: Stack, tmp_path: Path) -> None:
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
