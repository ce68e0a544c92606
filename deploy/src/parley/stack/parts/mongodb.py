"""MongoDB: `mongod` where there is one, else nx-27017, which speaks its protocol over SQLite files."""

import sys
from pathlib import Path

from parley.stack.parts.part import Part, Tier, program
from parley.stack.paths import StackPaths
from parley.stack.ports import LOOPBACK
from parley.stack.readiness import listens


def mongodb(paths: StackPaths, port: int) -> Part:
    """Return the MongoDB server."""
    directory = paths.data / "mongodb"
    return Part(
        name="mongodb",
        tier=Tier.SERVERS,
        argv=_command(paths, directory, port),
        directory=directory,
        port=port,
        ready=listens(port),
    )


def _command(paths: StackPaths, directory: Path, port: int) -> tuple[str, ...]:
    stand_in = str(Path(sys.executable).with_name("nx-27017"))
    server = program("mongod", "mongod", stand_in)
    if server != stand_in:
        return (
            server,
            "--dbpath",
            str(directory),
            "--port",
            str(port),
            "--bind_ip",
            LOOPBACK,
            "--nounixsocket",
        )
    # Without these two it writes to fixed names in /tmp, and stacks on one machine would share them.
    own_files = ("--log-file", str(paths.log("nx-27017")), "--pid-file", str(directory / "nx-27017.pid"))
    return (server, "--data-dir", str(directory), "--host", LOOPBACK, "--port", str(port), *own_files)
