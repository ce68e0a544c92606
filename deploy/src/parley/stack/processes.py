"""The processes of a stack, found through /proc whatever their parent is."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

MARK = "PARLEY_STACK"
"""An environment variable that every process of a stack inherits; its value is the stack's directory."""


def belonging_to(directory: Path) -> set[int]:
    """Return the pids of the processes that this stack started, without this process."""
    return {pid for pid in _all() if pid != os.getpid() and _belongs(pid, directory)}


def children_of(parent: int) -> set[int]:
    """Return the pids of the child processes of `parent`."""
    return {pid for pid in _all() if _parent(pid) == parent}


def title(pid: int) -> str:
    """Return the command line, empty when the process has ended."""
    return _read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace").strip()


def is_alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    fields = _stat(pid)
    return bool(fields) and fields[0] != b"Z"


def wait_until_suspended(group: int, seconds: float = 1.0) -> None:
    """Wait until each thread of a process group stands still: after a SIGSTOP some run on for a moment."""
    deadline = time.monotonic() + seconds
    members = [pid for pid in _all() if _group(pid) == group]
    while not all(map(_is_suspended, members)) and time.monotonic() < deadline:
        time.sleep(0.001)


def kill_all(directory: Path) -> None:
    """End all processes of a stack: SIGTERM, then SIGKILL two seconds later."""
    for request in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + 2.0
        for pid in belonging_to(directory):
            _send(pid, request)
        while belonging_to(directory) and time.monotonic() < deadline:
            time.sleep(0.05)


def _is_suspended(pid: int) -> bool:
    threads = Path(f"/proc/{pid}/task").glob("*")
    return all(_stat(int(thread.name))[:1] in ([b"T"], [b"Z"], []) for thread in threads)


def _belongs(pid: int, directory: Path) -> bool:
    if not is_alive(pid):
        return False
    if f"{MARK}={directory}".encode() in _read(pid, "environ").split(b"\0"):
        return True
    # nginx overwrites its environment with its title, so it is recognized by its working directory.
    return _read(pid, "comm") == b"nginx\n" and _working_directory(pid) == directory / "data" / "nginx"


def _working_directory(pid: int) -> Path | None:
    try:
        return Path(os.readlink(f"/proc/{pid}/cwd"))
    except OSError:
        return None


def _all() -> Iterator[int]:
    return (int(entry) for entry in os.listdir("/proc") if entry.isdigit())


def _parent(pid: int) -> int | None:
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def _group(pid: int) -> int | None:
    fields = _stat(pid)
    return int(fields[2]) if fields else None


def _stat(pid: int) -> list[bytes]:
    """Return the fields after the process name, which may itself contain blanks and parentheses."""
    return _read(pid, "stat").rpartition(b")")[2].split()


def _read(pid: int, file: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{file}").read_bytes()
    except OSError:
        return b""


def _send(pid: int, request: signal.Signals) -> None:
    try:
        os.kill(pid, request)
    except (ProcessLookupError, PermissionError):
        return
