"""Telling a part of the stack to stop, and how it ended."""

import re
import signal
from collections.abc import Callable

from parley.stack import Stack


def terminate(stack: Stack, name: str) -> Callable[[], str]:
    """Send SIGTERM; what comes back says in supervisor's words how it ended, and is empty until then."""
    log = stack.log("supervisord")
    seen = log.stat().st_size
    ending = re.compile(rf"exited: {name} \(([^;)]*)")
    stack.signal(name, signal.SIGTERM)

    def end() -> str:
        found = ending.search(log.read_bytes()[seen:].decode())
        return found[1] if found else ""

    return end
