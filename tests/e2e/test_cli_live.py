"""`parley` on a running stack: status, top, tail, who, disconnect, token, send, partitions, search."""

import asyncio
import json
import re
import uuid
from pathlib import Path

import jwt
import pytest

from clients.chat import ChatUsers, eventually
from clients.operators import Operator
from parley.shared.mongo import Database
from parley.stack import Stack

pytestmark = pytest.mark.slow  # Each test starts the command some times.


@pytest.fixture
def operator(stack: Stack, tmp_path: Path) -> Operator:
    return Operator(stack, tmp_path)


async def test_the_status_shows_services_partitions_and_their_owners(
    operator: Operator, stack: Stack, users: ChatUsers
) -> None:
    await users.user("alice").socket()
    answer = await operator.run("status", "--json")
    assert answer.code == 0, answer
    found = answer.json
    addresses = [url.removeprefix("http://") for url in stack.gateway_urls]
    assert [gateway["address"] for gateway in found["gateways"]] == addresses
    assert sum(gateway["sockets"] for gateway in found["gateways"]) >= 1
    assert len(found["versions"]) == 1
    workers = {worker["id"]: worker["partitions"] for worker in found["workers"]}
    owners = [p["owners"][0].partition(".")[0] for p in found["rabbitmq"]["partitions"]]
    assert {owner: owners.count(owner) for owner in owners} == workers
    text = await operator.run("status")
    assert stack.worker_urls[0].removeprefix("http://") in text.out.partition("owner")[2]


async def test_the_status_shows_the_head_of_a_conversation(operator: Operator, users: ChatUsers) -> None:
    alice = await users.user("alice").socket()
    group = await users.group(alice, "bob")
    await alice.send(group, "hello")
    await alice.wait_for("messageSent")
    answer = await operator.run("status", "--conversation", group, "--json")
    head = answer.json["mongodb"]["conversation"]
    assert (head["lastSeq"], head["rev"], head["members"]) == (1, 1, 2)


async def test_the_status_names_a_server_that_is_down_and_shows_the_rest(operator: Operator) -> None:
    answer = await operator.run("status", "--json", RABBITMQ_URL="amqp://guest:guest@127.0.0.1:1/")
    assert answer.code == 1
    assert answer.json["rabbitmq"]["error"].startswith("RabbitMQ cannot be reached (")
    assert answer.json["mongodb"]["messages"] >= 0


async def test_partitions_are_listed_with_their_owners(operator: Operator) -> None:
    answer = await operator.run("partitions", "list", "--json")
    assert answer.code == 0
    assert [each["partition"] for each in answer.json] == list(range(8))
    assert all(len(each["owners"]) == 1 for each in answer.json)


async def test_a_user_is_shown_with_all_sockets_and_disconnected(
    operator: Operator, users: ChatUsers
) -> None:
    alice = users.user("alice")
    sockets = [await alice.socket(), await alice.socket("polling")]
    await users.group(sockets[0], "bob")
    answer = await operator.run("who", alice.id, "--json")
    assert answer.json["online"] is True
    assert answer.json["conversations"] == 1
    gateways = sorted(socket["gateway"] for socket in answer.json["sockets"])
    assert gateways == sorted(socket.node for socket in sockets)
    text = await operator.run("who", alice.id)
    assert text.out.startswith(f"{alice.id} (")
    closed = await operator.run("disconnect", alice.id, "--json")
    assert (closed.code, closed.json) == (0, {"closed": 2, "left": 0})
    await eventually(lambda: not any(socket.connected for socket in sockets))
    assert (await operator.run("who", alice.id, "--json")).json["sockets"] == []


async def test_a_user_whose_id_is_a_pattern_is_not_taken_for_others(
    operator: Operator, users: ChatUsers
) -> None:
    await users.user("alice").socket()
    answer = await operator.run("who", "*", "--json")
    assert (answer.json["online"], answer.json["sockets"]) == (False, [])


async def test_a_token_is_accepted_by_the_gateways(operator: Operator, stack: Stack) -> None:
    answer = await operator.run("token", "ann", "--name", "Ann", "--role", "admin", "--ttl", "1h")
    claims = jwt.decode(answer.out.strip(), stack.jwt_secret, ["HS256"])
    assert (claims["sub"], claims["name"], claims["role"]) == ("ann", "Ann", "admin")
    malformed = await operator.run("token", "ann", "--ttl", "1y")
    assert malformed.code == 2
    assert malformed.err.startswith("parley: A lifetime is a number with s, m, h or d")
    issued = await operator.run("token", "ann", JWT_JWKS_URL="https://id.example/keys")
    assert (issued.code, "only its issuer" in issued.err) == (2, True)


