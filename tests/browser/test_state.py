"""The chat page's state, tested by node's test runner."""

import subprocess
import sys
from pathlib import Path

import pytest

NODE = Path(sys.prefix, "bin", "node")
TESTS = sorted(Path(__file__).with_name("state").glob("*.test.mjs"))


@pytest.mark.parametrize("tests", TESTS, ids=lambda file: file.name.partition(".")[0])
def test_the_state_tests_of_the_page_pass(tests: Path) -> None:
    done = subprocess.run([NODE, "--test", tests], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
