"""A service may open as many files as its machine allows, whatever a container engine gives it at first."""

import subprocess
import sys

STARTED_WITH_FEW = """
import resource
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (256, most))

from parley.shared.process import raise_open_files
raise_open_files()

assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most, most)
"""


def test_a_process_that_starts_with_few_open_files_raises_their_number() -> None:
    subprocess.run([sys.executable, "-c", STARTED_WITH_FEW], check=True)
