"""Build Parley's images: `python -m parley.stack.images`."""

import argparse
import sys
from collections.abc import Sequence

from parley.stack.errors import StackError
from parley.stack.images.build import BASES, build_images
from parley.stack.install import InstallError, exit_code


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the images and return the exit code."""
    parser = argparse.ArgumentParser(prog="images", description="Build Parley's images.")
    parser.add_argument("--bases", choices=BASES, default="auto", help="where the base images come from")
    chosen = parser.parse_args(arguments).bases
    return exit_code(lambda: _build(chosen), StackError)


def _build(bases: str) -> None:
    try:
        build_images(bases)
    except InstallError as failure:
        raise StackError(str(failure)) from None


if __name__ == "__main__":
    sys.exit(main())
