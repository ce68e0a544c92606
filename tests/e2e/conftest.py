"""What the tests of bad input share: a scene that must stay as it is, and logs that must stay quiet."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from clients.chat import Town
from clients.scene import Scene
from stack import Stack

SERVICES = ("gateway-1", "gateway-2", "worker-1", "worker-2")
ALARMS = ("Traceback", '"level": "error"', " ERROR ", " CRITICAL ")


@pytest.fixture
async def scene(town: Town, database: Any) -> AsyncIterator[Scene]:
    """Conversations of which nothing may have changed when the test is over."""
    scene = await Scene(town, database).set()
    yield scene
    await scene.is_unchanged()


@pytest.fixture
def quiet(stack: Stack) -> Iterator[None]:
    """No service complains of itself: what clients do wrong is no error of ours."""
    starts = {name: stack.log(name).stat().st_size for name in SERVICES}
    yield
    for name, start in starts.items():
        said = stack.log(name).read_bytes()[start:].decode()
        assert not any(alarm in said for alarm in ALARMS), said
