"""`parley doctor` and `parley config check` find what is wrong, and say what to do in a sentence."""

import asyncio
import re
import signal
import socket
import uuid
from pathlib import Path

import pytest

from clients.chat import ChatUsers, eventually
from clients.operators import Operator, finding
from clients.poison import clear_away, send_unstorable
from parley.shared import amqp
from parley.shared.partitions import DEAD_LETTER_QUEUE
from parley.stack import Stack

pytestmark = pytest.mark.slow  # Each test starts the command some times.


@pytest.fixture
def operator(stack: Stack, tmp_path: Path) -> Operator:
    return Operator(stack, tmp_path)


@pytest.fixture
def closed_port() -> int:
    """A port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


async def test_the_doctor_finds_a_healthy_stack_in_order(operator: Operator) -> None:
    answer = await operator.run("doctor", "--json")
    assert answer.json["ok"], answer.out
    assert answer.code == 0
    servers = {f["server"].partition(" ")[0] for f in answer.json["findings"]}
    assert servers == {"redis", "rabbitmq", "mongodb", "gateway", "worker"}
    assert finding(answer, "rabbitmq", "owners") == "ok: 2 worker(s) own all 8 partitions."
    assert finding(answer, "mongodb", "indexes").startswith("ok: All")
    for one in answer.json["findings"]:
        assert re.fullmatch(r"[A-Z0-9].+\.", one["text"]), one


async def test_the_doctor_prints_a_line_for_each_finding(operator: Operator) -> None:
    answer = await operator.run("doctor")
    assert answer.code == 0
    assert re.search(r"^ok +mongodb: Its version is \d", answer.out, re.M)
    assert answer.err == ""


@pytest.mark.parametrize(
    ("setting", "form", "server", "name"),
    [
        ("REDIS_URL", "redis://127.0.0.1:{}/0", "redis", "Redis"),
        ("RABBITMQ_URL", "amqp://guest:secret@127.0.0.1:{}/", "rabbitmq", "RabbitMQ"),
        ("MONGO_URL", "mongodb://127.0.0.1:{}/parley", "mongodb", "MongoDB"),
    ],
)
async def test_a_server_that_is_down_is_an_error_and_the_others_are_still_tried(
    operator: Operator, closed_port: int, setting: str, form: str, server: str, name: str
) -> None:
    answer = await operator.run("doctor", "--json", **{setting: form.format(closed_port)})
    assert answer.code == 1
    text = finding(answer, server, "reachable")
    assert text.startswith(f"error: {name} cannot be reached (")
    assert text.endswith(f"): start it, or correct {setting}.")
    assert "secret" not in answer.out
    others = {"redis", "rabbitmq", "mongodb"} - {server}
    assert all(finding(answer, other, "reachable").startswith("ok: ") for other in others)


@pytest.mark.parametrize(
    ("setting", "server"),
    [("REDIS_URL", "redis"), ("RABBITMQ_URL", "rabbitmq"), ("MONGO_URL", "mongodb")],
)
async def test_a_wrong_password_is_an_error_that_does_not_quote_it(
    operator: Operator, setting: str, server: str
) -> None:
    scheme, _, rest = operator.environment[setting].partition("://")
    wrong = f"{scheme}://parley:wrong-secret@{rest.rpartition('@')[2]}"
    answer = await operator.run("doctor", "--json", **{setting: wrong})
    assert answer.code == 1
    text = finding(answer, server, "reachable")
    assert "refuses the user or the password in " + setting in text
    assert "wrong-secret" not in answer.out + answer.err


async def test_another_number_of_partitions_is_an_error(operator: Operator) -> None:
    answer = await operator.run("doctor", "--json", PARTITIONS="7")
    assert answer.code == 1
    text = finding(answer, "rabbitmq", "partitions")
    assert text.startswith("error: PARTITIONS is 7, but the stored number of partitions is 8")


async def test_without_the_setting_and_the_database_the_broker_s_partitions_are_examined(
    operator: Operator, closed_port: int
) -> None:
    away = {"MONGO_URL": f"mongodb://127.0.0.1:{closed_port}/parley", "PARTITIONS": ""}
    answer = await operator.run("doctor", "--json", **away)
    assert finding(answer, "rabbitmq", "owners") == "ok: 2 worker(s) own all 8 partitions."
    status = await operator.run("status", "--json", **away)
    assert len(status.json["rabbitmq"]["partitions"]) == 8


async def test_without_the_setting_and_a_stored_number_the_broker_s_partitions_are_examined(
    operator: Operator,
) -> None:
    server, _, query = operator.environment["MONGO_URL"].partition("/parley")
    empty = {"MONGO_URL": f"{server}/empty_{uuid.uuid4().hex[:8]}{query}", "PARTITIONS": ""}
    answer = await operator.run("doctor", "--json", **empty)
    expected = "ok: The number of partitions is 8, as in RabbitMQ."
    assert finding(answer, "rabbitmq", "partitions") == expected
    status = await operator.run("status", "--json", **empty)
    assert len(status.json["rabbitmq"]["partitions"]) == 8
    replayed = await operator.run("dead-letters", "replay", "--all", "--json", **empty)
    assert replayed.err == ""


async def test_a_database_without_indexes_is_an_error(operator: Operator) -> None:
    server, _, query = operator.environment["MONGO_URL"].partition("/parley")
    answer = await operator.run("doctor", "--json", MONGO_URL=f"{server}/empty_{uuid.uuid4().hex[:8]}{query}")
    assert answer.code == 1
    missing = [f["text"] for f in answer.json["findings"] if f["check"] == "indexes"]
    assert any("The index messages.number is missing: restart" in text for text in missing)


async def test_the_doctor_leaves_nothing_in_the_servers(operator: Operator, stack: Stack) -> None:
    before = stack.rabbitmqctl("list_queues", "name").split()
    await operator.run("doctor")
    after = stack.rabbitmqctl("list_queues", "name").split()
    assert sorted(after) == sorted(before)


async def test_a_gateway_that_does_not_answer_is_an_error(operator: Operator, closed_port: int) -> None:
    answer = await operator.run("doctor", "--json", PARLEY_GATEWAYS=f"127.0.0.1:{closed_port}")
    assert answer.code == 1
    assert "It does not answer (" in finding(answer, "gateway", "reachable")


async def test_workers_that_are_frozen_are_an_error(operator: Operator, stack: Stack) -> None:
    for worker in ("worker-1", "worker-2"):
        stack.signal(worker, signal.SIGSTOP)
    try:
        answer = await operator.run("doctor", "--json")
    finally:
        for worker in ("worker-1", "worker-2"):
            stack.signal(worker, signal.SIGCONT)
    assert answer.code == 1
    assert finding(answer, "rabbitmq", "owners").startswith("error: No worker is connected")

    async def all_owned() -> bool:
        return "own all 8" in finding(await operator.run("doctor", "--json"), "rabbitmq", "owners")

    await eventually(all_owned, 30)


async def test_a_dead_letter_is_a_warning_that_names_the_command(
    operator: Operator, stack: Stack, users: ChatUsers
) -> None:
    alice, bob = users.user("alice"), users.user("bob")
    group = await users.group(await alice.socket(), "bob")
    await send_unstorable(stack, alice, group)
    try:
        await eventually(lambda: _has_letters(stack), 10)
        answer = await operator.run("doctor", "--json")
    finally:
        await clear_away(stack)
    assert bob.id
    assert finding(answer, "rabbitmq", "dead_letters").startswith("warning: There are 1 dead letters: see")


async def _has_letters(stack: Stack) -> bool:
    connection = await amqp.connect(stack.rabbitmq_url, name="test", heartbeat=10)
    try:
        channel = await connection.channel()
        queue = await channel.declare_queue(DEAD_LETTER_QUEUE, durable=True, passive=True)
        await asyncio.sleep(0.05)
        return bool(queue.declaration_result.message_count)
    finally:
        await connection.close()


async def test_config_check_finds_the_settings_of_both_services_valid(operator: Operator) -> None:
    answer = await operator.run("config", "check", "--json")
    assert answer.code == 0, answer
    assert [(s["service"], s["ok"]) for s in answer.json["services"]] == [("gateway", True), ("worker", True)]


async def test_config_check_names_an_invalid_setting_of_one_service(operator: Operator) -> None:
    answer = await operator.run("config", "check", CORS_ORIGINS="*")
    assert answer.code == 1
    assert answer.out.startswith("gateway: CORS_ORIGINS must list origins")
    assert "worker: the settings are valid.\n" in answer.out


async def test_a_setting_may_come_from_a_file(operator: Operator, tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text(operator.environment.pop("REDIS_URL") + "\n")
    answer = await operator.run("doctor", "--json", REDIS_URL_FILE=str(secret))
    assert answer.code == 0, answer
    operator.environment["REDIS_URL_FILE"] = str(tmp_path / "missing")
    answer = await operator.run("doctor", "--json")
    assert answer.code == 2
    assert re.fullmatch(r"parley: REDIS_URL_FILE names a file that cannot be read: .+\n", answer.err)


async def test_a_wrong_command_line_is_reported_in_one_sentence(operator: Operator) -> None:
    answer = await operator.run("docter")
    assert answer.code == 2
    assert re.fullmatch(r"parley: No such command 'docter'\..*\n", answer.err)
