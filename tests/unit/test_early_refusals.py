"""An overloaded node refuses new messages before it validates them, in the protocol of the socket."""

import json
from typing import Any

import pytest

from parley.gateway.core.commands import DeleteMessage, EditMessage, SendMessage
from parley.gateway.core.errors import Overloaded
from parley.gateway.protocols.groups import GROUPS
from parley.gateway.protocols.protocol import ClientProtocol
from parley.gateway.protocols.registry import PROTOCOLS
from parley.gateway.sockets.early_refusals import EarlyRefusals

REFUSED = "refused"


class Admission:
    """Refuses the messages of one conversation."""

    retry_after = 2.5

    def refusal(self, conversation_id: str) -> Overloaded | None:
        return Overloaded("Too much.", retry_after=self.retry_after) if conversation_id == REFUSED else None


@pytest.fixture
def early() -> EarlyRefusals:
    return EarlyRefusals(Admission())  # type: ignore[arg-type]


def refused(early: EarlyRefusals, event: Any, *args: Any, protocols: Any = (GROUPS,)) -> bool:
    return early.of(protocols, event, args) is not None


def test_a_message_is_refused_as_its_protocol_refuses_it(early: EarlyRefusals) -> None:
    refusal = early.of((GROUPS,), "sendMessage", [{"conversationId": REFUSED}])
    assert refusal is not None
    [answer] = json.loads(refusal.ack.arguments)
    error = answer["error"]
    assert (refusal.error.code, refusal.error.retry_after) == (error["code"], error["retryAfter"])
    assert (answer["success"], error["code"], error["retryable"], error["retryAfter"]) == (
        False,
        "OVERLOADED",
        True,
        2.5,
    )


def test_the_refusal_is_encoded_once(early: EarlyRefusals) -> None:
    first, second = (early.of((GROUPS,), "sendMessage", [{"conversationId": REFUSED}]) for _ in range(2))
    assert first is second


@pytest.mark.parametrize("args", [[], [None], ["text"], [{}], [{"conversationId": ["a"]}], [{"x": REFUSED}]])
def test_a_message_without_a_conversation_is_left_to_validation(
    early: EarlyRefusals, args: list[Any]
) -> None:
    assert not refused(early, "sendMessage", *args)


def test_admitted_messages_and_other_events_are_not_refused(early: EarlyRefusals) -> None:
    assert not refused(early, "sendMessage", {"conversationId": "other"})
    assert not refused(early, "markAsRead", {"conversationId": REFUSED})
    assert not refused(early, 7, {"conversationId": REFUSED})


@pytest.mark.parametrize("event", ["editMessage", "deleteMessage"])
def test_a_change_is_refused_as_a_message_is(early: EarlyRefusals, event: str) -> None:
    assert refused(early, event, {"messageId": "m", "conversationId": REFUSED})
    assert not refused(early, event, {"messageId": "m", "conversationId": "other"})
    assert not refused(early, event, {"messageId": "m"})


def sends(protocol: ClientProtocol) -> dict[str, str]:
    return {event: i.message_to for event, i in protocol.inbound.items() if i.message_to is not None}


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
def test_each_protocol_names_the_conversation_of_a_message_by_a_field_of_its_schema(
    protocol: ClientProtocol,
) -> None:
    assert sends(protocol)
    for event, name in sends(protocol).items():
        schema = protocol.inbound[event].schema
        [field] = [f for key, f in schema.fields.items() if (f.data_key or key) == name]
        sample = {"content": "x", "messageId": "2", name: "1"}
        known = {(f.data_key or key) for key, f in schema.fields.items()}
        loaded = schema.load({key: value for key, value in sample.items() if key in known})
        command = protocol.inbound[event].command(loaded)
        assert isinstance(command, SendMessage if field.required else EditMessage | DeleteMessage)
        assert command.conversation_id == "1"
