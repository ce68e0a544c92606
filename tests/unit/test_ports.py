"""Blocks of ports: one that a process chose is no other's."""

import subprocess
import sys

from parley.stack.ports import block_is_free, free_base

ASK = "import sys; from parley.stack.ports import block_is_free; print(block_is_free(int(sys.argv[1])))"


def test_a_block_that_was_chosen_is_free_to_its_chooser_alone() -> None:
    base = free_base()

    asked = [sys.executable, "-c", ASK, str(base)]
    assert block_is_free(base)
    assert subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip() == "False"


def test_no_block_is_chosen_twice() -> None:
    assert len({free_base() for _ in range(10)}) == 10
