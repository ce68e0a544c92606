"""`python -m parley.persistence_worker.search`: build the search index anew, while the services run."""

import asyncio

from parley.persistence_worker.ports import StoreUnavailable
from parley.persistence_worker.search.rebuild import rebuild
from parley.persistence_worker.settings import Settings
from parley.shared import process
from parley.shared.settings import StartupError


async def run(settings: Settings, stopped: asyncio.Event) -> None:
    """Build the index, and print how far it is."""
    try:
        await rebuild(settings.mongo_url, stopped, lambda line: print(line, flush=True))
    except StoreUnavailable as error:
        raise StartupError(f"MongoDB does not answer: {error}") from error


if __name__ == "__main__":
    process.main(Settings, "worker_name", run)
