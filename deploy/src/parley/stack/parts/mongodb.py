"""MongoDB as a replica set, of one member or of one on each host of a cluster."""

import shutil
import sysconfig
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from parley.stack.data_migration import copy_waiting_data, set_aside, waiting_folder
from parley.stack.errors import StackError
from parley.stack.hosts import Host
from parley.stack.parts.part import Part, Report, Tier
from parley.stack.paths import StackPaths

REPLICA_SET = "parley"
ELECTION_MS = 3000
"""Milliseconds without a primary after which the others elect one; MongoDB's default is 10,000."""
FETCH_SECONDS = 1
"""Seconds, besides the poll's own 1.5, after which a member no longer copies from one that does not answer.

With MongoDB's default of 5 a frozen primary delays the start of the next one, and its first majority.
"""
TRANSACTION_SECONDS = 5
"""Time for which a transaction may keep documents locked, such as one of which a lost worker sent a part.

MongoDB's default is 60. Parley's transactions take milliseconds.
"""
CACHE_GB = "0.25"
CALL_MS = 2000
NOT_YET_INITIALIZED, PRIMARY, SECONDARY = 94, 1, 2
NO_SERVER = (
    "There is no MongoDB for this machine: install mongod 6.0 or newer so that it is on the PATH, "
    "or set MONGO_URL in .env to a server elsewhere."
)


def mongodb(paths: StackPaths, port: int, host: Host, hosts: Sequence[Host]) -> Part:
    """Return the member of the replica set on a host."""
    name = host.part("mongodb")
    directory = paths.data / name
    set_aside(directory)
    members = [f"{each.address}:{port}" for each in hosts]
    address = f"{host.address}:{port}"
    return Part(
        name=name,
        tier=Tier.SERVERS,
        argv=host.command(*_command(directory, host.address, port)),
        directory=directory,
        address=host.address,
        port=port,
        ready=partial(_is_ready, directory, address, alone=len(hosts) == 1),
        # The first host configures the set; two at once would each begin a set of their own.
        setup=partial(_set_up, directory, address, members) if host == hosts[0] else None,
    )


def mongod() -> str:
    """Return the path of mongod: of the one on the PATH, else of the one that is installed with this package.

    Raises:
        StackError: There is none for this machine.
    """
    installed = Path(sysconfig.get_path("purelib"), "fiftyone", "db", "bin", "mongod")
    found = shutil.which("mongod") or (str(installed) if installed.exists() else None)
    if found is None:
        raise StackError(NO_SERVER)
    return found


def _command(directory: Path, address: str, port: int) -> tuple[str, ...]:
    return (
        *(mongod(), "--dbpath", str(directory), "--bind_ip", address, "--port", str(port)),
        *("--replSet", REPLICA_SET, "--nounixsocket", "--wiredTigerCacheSizeGB", CACHE_GB),
        *("--setParameter", "diagnosticDataCollectionEnabled=false"),
        *("--setParameter", f"oplogNetworkTimeoutBufferSeconds={FETCH_SECONDS}"),
        *("--setParameter", f"transactionLifetimeLimitSeconds={TRANSACTION_SECONDS}"),
    )


def _is_ready(directory: Path, address: str, *, alone: bool) -> bool:
    """Whether the member has all data and can be written to, or, if another can be primary, replicates."""
    state = _state(address)
    if waiting_folder(directory).exists():
        return False
    return state == PRIMARY or (state == SECONDARY and not alone)


def _state(address: str) -> int | None:
    """Return the member's state in its set, None if it does not answer or is in no set."""
    try:
        return int(_call(address, "replSetGetStatus")["myState"])
    except PyMongoError:
        return None


def _set_up(directory: Path, address: str, members: Sequence[str], report: Report) -> None:
    """Configure the set, then copy the data of a former version to it, if there is any."""
    if _state(address) == PRIMARY:
        copy_waiting_data(directory, address, report)
    else:
        _configure(address, members)


def _configure(address: str, members: Sequence[str]) -> None:
    """Initiate the set, or give its members the addresses that the stack has now."""
    try:
        config = _call(address, "replSetGetConfig")["config"]
    except OperationFailure as error:
        # A member that lost its data gets the configuration from the others, which may be slow to answer. Its
        # attempt to initiate the set is refused by them.
        if error.code == NOT_YET_INITIALIZED and all(_state(each) is None for each in members):
            # On a busy machine the call may time out; it is repeated until the member is ready.
            with suppress(PyMongoError):
                _call(address, {"replSetInitiate": _config(members, version=1)})
    except PyMongoError:
        return
    else:
        if [member["host"] for member in config["members"]] != [*members]:
            _call(address, {"replSetReconfig": _config(members, config["version"] + 1), "force": True})


def _config(members: Sequence[str], version: int) -> dict[str, Any]:
    return {
        "_id": REPLICA_SET,
        "version": version,
        "members": [{"_id": number, "host": member} for number, member in enumerate(members)],
        "settings": {
            "electionTimeoutMillis": ELECTION_MS,
            # A new primary need not copy what no majority has: workers and gateways retry such writes.
            "catchUpTimeoutMillis": CALL_MS,
            # A member that copies from a frozen secondary would be behind, and the majority with it.
            "chainingAllowed": False,
        },
    }


def _call(address: str, command: str | dict[str, Any]) -> dict[str, Any]:
    client: MongoClient[dict[str, Any]] = MongoClient(
        f"mongodb://{address}/?directConnection=true",
        serverSelectionTimeoutMS=CALL_MS,
        socketTimeoutMS=CALL_MS,
    )
    with client:
        return client.admin.command(command)
