"""Fixtures of the guides' sequences: the real client, and checks of all that it sent and received."""

from collections.abc import AsyncIterator

import pytest

from clients.chat import ChatUsers
from clients.contracts import SampleContract
from clients.documented import Documents
from clients.javascript import Program


@pytest.fixture
async def program(users: ChatUsers) -> AsyncIterator[Program]:
    """A node process with sockets of the real client.

    All payloads match their protocol, and all that was sent and received the documents that are served.
    """
    documents = await Documents.fetch(users.url)
    running = await Program.start()
    yield running
    await running.stop()
    running.assert_payload_shapes()
    documents.assert_describe_sockets(running)
    documents.assert_describe_rest(users.exchanges)


@pytest.fixture
async def contract(users: ChatUsers) -> SampleContract:
    """An existing contract of two milestones, without messages."""
    contract = SampleContract(users)
    await contract.save(contract.ann, contract.ben, "m1", "m2")
    return contract
