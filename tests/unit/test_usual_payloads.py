"""Plans load the usual payloads as marshmallow does, and leave it all others."""

import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import Schema, ValidationError

from parley.gateway.protocols.groups import GROUPS
from parley.gateway.protocols.registry import PROTOCOLS
from parley.gateway.protocols.usual_payloads import Plan, plan_of

CONVERSATION = str(uuid.uuid4())
SCHEMAS: dict[str, Schema] = {
    f"{protocol.name}-{type(schema).__name__}": schema
    for protocol in PROTOCOLS
    for schema in (
        *(inbound.schema for inbound in protocol.inbound.values()),
        *(route.schema for route in protocol.routes if route.body),
    )
}
PLANS: dict[str, Plan] = {name: plan for name, each in SCHEMAS.items() if (plan := plan_of(each)) is not None}
VALUES = st.one_of(
    st.sampled_from(
        [
            CONVERSATION,
            CONVERSATION.upper(),
            f"{{{CONVERSATION}}}",
            CONVERSATION.replace("-", ""),
            "a",
            "",
            "x" * 128,
            "x" * 129,
            "ü\u2028",
            "a\n",
            "\x7f",
            "text",
            "file",
            "group",
            "5",
            " 5 ",
            "true",
            0,
            1,
            5,
            2**60,
            -1,
            1.5,
            1.0,
            True,
            False,
            None,
            [],
            ["a"],
            ["a", "b\x00"],
            ["a", None],
            ["a"] * 2000,
            {},
            {"a": 5},
            {"a": {"rev": 5}},
        ]
    ),
    st.text(max_size=5),
)


@st.composite
def payloads(draw: Any, schema: Schema) -> dict[str, Any]:
    names = [field.data_key or name for name, field in schema.load_fields.items()]
    required = {field.data_key or name for name, field in schema.load_fields.items() if field.required}
    chosen = draw(st.sets(st.sampled_from(names))) if names else set()
    unknown = draw(st.sampled_from([[], [], [], ["more"], ["conversation_id"]]))
    order = draw(st.permutations([*{*chosen, *(required if draw(st.booleans()) else ())}, *unknown]))
    return {name: draw(VALUES) for name in order}


@pytest.mark.parametrize("name", PLANS)
@given(st.data())
def test_a_plan_loads_what_marshmallow_loads_or_nothing(name: str, data: st.DataObject) -> None:
    payload = data.draw(payloads(SCHEMAS[name]))

    loaded = PLANS[name].load(dict(payload))

    if loaded is not None:
        expected = SCHEMAS[name].load(payload)
        assert loaded == expected
        assert [(key, type(value)) for key, value in loaded.items()] == [
            (key, type(value)) for key, value in expected.items()
        ]


USUAL = {
    "sendMessage": {"conversationId": CONVERSATION, "content": "Hello", "clientMessageId": CONVERSATION},
    "joinRoom": {"conversationId": CONVERSATION},
    "typing": {"conversationId": "c1"},
    "markAsRead": {"messageId": CONVERSATION, "conversationId": None},
    "markAsDelivered": {"conversationId": "c1", "seq": 5},
    "getOnlineUsers": {},
}


@pytest.mark.parametrize("event", USUAL)
def test_a_usual_payload_is_loaded_by_the_plan_of_its_schema(event: str) -> None:
    plan = plan_of(GROUPS.inbound[event].schema)
    assert plan is not None
    loaded = plan.load(USUAL[event])
    assert loaded is not None
    assert loaded == GROUPS.inbound[event].schema.load(USUAL[event])


def test_defaults_of_two_payloads_are_not_the_same_object() -> None:
    plan = plan_of(GROUPS.inbound["sendMessage"].schema)
    assert plan is not None
    first, second = (plan.load(USUAL["sendMessage"]) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first["attachments"] is not second["attachments"]


def test_a_schema_that_compares_its_fields_has_no_plan() -> None:
    schema = GROUPS.inbound["createConversation"].schema
    both = {"participants": ["a"], "participantIds": ["a"]}
    with pytest.raises(ValidationError):
        schema.load(both)
    assert plan_of(schema) is None
