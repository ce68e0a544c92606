"""Remove the images that a build replaced: each would leave some hundred megabytes without a name."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from parley.stack.images.engine import Engine

LABEL = "parley.replaceable=yes"
"""The label of every image that is built here, by the first instruction of its Dockerfile's stages."""

REMOVAL_TIMEOUT = 300.0
"""Seconds."""


@contextmanager
def building(engine: Engine) -> Iterator[None]:
    """Run one build at a time; remove the images that it replaced."""
    # A build's unfinished stages have no name either: another one that ends meanwhile would remove them.
    path = Path(tempfile.gettempdir(), f"parley-images-{os.getuid()}.lock")
    lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
        remove_replaced(engine)
    finally:
        os.close(lock)


def remove_replaced(engine: Engine) -> None:
    """Remove the images with LABEL that have no name, no descendant and no container."""
    kept: set[str] = set()
    # `image prune` would also remove images without the label that a removed one descends from.
    while found := set(_without_name(engine)) - kept:
        engine.run("rmi", "--no-prune", *sorted(found), timeout=REMOVAL_TIMEOUT)
        kept = found & set(_without_name(engine))


def _without_name(engine: Engine) -> list[str]:
    filters = ("--filter", "dangling=true", "--filter", f"label={LABEL}")
    return engine.output("images", "--quiet", "--no-trunc", *filters).split()
