"""`parley doctor`."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from time import monotonic

import typer
from rich.text import Text

from parley.cli import environment, layout
from parley.cli.doctor import mongodb_server, rabbitmq_server, redis_server, services, traffic
from parley.cli.doctor.finding import Finding
from parley.cli.environment import Environment
from parley.cli.errors import CommandError
from parley.cli.output import Json, console, print_json
from parley.cli.probes import ask_all
from parley.shared.layouts import Layout

STYLES = {"ok": "green", "warning": "yellow", "error": "bold red"}


def doctor(context: typer.Context, as_json: Json = False) -> None:
    """Try each server and service, and say what to do; exits with 1 if there is an error.

    It writes one document to MongoDB, one key to Redis and one message to a queue of its own in RabbitMQ, and
    removes them.
    """
    findings = asyncio.run(_collect(environment.of(context), quiet=as_json))
    failed = any(finding.level == "error" for finding in findings)
    if as_json:
        print_json({"ok": not failed, "findings": [asdict(finding) for finding in findings]})
    raise typer.Exit(1 if failed else 0)


async def _collect(env: Environment, *, quiet: bool) -> list[Finding]:
    found = []
    async for finding in examine(env):
        found.append(finding)
        if not quiet:
            _print(finding)
    return found


async def examine(env: Environment) -> AsyncIterator[Finding]:
    """Yield the findings on all servers and services."""
    settings = env.settings
    urls = [*env.gateways, *env.workers]
    before, asked_at = await ask_all(urls), monotonic()
    stored = await _layout(env)
    async for finding in redis_server.check(settings.redis_url):
        yield finding
    async for finding in rabbitmq_server.check(settings.rabbitmq_url, stored, settings.partitions):
        yield finding
    async for finding in mongodb_server.check(settings.mongo_url):
        yield finding
    await asyncio.sleep(asked_at + traffic.LEAST_SECONDS - monotonic())
    after, seconds = await ask_all(urls), monotonic() - asked_at
    gateways, workers = after[: len(env.gateways)], after[len(env.gateways) :]
    for finding in services.check(gateways, workers, stored.current.count):
        yield finding
    for finding in traffic.check(before, after, seconds):
        yield finding


async def _layout(env: Environment) -> Layout:
    """Return the stored layout, or the initial one while MongoDB is away: its own checks say so."""
    try:
        return await layout.read(env)
    except CommandError:
        return await layout.initial(env)


def _print(finding: Finding) -> None:
    line = Text.assemble((f"{finding.level:8}", STYLES[finding.level]), f"{finding.server}: {finding.text}")
    console().print(line)
