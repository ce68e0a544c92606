"""Fixtures of the guides' sequences: the real client, and a check of all payloads it received."""

from collections.abc import AsyncIterator

import pytest

from clients.chat import ChatUsers
from clients.contracts import SampleContract
from clients.javascript import Program


@pytest.fixture
async def program() -> AsyncIterator[Program]:
    """A node process with sockets of the real client; all received payloads match their protocol."""
    running = await Program.start()
    yield running
    await running.stop()
    running.assert_payload_shapes()


@pytest.fixture
async def contract(users: ChatUsers) -> SampleContract:
    """An existing contract of two milestones, without messages."""
    contract = SampleContract(users)
    await contract.save(contract.ann, contract.ben, "m1", "m2")
    return contract
