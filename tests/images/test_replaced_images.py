"""A build removes the images that it replaced, and no image of others."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from parley.stack.images.bases import build
from parley.stack.images.engine import Engine
from parley.stack.images.replaced import LABEL, building

OURS = f"""\
ARG BASE=scratch
FROM ${{BASE}} AS stage
LABEL {LABEL}
COPY content /stage
COPY content /again
FROM ${{BASE}} AS image
LABEL {LABEL}
COPY --from=stage /stage /content
COPY content /again
"""
THEIRS = """\
FROM scratch
COPY content /theirs
"""


class Builds:
    """Builds of small images, each with a content of its own.

    Args:
        directory: the context of the builds.
    """

    def __init__(self, engine: Engine, directory: Path) -> None:
        self.engine = engine
        self._directory = directory
        self._prefix = f"localhost/parley-test-{secrets.token_hex(4)}"

    def build_ours(self, base: str = "scratch") -> str:
        """Build an image as Parley's are built, with its former one replaced; return its id."""
        dockerfile = self._write(OURS)
        with building(self.engine):
            build(self.engine, dockerfile, self._directory, "image", self.ours, {"BASE": base})
        return self._id(self.ours)

    def build_theirs(self) -> str:
        """Build an image of somebody else, with its former one replaced; return its id."""
        chosen = ("--file", str(self._write(THEIRS)), "--tag", self.theirs)
        self.engine.output(*self.engine.build, *chosen, str(self._directory))
        return self._id(self.theirs)

    @property
    def ours(self) -> str:
        return f"{self._prefix}-ours"

    @property
    def theirs(self) -> str:
        return f"{self._prefix}-theirs"

    def _write(self, dockerfile: str) -> Path:
        """Write the context of a build with a content of its own; return the Dockerfile's path."""
        (self._directory / "content").write_text(secrets.token_hex(8))
        path = self._directory / "Dockerfile"
        path.write_text(dockerfile)
        return path

    def _id(self, tag: str) -> str:
        return self.engine.output("image", "inspect", "--format", "{{.Id}}", tag)


@pytest.fixture
def builds(engine: Engine, tmp_path: Path) -> Iterator[Builds]:
    """Builds whose images are removed after the test."""
    builds = Builds(engine, tmp_path)
    yield builds
    engine.run("rmi", "--force", builds.ours, builds.theirs)


def without_name(engine: Engine) -> set[str]:
    """Return the ids of all images without name and descendant."""
    return set(engine.output("images", "--quiet", "--no-trunc", "--filter", "dangling=true").split())


def test_a_build_leaves_no_image_without_a_name(builds: Builds) -> None:
    before = without_name(builds.engine)

    first, second = builds.build_ours(), builds.build_ours()

    assert not builds.engine.has_image(first)
    assert builds.engine.has_image(second)
    assert without_name(builds.engine) <= before


def test_a_build_keeps_the_replaced_images_of_others(builds: Builds) -> None:
    base, ours = builds.build_theirs(), builds.build_ours(builds.theirs)
    builds.build_theirs()

    builds.build_ours(builds.theirs)

    assert not builds.engine.has_image(ours)
    assert builds.engine.has_image(base)
    builds.engine.output("rmi", base)


def test_a_replaced_image_is_removed_after_its_last_container(builds: Builds) -> None:
    first = builds.build_ours()
    container = builds.engine.output("create", first, "/content")

    builds.build_ours()
    assert builds.engine.has_image(first)

    builds.engine.output("rm", container)
    builds.build_ours()
    assert not builds.engine.has_image(first)
