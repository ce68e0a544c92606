"""The command that changes the number of partitions of a stack."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process

from parley.stack import Stack

CHANGED_SECONDS = 60.0


async def start_change(stack: Stack, *arguments: str) -> Process:
    """Start the command with these arguments."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "parley.persistence_worker.partitions", *arguments),
        cwd=stack.directory,
        env={**os.environ, **stack.environment},
        stdout=PIPE,
        stderr=PIPE,
    )


async def change_partitions(stack: Stack, *arguments: str) -> str:
    """Run the command to its end; return what it printed.

    Raises:
        AssertionError: The command failed.
        TimeoutError: It has not ended in time.
    """
    process = await start_change(stack, *arguments)
    async with asyncio.timeout(CHANGED_SECONDS):
        output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output.decode()
