"""`python -m load.half_sent`: hold half-sent headers at nginx, and measure how other clients are served.

It runs nginx alone, with the native stack's configuration. Each attacking process opens connections from an
address of its own, and opens another one for each that nginx closes.
"""

import argparse
import asyncio
import contextlib
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.synchronize import Event
from pathlib import Path

from clients.nginx_edge import run_edge, send

HALF = b"GET / HTTP/1.1\r\nHost: chat.example\r\nX-Half"
WHOLE = b"GET /x HTTP/1.1\r\nHost: chat.example\r\nConnection: close\r\n\r\n"
OF_A_PROCESS = 9_000
"""Connections of one attacking process: fewer than it may have open files."""


async def main(arguments: argparse.Namespace) -> None:
    """Measure without an attack, then under it."""
    directives = {
        "client_header_timeout": f"{arguments.timeout}s",
        "worker_connections": str(arguments.worker_connections),
    }
    with tempfile.TemporaryDirectory() as directory:
        async with run_edge("native", Path(directory), {}, directives) as port:
            _show("before", await _neighbours(port, 3))
            stop, processes = _attack(port, arguments.connections)
            try:
                for _ in range(arguments.seconds // 5):
                    _show("under attack", await _neighbours(port, 5))
            finally:
                stop.set()
                for process in processes:
                    process.join()


async def _neighbours(port: int, seconds: float) -> list[float | None]:
    """Ask 20 times a second from other addresses; return the seconds of each answer, or None without one."""
    end, asking = time.monotonic() + seconds, []
    while time.monotonic() < end:
        asking.append(asyncio.create_task(_ask(port)))
        await asyncio.sleep(0.05)
    return list(await asyncio.gather(*asking))


async def _ask(port: int) -> float | None:
    started = time.monotonic()
    try:
        answer = await send(port, WHOLE, "127.0.0.99", within=5)
    except (OSError, TimeoutError):
        return None
    return time.monotonic() - started if answer.head and answer.status == 200 else None


def _show(when: str, answers: Sequence[float | None]) -> None:
    times = sorted(each for each in answers if each is not None)
    lost = len(answers) - len(times)
    p50, p99 = (1000 * times[int(share * len(times))] if times else 0 for share in (0.5, 0.99))
    print(
        f"{when}: {len(answers)} requests, {lost} not answered, p50 {p50:.1f} ms, p99 {p99:.1f} ms",
        flush=True,
    )


def _attack(port: int, connections: int) -> tuple[Event, list[multiprocessing.Process]]:
    stop = multiprocessing.Event()
    counts = [min(OF_A_PROCESS, connections - first) for first in range(0, connections, OF_A_PROCESS)]
    processes = [
        multiprocessing.Process(target=_hold, args=(port, count, f"127.0.1.{number}", stop))
        for number, count in enumerate(counts, start=1)
    ]
    for process in processes:
        process.start()
    return stop, processes


def _hold(port: int, count: int, source: str, stop: Event) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(_keep_open(port, count, source, stop))


async def _keep_open(port: int, count: int, source: str, stop: Event) -> None:
    opened = 0

    async def one() -> None:
        nonlocal opened
        while not stop.is_set():
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
            except OSError:
                await asyncio.sleep(0.1)
                continue
            opened += 1
            writer.write(HALF)
            with contextlib.suppress(OSError):
                await reader.read()
            writer.close()

    holding = [asyncio.create_task(one()) for _ in range(count)]
    await asyncio.to_thread(stop.wait)
    print(f"an attacker opened {opened} connections", flush=True)
    for task in holding:
        task.cancel()
    await asyncio.gather(*holding, return_exceptions=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=38_000, help="connections that attackers hold")
    parser.add_argument("--timeout", type=int, default=5, help="seconds that nginx waits for a header")
    parser.add_argument("--worker-connections", type=int, default=19_000, help="of each of two processes")
    parser.add_argument("--seconds", type=int, default=20, help="seconds of the attack")
    asyncio.run(main(parser.parse_args()))
