"""Shows the progress of a long run."""

import sys
import time
from typing import TextIO

EVERY = 3.0
"""Seconds between two lines if the output is not a terminal."""
BLINK = 0.1
"""Seconds between two updates of a terminal's line."""


class Progress:
    """A line that changes on a terminal, one every few seconds elsewhere; a stage's end is always shown."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._shown = 0.0

    def show(self, text: str, done: int, total: int) -> None:
        """Show that `done` of `total` are done."""
        now = time.monotonic()
        last = done >= total
        if not last and now - self._shown < (BLINK if self._live else EVERY):
            return
        self._shown = now
        self._write(f"{text}: {done:,} of {total:,}", last=last)

    def note(self, line: str) -> None:
        """Show a line of a stage without a known end."""
        now = time.monotonic()
        if now - self._shown >= (BLINK if self._live else EVERY):
            self._shown = now
            self._write(line, last=False)

    def _write(self, line: str, *, last: bool) -> None:
        if self._live:
            self._stream.write(f"\r\x1b[K{line}" + ("\n" if last else ""))
        else:
            self._stream.write(line + "\n")
        self._stream.flush()
