"""`python -m load.polling_flood`: post bodies of many packets without a token, and measure other clients.

It runs the transport of a gateway in a process of its own, with the default limits. Clients of other
addresses send a message ten times a second and wait for its echo.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection

import aiohttp
from aiohttp import web

from clients.echo_server import socket_server
from parley.gateway.settings import Settings, rates_of
from parley.gateway.state.rates import Rates
from parley.gateway.transport.trusted_proxies import TrustedProxies
from parley.shared.http_server import AppRunner

NEIGHBOURS = 4
CHATTER = '42["message","hello"]'
POLLING, WEBSOCKET = (f"/socket.io/?EIO=4&transport={name}" for name in ("polling", "websocket"))


async def main(arguments: argparse.Namespace) -> None:
    """Measure without an attack, then under it."""
    here, there = multiprocessing.Pipe()
    server = multiprocessing.Process(target=_serve, args=(there, arguments.limits), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{await asyncio.to_thread(here.recv)}"
    _show("before", await _neighbours(url, 5))
    body = "\x1e".join([arguments.packet] * arguments.packets).encode()
    sent = multiprocessing.Value("q", 0)
    attackers = [
        multiprocessing.Process(target=_attack, args=(url, body, sent), daemon=True)
        for _ in range(arguments.attackers)
    ]
    for attacker in attackers:
        attacker.start()
    await asyncio.sleep(1)
    before, started = sent.value, time.monotonic()
    _show("under attack", await _neighbours(url, arguments.seconds))
    rate = (sent.value - before) / (time.monotonic() - started)
    print(f"the attackers posted {rate / 1e6:.2f} MB/s in bodies of {len(body)} bytes")
    for process in (*attackers, server):
        process.terminate()


def _serve(ready: Connection, limits: bool) -> None:
    asyncio.run(_run_server(ready, limits))


async def _run_server(ready: Connection, limits: bool) -> None:
    rates = Rates(rates_of(Settings(node_name="g1"))) if limits else Rates({})
    sockets = socket_server(
        rates=rates, proxies=TrustedProxies(["127.0.0.0/8"]), max_http_buffer_size=262_144
    )
    app = web.Application()
    sockets.attach(app)
    runner = AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    ready.send(runner.addresses[0][1])
    await asyncio.Event().wait()


async def _neighbours(url: str, seconds: float) -> list[float]:
    """Return the seconds until each echo."""
    talking = [_talk(url, f"198.51.100.{number}", seconds) for number in range(1, NEIGHBOURS + 1)]
    return [each for times in await asyncio.gather(*talking) for each in times]


async def _talk(url: str, address: str, seconds: float) -> list[float]:
    times, end = [], time.monotonic() + seconds
    async with (
        aiohttp.ClientSession(headers={"X-Forwarded-For": address}) as http,
        http.ws_connect(url + WEBSOCKET) as ws,
    ):
        await ws.send_str("40")
        while time.monotonic() < end:
            started = time.monotonic()
            await ws.send_str(CHATTER)
            while "message-back" not in await ws.receive_str(timeout=30):
                pass
            times.append(time.monotonic() - started)
            await asyncio.sleep(0.1)
    return times


def _attack(url: str, body: bytes, sent: "multiprocessing.sharedctypes.Synchronized[int]") -> None:
    # The server is measured, not the attackers' use of the same processors.
    os.nice(19)
    asyncio.run(_post(url, body, sent))


async def _post(url: str, body: bytes, sent: "multiprocessing.sharedctypes.Synchronized[int]") -> None:
    async with aiohttp.ClientSession(headers={"X-Forwarded-For": "203.0.113.66"}) as http:
        while True:
            async with http.get(url + POLLING) as opened:
                if opened.status != 200:
                    continue
                sid = json.loads((await opened.text())[1:])["sid"]
            status = 200
            while status == 200:
                async with http.post(f"{url}{POLLING}&sid={sid}", data=body) as answer:
                    status = answer.status
                with sent.get_lock():
                    sent.value += len(body)


def _show(when: str, times: Sequence[float]) -> None:
    ordered = sorted(times)
    p50, p99 = (1000 * ordered[int(share * len(ordered))] for share in (0.5, 0.99))
    print(f"{when}: {len(ordered)} messages, p50 {p50:.1f} ms, p99 {p99:.1f} ms", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packets", type=int, default=130_000, help="packets of a body")
    parser.add_argument("--packet", default="3", help="one packet")
    parser.add_argument("--attackers", type=int, default=2, help="attacking processes")
    parser.add_argument("--seconds", type=int, default=10, help="seconds of the attack")
    parser.add_argument(
        "--limits", action=argparse.BooleanOptionalAction, default=True, help="use the limits"
    )
    asyncio.run(main(parser.parse_args()))
