"""nginx alone, with the native stack's or the image's configuration, in front of an upstream that echoes."""

import asyncio
import os
import re
import socket
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from parley.stack.parts import nginx
from parley.stack.parts.nginx import Edge
from parley.stack.paths import StackPaths
from parley.stack.plan import SERVICES, Plan
from parley.stack.ports import Ports
from parley.stack.state import StackState

DOCKER = Path(__file__).parents[2] / "deploy/docker"
KINDS = ("native", "image")
PROXY = "127.0.0.7"
"""The address from which a test may say, as a proxy in front of nginx, where a request comes from."""


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """An answer to bytes: the head's lines, and the body."""

    head: str
    body: bytes

    @property
    def status(self) -> int:
        return int(self.head.split(" ", 2)[1])


@asynccontextmanager
async def run_edge(
    kind: str, directory: Path, settings: Mapping[str, str], directives: Mapping[str, str] | None = None
) -> AsyncIterator[int]:
    """Run nginx with these settings; yields its port. The upstream returns the headers that it gets.

    Args:
        kind: One of `KINDS`.
        directory: An empty directory for nginx's files.
        settings: The settings of the stack, or of the container.
        directives: Other values for directives of the configuration, such as shorter times.
    """
    port = _free_port()
    async with _echo() as upstream:
        start = _native if kind == "native" else _image
        process = start(directory, port, upstream, settings, directives or {})
        try:
            await _until_it_listens(port)
            yield port
        finally:
            process.terminate()
            process.wait(10)


async def send(port: int, data: bytes, source: str = "127.0.0.1", within: float = 10) -> RawAnswer:
    """Send these bytes from an address, and read until nginx closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    try:
        writer.write(data)
        async with asyncio.timeout(within):
            received = await reader.read()
    finally:
        writer.close()
    head, _, body = received.partition(b"\r\n\r\n")
    return RawAnswer(head.decode(), body)


@asynccontextmanager
async def _echo() -> AsyncIterator[int]:
    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.json_response({"path": request.raw_path, "headers": dict(request.headers)})

    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app, max_line_size=65536, max_field_size=65536, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _native(
    directory: Path,
    port: int,
    upstream: int,
    settings: Mapping[str, str],
    directives: Mapping[str, str],
) -> "subprocess.Popen[bytes]":
    paths = StackPaths(directory)
    paths.create()
    state = StackState(base=port, gateways=1, workers=1, broker_password="", jwt_secret="")
    plan = Plan(
        paths=paths,
        state=state,
        ports=Ports(port, port),
        host="127.0.0.1",
        settings=settings,
        commands=SERVICES,
        owner=None,
    )
    planned = plan.edge()
    address = {"g1": f"127.0.0.1:{upstream}"}
    edge = Edge(
        host=planned.host,
        port=planned.port,
        accepting=address,
        routable=address,
        trusted_proxies=planned.trusted_proxies,
        most_connections=planned.most_connections,
    )
    nginx.configure(paths, edge)
    configuration = paths.config / "nginx.conf"
    configuration.write_text(_with(configuration.read_text(), directives))
    part = nginx.nginx(paths, edge)
    part.directory.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(part.argv, stdout=subprocess.DEVNULL)


def _image(
    directory: Path,
    port: int,
    upstream: int,
    settings: Mapping[str, str],
    directives: Mapping[str, str],
) -> "subprocess.Popen[bytes]":
    """Start nginx by the image's entry point, in another directory, with an upstream that needs no DNS."""
    user = "user root;\n" if os.geteuid() == 0 else ""
    conf = (DOCKER / "nginx.conf").read_text().replace("/tmp/", f"{directory}/")
    for text, replaced in (
        ("daemon off;", f"{user}daemon off;"),
        ("worker_connections 30000;", "worker_connections 8000;"),
        ("@GATEWAYS@ resolve", f"127.0.0.1:{upstream}"),
        ("listen 8081;", f"listen 127.0.0.1:{_free_port()};"),
        ("listen 8080 ", f"listen 127.0.0.1:{port} "),
        ("access_log /dev/stdout", f"access_log {directory}/access.log"),
    ):
        assert text in conf
        conf = conf.replace(text, replaced)
    script, environment = _entrypoint(directory, _with(conf, directives), settings)
    return subprocess.Popen(["sh", "-c", script], env=environment)


def image_configuration(directory: Path, **settings: str) -> str:
    """Return the configuration that the image's entry point makes of some settings.

    Args:
        directory: An empty directory.
        settings: The environment of the container.

    Raises:
        ValueError: The entry point refused the settings; the text is its sentence.
    """
    script, environment = _entrypoint(directory, (DOCKER / "nginx.conf").read_text(), settings)
    script = re.sub(r"^exec nginx .*$", f"cat {directory}/nginx.conf", script, flags=re.MULTILINE)
    done = subprocess.run(["sh", "-c", script], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(done.stderr.strip())
    return done.stdout


def _entrypoint(directory: Path, conf: str, settings: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return the image's entry point with files below another directory, and its environment."""
    (directory / "etc").mkdir()
    (directory / "etc/nginx.conf").write_text(conf)
    script = (DOCKER / "nginx-entrypoint.sh").read_text()
    script = script.replace("/tmp/", f"{directory}/").replace("/etc/nginx/", f"{directory}/etc/")
    return script, {"PATH": f"{os.environ['PATH']}:/usr/sbin", **settings}


def _with(conf: str, directives: Mapping[str, str]) -> str:
    for name, value in directives.items():
        conf, found = re.subn(rf"(?<=\s{name} )[^;]+(?=;)", value, conf)
        assert found, name
    return conf


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _until_it_listens(port: int) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return
