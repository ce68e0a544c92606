"""The delivery log remembers records and messages, and the conversation whose message came last."""

from parley.gateway.live.delivery_log import DeliveryLog
from parley.gateway.services.receipts import RecentMessages
from parley.shared.events import MessageStored
from parley.shared.model import Message, Person, now


def stored(number: int, conversation_id: str) -> MessageStored:
    message = Message(
        id=f"m{number}",
        conversation_id=conversation_id,
        sender_id="ann",
        content="",
        created_at=now(),
        seq=number,
    )
    return MessageStored(record_id=f"r{number}", message=message, sender=Person(id="ann"))


def test_the_latest_of_some_conversations_is_the_one_whose_message_was_delivered_last() -> None:
    log = DeliveryLog(RecentMessages(100))
    for number, conversation_id in enumerate("abbacbb"):
        log.add(stored(number, conversation_id))
    assert log.latest("abc") == "b"
    assert log.latest("ac") == "c"
    assert log.latest("ad") == "a"
    assert log.latest("d") is None


def test_a_delivered_message_is_known_by_its_record_its_id_and_its_number() -> None:
    messages = RecentMessages(100)
    log = DeliveryLog(messages)
    log.add(stored(7, "c"))
    assert not log.is_first("r7")
    assert log.is_first("r8")
    assert not log.is_first("r8")
    assert log.has_delivered("m7")
    assert not log.has_delivered("m8")
    assert messages.get("m7") == ("c", 7)
