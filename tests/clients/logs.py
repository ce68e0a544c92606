"""The logs of a stack."""

import uuid
from pathlib import Path

from clients.chat import eventually
from clients.raw import request
from parley.stack import Stack


async def logs_of(stack: Stack, last: str = "") -> dict[str, bytes]:
    """Return all logs by file name, once nginx has flushed its access log up to a last request."""
    path = f"/last-{uuid.uuid4().hex}"
    await request(stack.url, "GET", f"{path}{last}")
    access = stack.log("nginx-access")
    await eventually(lambda: path.encode() in access.read_bytes())
    return {file.name: file.read_bytes() for file in files_of(stack)}


def files_of(stack: Stack) -> list[Path]:
    """Return all log files."""
    return [path for path in (stack.directory / "log").rglob("*") if path.is_file()]
