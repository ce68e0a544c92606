"""Paths of a stack's files: one directory, and a short path for its control socket."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from parley.stack.errors import StackError

LONGEST_SOCKET_PATH = 90
"""Bytes. The kernel allows 107, and supervisord first binds a longer temporary name."""


@dataclass(frozen=True)
class StackPaths:
    """The directories and files of one stack, all below `root` (an absolute path)."""

    root: Path

    @property
    def config(self) -> Path:
        return self.root / "etc"

    @property
    def logs(self) -> Path:
        return self.root / "log"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def state(self) -> Path:
        """The file of the StackState."""
        return self.root / "state.json"

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def socket(self) -> Path:
        """Supervisor's control socket."""
        inside = self.root / "supervisor.sock"
        if len(os.fsencode(inside)) <= LONGEST_SOCKET_PATH:
            return inside
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        return Path("/tmp", f"parley-{os.getuid()}-{digest}", "supervisor.sock")

    def log(self, part: str) -> Path:
        return self.logs / f"{part}.log"

    def create(self) -> None:
        """Create the directories, readable by this user only."""
        for directory in (self.root, self.config, self.logs, self.data, self.socket.parent):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.socket.parent.stat().st_uid != os.getuid():
            raise StackError(f"{self.socket.parent} belongs to another user: remove it.")


def write(path: Path, text: str, mode: int = 0o600) -> bool:
    """Replace the file's content atomically; return whether the content changed."""
    if path.exists() and path.read_text() == text:
        return False
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.new")
    draft.write_text(text)
    draft.chmod(mode)
    draft.replace(path)
    return True


def quoted(path: Path) -> str:
    """Return the path in double quotes, as the configurations of nginx and Redis take it."""
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
