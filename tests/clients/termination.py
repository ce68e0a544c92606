"""Stopping a part of the stack by a signal, and how the process exited."""

import re
import signal
from collections.abc import Callable

from parley.stack import Stack


def terminate(stack: Stack, name: str) -> Callable[[], str]:
    """Send SIGTERM; return a function that gives supervisor's description of the exit, empty until then."""
    log = stack.log("supervisord")
    seen = log.stat().st_size
    ending = re.compile(rf"exited: {name} \(([^;)]*)")
    stack.signal(name, signal.SIGTERM)

    def end() -> str:
        found = ending.search(log.read_bytes()[seen:].decode())
        return found[1] if found else ""

    return end
