"""Blocking calls run in threads that nobody has to wait for."""

import asyncio
import subprocess
import sys
from threading import Event

import pytest

from clients.chat import eventually
from parley.shared import daemon_threads

HANGING = """
import asyncio, threading
from parley.shared import daemon_threads

async def main():
    asyncio.create_task(daemon_threads.run(threading.Event().wait))
    await asyncio.sleep(0)

asyncio.run(main())
"""


async def test_a_call_returns_its_result_or_raises_its_error() -> None:
    assert await daemon_threads.run(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await daemon_threads.run(lambda: 1 // 0)


async def test_a_result_that_nobody_waits_for_is_discarded() -> None:
    released, discarded = Event(), list[bool]()
    call = asyncio.create_task(daemon_threads.run(lambda: released.wait(5), discarded.append))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    released.set()

    await eventually(lambda: discarded == [True])


def test_a_process_ends_although_a_call_hangs() -> None:
    assert subprocess.run([sys.executable, "-c", HANGING], timeout=20, check=False).returncode == 0
