"""What a stack has written to its logs."""

import uuid
from pathlib import Path

from clients.chat import eventually
from clients.raw import request
from parley.stack import Stack


async def logs_of(stack: Stack, last: str = "") -> dict[str, bytes]:
    """Everything by file name, once a last request is in the access log, which is written now and then."""
    path = f"/last-{uuid.uuid4().hex}"
    await request(stack.url, "GET", f"{path}{last}")
    access = stack.log("nginx-access")
    await eventually(lambda: path.encode() in access.read_bytes())
    return {file.name: file.read_bytes() for file in files_of(stack)}


def files_of(stack: Stack) -> list[Path]:
    """All its log files."""
    return [path for path in (stack.directory / "log").rglob("*") if path.is_file()]
