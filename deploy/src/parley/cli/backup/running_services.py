"""Finds services that run: a restore under them would mix two histories."""

import re
from typing import Any

from pymongo.read_concern import ReadConcern

from parley.shared.mongo import service_name

SHOWN = 5


async def find(url: str, database: Any) -> list[str]:
    """Return the names of the services that work on a database, wherever they run, as MongoDB lists them.

    MongoDB shows the connections of this command's own user, which is that of the services.
    """
    prefix = service_name(url, "")
    connections = {"$currentOp": {"allUsers": False, "idleConnections": True}}
    services = {"$match": {"appName": {"$regex": f"^{re.escape(prefix)}"}}}
    admin = database.client.get_database("admin", read_concern=ReadConcern("local"))
    found = admin.aggregate([connections, services, {"$group": {"_id": "$appName"}}])
    return sorted([each["_id"].removeprefix(prefix) async for each in found])


def sentence(services: list[str]) -> str:
    """Return what is to be done about them."""
    named = ", ".join(services[:SHOWN]) + (f" and {len(services) - SHOWN} more" if services[SHOWN:] else "")
    return f"Services are running ({named}): stop all gateways and workers first, as deploy/BACKUP.md says."
