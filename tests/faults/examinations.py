"""Transcripts of `parley doctor`, in tests/alerts/doctor, while a fault lasts."""

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from clients.operators import Operator
from parley.stack import Stack

TRANSCRIPTS = Path(__file__).resolve().parents[1] / "alerts/doctor"
PAUSE_SECONDS = 15.0

Finding = Mapping[str, Any]


class Examinations:
    """Runs `parley doctor` again and again, and keeps the run that found most.

    Findings from before the fault are left out: some counts last until a service is restarted.
    """

    def __init__(self, stack: Stack) -> None:
        self._names = {
            **_names("gateway", stack.gateway_urls),
            **_names("worker", stack.worker_urls),
        }
        self._directory = tempfile.TemporaryDirectory()
        self._operator = Operator(stack, Path(self._directory.name))
        self._most: Sequence[Finding] = ()

    async def __aenter__(self) -> Self:
        self._known = {_check(finding) for finding in await self._examine()}
        self._task = asyncio.create_task(self._examine_forever())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self._directory.cleanup()

    def write(self, name: str) -> None:
        """Write the findings as lines `level server (check): text`."""
        TRANSCRIPTS.mkdir(parents=True, exist_ok=True)
        lines = [
            f"{finding['level']:8}{self._server(finding)} ({finding['check']}): {finding['text']}"
            for finding in self._most
        ]
        (TRANSCRIPTS / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))

    async def _examine_forever(self) -> None:
        while True:
            await asyncio.sleep(PAUSE_SECONDS)
            found = [finding for finding in await self._examine() if _check(finding) not in self._known]
            self._most = max(self._most, found, key=len)

    async def _examine(self) -> list[Finding]:
        answer = await self._operator.run("doctor", "--json")
        return [finding for finding in answer.json["findings"] if finding["level"] != "ok"]

    def _server(self, finding: Finding) -> str:
        kind, _, address = finding["server"].partition(" ")
        return self._names.get(address, kind)


def _check(finding: Finding) -> tuple[str, str]:
    return finding["server"], finding["check"]


def _names(kind: str, urls: Sequence[str]) -> dict[str, str]:
    return {url.partition("://")[2]: f"{kind}-{number}" for number, url in enumerate(urls, 1)}
