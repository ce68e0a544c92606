"""What the guides' own sequences need: the real client, and the proof that all it heard is as described."""

from collections.abc import AsyncIterator

import pytest

from clients.chat import Town
from clients.deal import Deal
from clients.javascript import Program


@pytest.fixture
async def program() -> AsyncIterator[Program]:
    """A node process with sockets of the real client; what they heard had the shapes of their guide."""
    running = await Program.start()
    yield running
    await running.stop()
    running.insist_on_shapes()


@pytest.fixture
async def deal(town: Town) -> Deal:
    """A contract that is known, of two milestones; nobody has said anything yet."""
    deal = Deal(town)
    await deal.put(deal.ann, deal.ben, "m1", "m2")
    return deal
