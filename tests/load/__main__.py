"""`make load`: thousands of websocket clients, each delivery accounted for; figures as JSON, and a page.

The exit code is 1 when a delivery is missing, doubled or of a message that nobody sent, and 2 when the load
could not begin.
"""

import argparse
import math
import os
import shlex
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

import orjson
import uvloop

from load.arguments import NOT_BEGUN, Arguments
from load.environment import MissingSetting, read_environment
from load.generator.fleet import Fleet
from load.generator.groups import GroupKind, parse_groups
from load.load_run import LoadRun
from load.priority import raised_priority
from load.report import summary
from load.report.page import page
from load.report.summary import LoadResult
from parley.stack import Stack, StackError

OUT = Path(__file__).parents[2] / ".run" / "load"


def groups(text: str) -> tuple[GroupKind, ...]:
    """Return a mix of groups; raises ArgumentTypeError."""
    try:
        return parse_groups(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = Arguments(prog="load", description=__doc__)
    add = parser.add_argument
    add(
        "--groups", type=groups, default=parse_groups("20x10"), help="such as 1000x10,1x1000@20 (with a rate)"
    )
    add(
        "--rate",
        type=float,
        default=200,
        help="messages per second, of all groups without a rate of their own",
    )
    add("--closed", action="store_true", help="send the next message when one is stored, instead of a rate")
    add("--window", type=int, default=4, help="with --closed: messages of each socket on their way")
    add("--seconds", type=float, default=30, help="how long messages are sent")
    add("--rise", type=float, default=0, help="seconds over which the rate rises from nothing")
    add("--ramp", type=float, default=500, help="connects per second")
    add(
        "--storm", type=float, default=0, help="the share of the sockets that are lost at once, after a third"
    )
    add("--kill", metavar="PART", help="a part that is killed half-way, such as gateway-1")
    add("--typing", type=float, default=0, help="typing events per second")
    add(
        "--churn", type=float, default=0, help="sockets per second that are lost, and come and go in presence"
    )
    add("--slow", type=float, default=0, help="the share of the clients that read slowly")
    add("--pause", type=float, default=2, help="seconds for which slow clients read nothing")
    add("--processes", type=int, help="client processes")
    add("--gateways", type=int, default=2)
    add("--workers", type=int, default=2)
    add(
        "--url",
        help="a running Parley, whose JWT_SECRET is in the environment or .env; default: a stack of its own",
    )
    add("--out", type=Path, default=OUT, help="the folder of load.json and load.html")
    args = parser.parse_args()
    if args.seconds <= 0 or not math.isfinite(args.seconds) or args.rate <= 0 or args.ramp <= 0:
        parser.error("seconds, rate and ramp must be above 0")
    if args.kill and args.url:
        parser.error("--kill needs a stack of its own, so no --url")
    return args


async def run(url: str, secret: str, stack: Stack | None, args: argparse.Namespace) -> LoadResult:
    """Run a load on what answers at a URL."""
    async with Fleet([url], secret, args.groups, processes=args.processes) as fleet:
        return await LoadRun(fleet, stack, args).run()


def measure(args: argparse.Namespace) -> LoadResult:
    """Run a load on a stack of its own, or on a running one."""
    if args.url:
        environment = read_environment(os.environ, Path(".env"))
        return uvloop.run(run(args.url.rstrip("/"), environment.jwt_secret, None, args))
    with (
        tempfile.TemporaryDirectory(prefix="parley-load-") as directory,
        Stack(
            Path(directory), gateways=args.gateways, workers=args.workers, settings={"RATE_LIMITS": "off"}
        ) as stack,
        raised_priority() if not args.url else nullcontext(),
    ):
        return uvloop.run(run(stack.url, stack.jwt_secret, stack, args))


def write(result: LoadResult, out: Path) -> None:
    """Write the figures and the page."""
    out.mkdir(parents=True, exist_ok=True)
    settings = {name: str(value) for name, value in result.settings.items()}
    figures = {"settings": settings, "totals": summary.totals(result), "seconds": summary.seconds(result)}
    (out / "load.json").write_bytes(orjson.dumps(figures, option=orjson.OPT_INDENT_2))
    command = shlex.join(["make", "load", f"ARGS={shlex.join(sys.argv[1:])}"])
    (out / "load.html").write_text(page(result, command), encoding="utf-8")


def main() -> int:
    """Run a load, write the report and return the exit code."""
    args = arguments()
    try:
        result = measure(args)
    except (MissingSetting, StackError) as error:
        print(error, file=sys.stderr)
        return NOT_BEGUN
    except (OSError, TimeoutError) as error:
        print(f"The load could not begin: {error}.", file=sys.stderr)
        return NOT_BEGUN
    write(result, args.out)
    for name, value in summary.totals(result).items():
        print(f"{name}: {value}")
    print(f"the report is {args.out / 'load.html'}, the figures are {args.out / 'load.json'}")
    print("\n".join(result.problems) or "every delivery that was due is accounted for")
    return 1 if result.problems else 0


if __name__ == "__main__":
    sys.exit(main())
