"""The chat page's state, by node's own test runner."""

import subprocess
import sys
from pathlib import Path

NODE = Path(sys.prefix, "bin", "node")


def test_the_page_s_state_follows_what_happens() -> None:
    tests = Path(__file__).with_name("state.test.mjs")
    done = subprocess.run([NODE, "--test", tests], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
