"""A number without a fraction is an integer in every event and every REST route, however it is written."""

from typing import Any

import pytest

from parley.gateway.core.errors import Invalid
from parley.gateway.core.positions import Revision
from parley.gateway.protocols.fields import Count, InboundSchema, NumericId
from parley.gateway.protocols.groups.requests import SyncDto, sync_command
from parley.gateway.protocols.payloads import load

FLOATS = [1.5, -1.0, 2.0**54, 1e300]


class Numbers(InboundSchema):
    """A count and an id."""

    count = Count()
    id = NumericId()


def test_a_whole_number_is_loaded_as_an_integer() -> None:
    assert load(Numbers(), {"count": 5.0, "id": 7.0}) == {"count": 5, "id": "7"}
    assert load(Numbers(), {"count": 2.0**53, "id": -0.0}) == {"count": 2**53, "id": "0"}


@pytest.mark.parametrize("number", [*FLOATS, True, "5.0"])
def test_no_other_number_becomes_a_count(number: Any) -> None:
    with pytest.raises(Invalid):
        load(Numbers(), {"count": number})


@pytest.mark.parametrize("number", [1.5, 2.0**53 + 2, 2.0**64, 1e300, True])
def test_no_other_number_becomes_an_id(number: Any) -> None:
    with pytest.raises(Invalid):
        load(Numbers(), {"id": number})


def test_revisions_may_be_whole_numbers() -> None:
    command = sync_command(load(SyncDto(), {"conversations": {"a": 3.0, "b": {"rev": 4.0, "epoch": 5.0}}}))

    assert command.revs == {"a": Revision(3, None), "b": Revision(4, 5)}
    assert all(type(held.rev) is int for held in command.revs.values())
