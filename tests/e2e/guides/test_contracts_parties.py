"""A contract's parties receive each message once, and none after they were exchanged."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from itertools import chain
from typing import Any

from clients.chat import ChatUsers, eventually
from clients.contracts import (
    ALL,
    SampleContract,
    bad,
    both,
    by_id,
    contents,
    conversations,
    counts,
    good,
    paths,
    person,
    words,
)
from clients.javascript import JsSocket, Program
from parley.gateway.protocols.contracts import CONTRACTS


async def test_a_replaced_party_loses_access_and_the_new_one_gains_it(
    program: Program, users: ChatUsers, contract: SampleContract
) -> None:
    alice, bob = await both(program, users, contract)
    carl = await program.connect(contract.cid, users.url, CONTRACTS)
    second = await program.connect_elsewhere(contract.cid, users.url, CONTRACTS, carl)
    conversation = (await contract.start_conversation("For ben."))["conversationId"]
    of = {"conversationId": conversation}
    for socket in (alice, bob):
        await socket.wait_for("message_notification")
        await socket.call_ok("join_conversation", of)
    bad(await carl.call("join_conversation", of), "NOT_FOUND")

    await contract.save(contract.ann, contract.cid, "m1", "m2")
    await eventually(lambda: refused(bob, of))
    sent = (await alice.call_ok("send_message", {**of, "content": "For cid."}))["message"]
    for socket in (carl, second):
        assert await socket.wait_for("message_notification") == {
            **of,
            "message": {**sent, "seq": 2, "rev": 2},
        }
    await alice.wait_for("new_message")
    before = counts(program, bob)
    for event, payload in words(conversation, sent["id"], contract.id, "m1").items():
        bad(await bob.call(event, payload), "NOT_FOUND")
    for each in paths(conversation, contract.id, "m1"):
        bad(await contract.ben.rest(*each), "NOT_FOUND")
    assert (await conversations(contract.ben))["total"] == 0
    assert before == counts(program, bob) == {"connected": 1, "message_notification": 1}

    await carl.call_ok("join_conversation", of)
    reply = await carl.call_ok("create_message", {"contractId": contract.id, "content": "I am new."})
    assert reply["message"]["conversationId"] == conversation
    assert (await alice.wait_for("new_message", 2))["sender"] == person(contract.cid)
    assert await contents(contract.cid, conversation) == ["For cid.", "I am new."]
    assert await contents(contract.ann, conversation) == ["For ben.", "For cid.", "I am new."]
    shown = good(
        await contract.ann.rest("GET", f"{ALL}/{conversation}"), 200, "Conversation retrieved successfully"
    )
    assert (shown["client"], shown["freelancer"]) == (person(contract.ann), person(contract.cid))
    assert by_id(shown) == sorted([person(contract.ann), person(contract.cid)], key=lambda each: each["id"])
    for socket in (carl, second):
        assert counts(program, socket)["message_notification"] <= 2


async def test_milestones_are_taken_as_a_contract_service_has_them(contract: SampleContract) -> None:
    path = f"/api/contracts/{contract.id}"
    parties = {"clientId": contract.ann.id, "freelancerId": contract.ben.id}
    milestones = [
        {"id": "m1", "title": "Design", "amount": 100, "dueDate": None},
        {"_id": "64f0c0ffee", "title": "Build", "status": {"name": "open"}},
        "plain",
        7,
        {"id": 8, "_id": "unused"},
    ]
    status, answer = await contract.clerk.rest("PUT", path, {**parties, "milestones": milestones})
    assert (status, answer["data"]["milestones"]) == (200, ["m1", "64f0c0ffee", "plain", "7", "8"])
    for milestone in ("64f0c0ffee", 8):
        assert (await contract.start_conversation(milestoneId=milestone))["content"]

    for wrong in ([{"title": "Design"}], [{"id": ""}], [{"_id": {}}], [None], ["m1", {"_id": "m1"}]):
        body = {**parties, "milestones": wrong}
        bad(await contract.clerk.rest("PUT", path, body), "INVALID", "milestones")


async def refused(socket: JsSocket, of: dict[str, str]) -> bool:
    return bool((await socket.call("join_conversation", of)).get("code") == "NOT_FOUND")


async def test_conversations_that_begin_all_at_once_are_notified_to_every_socket_once(
    program: Program, users: ChatUsers
) -> None:
    contract = SampleContract(users)
    milestones = [f"m{number}" for number in range(20)]
    await contract.save(contract.ann, contract.ben, *milestones)
    alice, bob = await both(program, users, contract)
    # A socket of each on both gateways.
    sockets = [
        alice,
        bob,
        await program.connect_elsewhere(contract.ann, users.url, CONTRACTS, alice),
        await program.connect_elsewhere(contract.ben, users.url, CONTRACTS, bob),
    ]
    begun = [
        socket.call_ok(
            "create_message", {"contractId": contract.id, "milestoneId": milestone, "content": name}
        )
        for milestone in milestones
        for name, socket in (("ann", alice), ("ben", bob))
    ]
    answers = await asyncio.gather(*begun)
    by_conversation: dict[str, list[str]] = {}
    for answer in answers:
        by_conversation.setdefault(answer["message"]["conversationId"], []).append(answer["message"]["id"])
    assert sorted(map(len, by_conversation.values())) == [2] * 20

    last = [
        (await alice.call_ok("send_message", {"conversationId": c, "content": "the last"}))["message"]["id"]
        for c in by_conversation
    ]
    ids = Counter([*(answer["message"]["id"] for answer in answers), *last])
    for socket in sockets:
        await socket.wait_for("message_notification", times=60)
        received = socket.events("message_notification")
        assert Counter(each["message"]["id"] for each in received) == ids
        for conversation in by_conversation:
            assert numbers(received, conversation) == [1, 2, 3]
        assert socket.events("new_message") == []


def numbers(received: Iterable[Any], conversation: str) -> list[int]:
    return [each["message"]["seq"] for each in received if each["conversationId"] == conversation]


async def test_a_socket_that_joins_a_new_conversation_receives_each_message_once(
    program: Program, users: ChatUsers
) -> None:
    contract = SampleContract(users)
    milestones = [f"m{number}" for number in range(20)]
    await contract.save(contract.ann, contract.ben, *milestones)
    alice, bob = await both(program, users, contract)
    other = await program.connect_elsewhere(contract.ben, users.url, CONTRACTS, bob)

    async def begin(milestone: str) -> list[str]:
        payload = {"contractId": contract.id, "milestoneId": milestone, "content": "first"}
        first = (await alice.call_ok("create_message", payload))["message"]
        of = {"conversationId": first["conversationId"]}
        joining = [socket.call_ok("join_conversation", of) for socket in (alice, bob, other)]
        sending = [socket.call_ok("send_message", {**of, "content": "more"}) for socket in (alice, bob)]
        answers = await asyncio.gather(*joining, *sending)
        return [first["id"], *(answer["message"]["id"] for answer in answers[3:])]

    ids = Counter(chain.from_iterable(await asyncio.gather(*map(begin, milestones))))
    for socket in (alice, bob, other):
        await receives_all(socket, ids)


async def receives_all(socket: JsSocket, ids: Counter[str]) -> None:
    """Wait for as many messages; check that they are these, each once."""
    with suppress(AssertionError):
        await eventually(lambda: received_ids(socket).total() >= ids.total())
    assert received_ids(socket) == ids, (
        f"missing: {ids - received_ids(socket)}, beyond: {received_ids(socket) - ids}"
    )


def received_ids(socket: JsSocket) -> Counter[str]:
    """Return the messages received, as `new_message` or as `message_notification`."""
    notified = [each["message"] for each in socket.events("message_notification")]
    return Counter(each["id"] for each in [*notified, *socket.events("new_message")])
