"""The operators' command `parley` as a process of its own, on a stack."""

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parley.stack import Stack

SECONDS = 90.0


@dataclass(frozen=True)
class Answer:
    """The exit code and the output of one command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The output of `--json`, if it is one value."""
        return json.loads(self.out)

    @property
    def rows(self) -> list[Any]:
        """The output of `--json`, if it is one value a line."""
        return [json.loads(line) for line in self.out.splitlines()]


class Operator:
    """Runs `parley` with the environment that the services of a stack have.

    Args:
        stack: The stack.
        directory: An empty directory to run in, so that no `.env` is found.
    """

    def __init__(self, stack: Stack, directory: Path) -> None:
        self._directory = directory
        self.environment = {
            **stack.environment,
            "PARLEY_GATEWAYS": ",".join(stack.gateway_urls),
            "PARLEY_WORKERS": ",".join(stack.worker_urls),
        }

    async def run(self, *arguments: str, **environment: str) -> Answer:
        """Run one command to its end, with these variables instead of the stack's."""
        process = await self.start(*arguments, **environment)
        out, err = await asyncio.wait_for(process.communicate(), SECONDS)
        return Answer(process.returncode or 0, out.decode(), err.decode())

    async def start(self, *arguments: str, **environment: str) -> asyncio.subprocess.Process:
        """Start a command, and return its process."""
        # The root is one without a stack, so that a stack of this checkout is not found.
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "parley.cli",
            "--root",
            str(self._directory),
            *arguments,
            cwd=self._directory,
            env={"PATH": os.environ["PATH"], **self.environment, **environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )


def finding(answer: Answer, server: str, check: str) -> str:
    """Return `level: text` of the doctor's only finding on this."""
    found = [f for f in answer.json["findings"] if f["server"].startswith(server) and f["check"] == check]
    assert len(found) == 1, answer.out
    return f"{found[0]['level']}: {found[0]['text']}"
