"""Blocks of ports are reserved by one process at a time."""

import subprocess
import sys

from parley.stack.ports import block_is_free, free_base

ASK = "import sys; from parley.stack.ports import block_is_free; print(block_is_free(int(sys.argv[1])))"


def test_a_reserved_block_is_free_only_to_the_process_that_reserved_it() -> None:
    base = free_base()

    asked = [sys.executable, "-c", ASK, str(base)]
    assert block_is_free(base)
    assert subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip() == "False"


def test_no_block_is_reserved_twice() -> None:
    assert len({free_base() for _ in range(10)}) == 10
