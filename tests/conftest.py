"""What all tests share: one real stack for the session, and users of their own for each test."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from clients.chat import ChatUsers
from clients.database import open_database
from parley.shared.mongo import Database
from parley.stack import Stack

# By its name tests that make up their input know how long they may: clients/fuzz.py, model/conftest.py.
settings.register_profile("long", database=None)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two gateways and two workers behind nginx, on servers of their own."""
    directory: Path = tmp_path_factory.mktemp("stack")
    # All tests are one address, and some are one user who says a thousand things.
    with Stack(directory, gateways=2, workers=2, settings={"RATE_LIMITS": "off"}) as running:
        yield running


@pytest.fixture
async def users(stack: Stack) -> AsyncIterator[ChatUsers]:
    """Users whom no other test knows."""
    users = ChatUsers(stack.url, stack.jwt_secret)
    yield users
    await users.close()


@pytest.fixture
async def database(stack: Stack) -> AsyncIterator[Database]:
    """The stack's database."""
    async with open_database(stack.mongo_url) as database:
        yield database
