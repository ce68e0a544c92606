"""`python -m parley.persistence_worker.partitions N`: change the number of partitions while all runs."""

import asyncio
import sys
from argparse import ArgumentParser
from functools import partial

from parley.persistence_worker.partitions.command import change, show_status
from parley.persistence_worker.settings import Settings
from parley.shared import process
from parley.shared.layouts import LayoutsUnavailable
from parley.shared.settings import StartupError

MOST = 1024


def _arguments() -> ArgumentParser:
    parser = ArgumentParser(
        "parley.persistence_worker.partitions", description="Change the number of partitions."
    )
    parser.add_argument("number", nargs="?", type=int, help=f"1 to {MOST}")
    parser.add_argument("--status", action="store_true", help="print the number, and how far a change is")
    parser.add_argument("--force", action="store_true", help="cut off gateways that do not take part")
    return parser


async def run(settings: Settings, stopped: asyncio.Event) -> None:
    """Change the number and wait until it is done, or print the status."""
    given = _arguments().parse_args()
    show = partial(print, flush=True)
    try:
        if given.status or given.number is None:
            await show_status(settings.mongo_url, show)
        elif not 1 <= given.number <= MOST:
            raise StartupError(f"The number of partitions must be 1 to {MOST}, not {given.number}.")
        else:
            await change(settings.mongo_url, given.number, stopped, show, forced=given.force)
    except LayoutsUnavailable as error:
        raise StartupError(f"MongoDB does not answer: {error}") from error


if __name__ == "__main__":
    _arguments().parse_args(sys.argv[1:])
    process.main(Settings, "worker_name", run)
