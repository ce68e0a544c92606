"""The judge of the table notices errors: a verdict that cannot fail would prove nothing."""

from dataclasses import replace

from clients.chat import ChatUsers
from faults.row import Outcome
from faults.table import ROWS
from faults.traffic import Traffic
from faults.verdict import judge, silence
from parley.shared.mongo import Database
from parley.stack import Stack


def test_silence_starts_when_a_message_is_due() -> None:
    assert silence({"a": 10.0}, {"a": 10.5}) == 0.5
    assert silence({"a": 10.0, "b": 50.0}, {"a": 10.5, "b": 50.1}) == 0.5


def test_any_received_message_ends_a_silence() -> None:
    assert silence({"late": 10.0, "b": 11.0}, {"b": 12.0, "late": 15.0}) == 3.0


def test_a_message_received_before_its_acknowledgement_causes_no_silence() -> None:
    assert silence({"a": 10.0}, {"a": 9.0}) <= 0.0
    assert silence({}, {}) == 0.0


async def test_lost_doubled_and_miscounted_messages_are_noticed(
    fragile: Stack, users: ChatUsers, database: Database
) -> None:
    async with Traffic(fragile, users) as traffic:
        async with traffic.start_load():
            await traffic.wait_for_accepted()
        right, wrong = Outcome(row=ROWS[0]), Outcome(row=replace(ROWS[0], refused=0.0))
        await judge(right, traffic, users, database)
        assert (right.reasons, right.lost, right.doubled, right.holes) == ([], 0, 0, 0)

        lost, doubled, miscounted = traffic.groups[:3]
        await database.messages.delete_one({"conversationId": lost, "seq": 2})
        message = await database.messages.find_one({"conversationId": doubled, "seq": 2})
        assert message is not None
        again = message["seq"] + 1_000_000
        await database.messages.insert_one({**message, "_id": "again", "seq": again, "rev": again})
        member = f"{miscounted}:{traffic.listeners[0].user_id}"
        await database.memberships.update_one({"_id": member}, {"$inc": {"ownSinceRead": 1}})
        traffic.speakers[0].confirmed.pop()
        traffic.listeners[1].unread[lost] += 1
        traffic.listeners[0].numbers["vanished"] = 1
        traffic.listeners[0].numbers[message["_id"]] += 1
        await judge(wrong, traffic, users, database, settle_seconds=0.5)

    assert (wrong.lost, wrong.doubled) == (3, 2)
    assert wrong.holes
    assert wrong.unread_wrong
    assert any("received live" in reason for reason in wrong.reasons)
    assert any("received, but not stored" in reason for reason in wrong.reasons)
    assert any("stored with another number" in reason for reason in wrong.reasons)
    assert any("could send nothing" in reason for reason in wrong.reasons)
    assert any("not confirmed" in reason for reason in wrong.reasons)
    assert not wrong.passed
