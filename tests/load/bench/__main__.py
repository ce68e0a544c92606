"""`make bench`: the same load on Parley and on the guides' own stack in turn; a table of medians."""

import argparse
import math
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import orjson
import uvloop

from load.arguments import Arguments
from load.bench import history, table
from load.bench.scenes import IDLE, SCENES, Bench, Figures, Options
from load.bench.targets import TITLES, running
from load.priority import raised_priority

Results = dict[str, dict[str, list[Figures]]]


async def compare(directory: Path, args: argparse.Namespace, scenes: Sequence[str], results: Results) -> None:
    """Run the scenes on one stack, round by round, each on all targets in turn."""
    options = Options(args.sockets, args.window, args.seconds, args.idle_sockets, args.idle_seconds)
    with running(args.only, directory, args.workers, args.partitions) as targets, raised_priority():
        benches = [Bench(target, options) for target in targets.values()]
        try:
            for number in range(1 if IDLE in scenes else args.rounds):
                for scene in scenes:
                    for bench in benches:
                        figures = await SCENES[scene][1](bench)
                        results[scene][bench.target.name].append(figures)
                        show(f"{number + 1}", scene, bench, figures)
        finally:
            for bench in benches:
                await bench.close()


def show(number: str, scene: str, bench: Bench, figures: Figures) -> None:
    """Print the figures of a scene while the run goes on."""
    text = ", ".join(f"{table.number(value)} {name}" for name, value in figures.items())
    print(f"[{number}] {SCENES[scene][0]}, {TITLES[bench.target.name]}: {text}", file=sys.stderr, flush=True)


def measure(args: argparse.Namespace) -> Results:
    """Run all scenes; sockets that idle are measured on freshly started processes in each round."""
    results: Results = {scene: {target: [] for target in args.only} for scene in args.scenes}
    busy = [scene for scene in args.scenes if scene != IDLE]
    runs = ([busy] if busy else []) + [[IDLE]] * (args.rounds if IDLE in args.scenes else 0)
    for scenes in runs:
        with tempfile.TemporaryDirectory(prefix="parley-bench-") as directory:
            uvloop.run(compare(Path(directory), args, scenes, results))
    return results


def chosen(known: Sequence[str], text: str) -> list[str]:
    """Return the names in a text that are separated by commas; raises ArgumentTypeError."""
    names = text.split(",")
    if unknown := [name for name in names if name not in known]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(known)}")
    return names


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = Arguments(prog="load.bench", description=__doc__)
    parser.add_argument("--only", type=lambda text: chosen([*TITLES], text), default=[*TITLES], metavar="A,B")
    parser.add_argument(
        "--scenes", type=lambda text: chosen([*SCENES], text), default=[*SCENES], metavar="A,B"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8, help="how long each load lasts")
    parser.add_argument("--sockets", type=int, default=200, help="in groups of ten")
    parser.add_argument("--window", type=int, default=4, help="messages of each socket on their way")
    parser.add_argument("--workers", type=int, default=1, help="of Parley; one stores what two cores accept")
    parser.add_argument("--partitions", type=int, help="of Parley; default: one for each worker")
    parser.add_argument("--idle-sockets", type=int, default=5_000)
    parser.add_argument("--idle-seconds", type=float, default=20, help="after which freed memory is read")
    parser.add_argument("--json", type=Path, help="where the figures of all rounds go")
    parser.add_argument("--write", action="store_true", help="append a line to tests/load/HISTORY.md")
    args = parser.parse_args()
    if args.partitions is None:
        args.partitions = args.workers
    if (
        args.rounds < 1
        or args.workers < 1
        or args.partitions < args.workers
        or args.sockets < 20
        or args.window < 1
        or not 0 < args.seconds < math.inf
    ):
        parser.error(
            "there must be a round, workers with a partition each, 20 sockets, a window of 1 and some seconds"
        )
    return args


def main() -> None:
    """Compare, print the table, and fail if a message was lost, doubled or refused."""
    args = arguments()
    results = measure(args)
    print("\n".join(table.lines(results)))
    if args.json:
        args.json.write_bytes(orjson.dumps(results, option=orjson.OPT_INDENT_2))
    if args.write:
        history.append(table.medians(results), sys.argv[1:])
    if broken := table.problems(results):
        sys.exit("\n".join(broken))


if __name__ == "__main__":
    main()