async def test_a_message_is_sent_stored_and_received_once(operator: Operator, users: ChatUsers) -> None:
    alice, bob = await users.sockets("alice", "bob")
    group = await users.group(alice, "bob")
    await bob.call_ok("joinRoom", {"conversationId": group})
    name, sender = str(uuid.uuid4()), users.user("alice").id
    arguments = ["send", group, "hello", "--as", sender, "--client-message-id", name, "--json"]
    first, again = await operator.run(*arguments), await operator.run(*arguments)
    assert (first.code, first.json["message"]["seq"]) == (0, 1)
    assert again.json["message"]["id"] == first.json["message"]["id"]
    await eventually(lambda: [m["content"] for m in bob.messages(group)] == ["hello"])


async def test_a_message_of_a_stranger_is_refused(operator: Operator, users: ChatUsers) -> None:
    group = await users.group(await users.user("alice").socket(), "bob")
    answer = await operator.run("send", group, "hello", "--as", users.user("mallory").id, "--json")
    assert answer.code == 1
    assert answer.json["sent"] is False


async def test_events_of_a_conversation_are_shown_without_their_contents(
    operator: Operator, users: ChatUsers
) -> None:
    alice = await users.user("alice").socket()
    group, other = await users.group(alice, "bob"), await users.group(alice, "bob")
    hidden = await operator.start("tail", "--conversation", group, "--count", "1", "--json")
    shown = await operator.start("tail", "--user", users.user("alice").id, "--content")
    assert shown.stdout
    try:
        # Each has its own time to start, and shows only what is sent after it has.
        ended = asyncio.create_task(hidden.communicate())
        line = asyncio.create_task(shown.stdout.readline())
        async with asyncio.timeout(30):
            while (await asyncio.wait({ended, line}, timeout=0.3))[1]:
                await alice.send(other, "elsewhere")
                await alice.send(group, "a private word")
        out, _ = ended.result()
        event = json.loads(out)
        assert (event["event"], event["room"]) == ("stored", f"conversation:{group}")
        assert event["message"]["content"] == "(14 hidden)"
        assert re.search(rb"stored .*content=(elsewhere|a private word)", line.result())
    finally:
        shown.terminate()
        await shown.communicate()


async def test_top_shows_rates_of_each_service(operator: Operator, stack: Stack) -> None:
    answer = await operator.run("top", "--count", "2", "--seconds", "0.3", "--json")
    assert answer.code == 0
    assert len(answer.rows) == 2
    assert [len(answer.rows[0][kind]) for kind in ("gateways", "workers")] == [2, 2]
    assert all(gateway["events"] >= 0 for gateway in answer.rows[-1]["gateways"])
    text = await operator.run("top", "--count", "1", "--seconds", "0.3")
    assert stack.gateway_urls[0].removeprefix("http://") in text.out


async def test_the_search_index_is_built_anew(operator: Operator, database: Database) -> None:
    before = await database.search_blocks.find_one({"_id": "build"}) or {"number": 0}
    answer = await operator.run("search", "reindex", "--json")
    assert answer.code == 0, answer
    assert answer.json["conversations"] >= 0
    builds = await database.search_blocks.find({"number": {"$gt": before["number"]}}).to_list(None)
    assert len(builds) == 1


async def test_redis_that_is_down_is_reported_in_one_sentence(operator: Operator) -> None:
    for subcommand in (["tail"], ["who", "ann"], ["disconnect", "ann"]):
        answer = await operator.run(*subcommand, REDIS_URL="redis://127.0.0.1:1/0")
        assert answer.code == 2
        assert answer.err.startswith("parley: Redis cannot be reached (")
        assert answer.err.count("\n") == 1


async def test_the_shells_complete_subcommands(operator: Operator) -> None:
    answer = await operator.run(
        _PARLEY_COMPLETE="complete_bash", COMP_WORDS="parley dead-letters re", COMP_CWORD="2"
    )
    assert "replay" in answer.out.split()


async def test_the_running_stack_of_a_checkout_is_found(stack: Stack, tmp_path: Path) -> None:
    root = tmp_path / "checkout"
    root.mkdir()
    (root / ".run").symlink_to(stack.directory)
    (root / ".env").write_text("")
    operator = Operator(stack, root)
    operator.environment = {}
    answer = await operator.run("status", "--json")
    assert answer.code == 0, answer
    assert [len(answer.json[kind]) for kind in ("gateways", "workers")] == [2, 2]
