"""`python -m faults`: run every row of the table on a stack of its own; exit code 0 if all have passed."""

import argparse
import asyncio
import contextlib
import logging
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop

from clients.stacks import SETTINGS
from faults import alert_table, cluster_table, document, render
from faults.fault_run import in_thread, run_row
from faults.row import Outcome
from faults.table import ROWS
from load.arguments import NOT_BEGUN, Arguments
from parley.stack import Stack, StackError

DIRECTORY = Path(__file__).resolve().parents[2] / ".run" / "faults"
LONGEST_SECONDS, LONGEST_OF_OTHERS_SECONDS = 14 * 60.0, 45 * 60.0
"""Seconds after which no further row starts, and the running one is cancelled."""

PASSED, FAILED, INTERRUPTED = 0, 1, 130
_STARTED = time.monotonic()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the requested rows and print the table."""
    options = options_of(arguments)
    # A polling client logs an error when its server is gone. engineio sets the level unless one is set.
    logging.getLogger("engineio.client").setLevel(logging.CRITICAL)
    try:
        return uvloop.run(_interruptible(options))
    except StackError as error:
        print(f"parley: {error}", file=sys.stderr)
        return NOT_BEGUN
    except (KeyboardInterrupt, asyncio.CancelledError):
        return INTERRUPTED


async def _interruptible(options: argparse.Namespace) -> int:
    running = asyncio.current_task()
    assert running is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    return await _run(options)


async def _run(options: argparse.Namespace) -> int:
    stack = await _fresh_stack(hosts=3 if options.cluster else 1)
    outcomes: list[Outcome] = []
    try:
        _report("starting gateways, workers and their servers")
        await in_thread(stack.up)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(
                LONGEST_OF_OTHERS_SECONDS if options.cluster or options.alerts else LONGEST_SECONDS
            ):
                for number, row in enumerate(options.rows, 1):
                    _report(f"{number}/{len(options.rows)} {row.name}: {row.fault} ({row.done})")
                    outcomes.append(
                        await run_row(
                            row, stack, lambda line: _report(f"    {line}"), recorded=options.record
                        )
                    )
                    _report(f"    {render.line(outcomes[-1])}")
                    for reason in outcomes[-1].reasons:
                        _report(f"    - {reason}")
    finally:
        _report("stopping everything")
        await in_thread(stack.down)
    outcomes += [Outcome(row=row, reasons=["no time was left"]) for row in options.rows[len(outcomes) :]]
    print("\n" + (render.markdown if options.markdown else render.text)(outcomes))
    if options.write:
        document.write(outcomes, table=document.CLUSTER if options.cluster else document.ONE_HOST)
    return _verdict(outcomes)


async def _fresh_stack(hosts: int) -> Stack:
    """Return a stack without data of an earlier run; its logs stay for later inspection."""
    if await in_thread(Stack(DIRECTORY).is_up):
        raise StackError("The faults are being run already.")
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    count = max(2, hosts)
    return Stack(DIRECTORY, gateways=count, workers=count, hosts=hosts, settings=SETTINGS)


def _verdict(outcomes: Sequence[Outcome]) -> int:
    failed = sum(not outcome.passed for outcome in outcomes)
    spent = time.monotonic() - _STARTED
    print(f"\n{len(outcomes) - failed} of {len(outcomes)} rows passed in {spent / 60:.1f} minutes.")
    if failed:
        print(f"The logs are in {DIRECTORY / 'log'}.")
    return FAILED if failed else PASSED


def options_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; `rows` are those of the table that it chooses."""
    parser = Arguments(prog="faults", description=__doc__)
    parser.add_argument("--rows", type=_names, help="names with commas: " + ", ".join(_KNOWN))
    parser.add_argument("--cluster", action="store_true", help="run the rows of a cluster of three hosts")
    parser.add_argument(
        "--alerts", action="store_true", help="run the rows that are held until an alert fires"
    )
    parser.add_argument(
        "--record", action="store_true", help="write what the alert rules read into tests/alerts/series"
    )
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--write", action="store_true", help="write the figures into tests/README.md")
    options = parser.parse_args(arguments)
    table = cluster_table.ROWS if options.cluster else alert_table.ROWS if options.alerts else ROWS
    rows = {row.name: row for row in table}
    options.rows = [rows.get(name) for name in options.rows or rows]
    if None in options.rows:
        parser.error("a cluster and alerts have rows of their own: give --cluster or --alerts for these only")
    if options.alerts and options.write:
        parser.error("the figures of --alerts are in no table: give --record")
    return options


_KNOWN = [*dict.fromkeys(row.name for row in (*ROWS, *cluster_table.ROWS, *alert_table.ROWS))]


def _names(text: str) -> Sequence[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in _KNOWN]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"there is no row {', '.join(unknown)}: there are {', '.join(_KNOWN)}"
        )
    return names


def _report(line: str) -> None:
    print(f"[{time.monotonic() - _STARTED:5.0f} s] {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
