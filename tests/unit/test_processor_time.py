"""Processor time and memory of processes, also of those that have ended."""

import os
import subprocess
import sys

from load.processor_time import processor_seconds, resident_bytes, spent

BUSY_SECONDS = 0.3
BUSY = f"import time\nwhile time.process_time() < {BUSY_SECONDS}: pass\ninput()"


def test_the_processor_time_of_a_process_group_includes_helper_processes() -> None:
    script = f"import os, subprocess, sys\nsubprocess.run([sys.executable, '-c', {BUSY!r}])"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", script], stdin=pipe, process_group=0) as busy:
        groups = {"busy": [busy.pid], "absent": []}
        before = processor_seconds(groups)
        while spent(before, used := processor_seconds(groups))["busy"] < 0.9 * BUSY_SECONDS:
            assert busy.poll() is None
        assert used["absent"] == 0.0
        busy.communicate(b"\n")


def test_a_process_that_has_ended_holds_no_memory() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    assert resident_bytes(ended.pid) == 0
    assert resident_bytes(os.getpid()) > 1 << 20
