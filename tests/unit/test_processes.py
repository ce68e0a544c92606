"""Processes found through /proc."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from parley.stack import processes

THREADS = """
import threading
for _ in range(8):
    threading.Thread(target=lambda: [None for _ in iter(int, 1)], daemon=True).start()
print("ready", flush=True)
threading.Event().wait()
"""


def test_no_thread_of_a_suspended_process_group_runs() -> None:
    command = [sys.executable, "-c", THREADS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as busy:
        try:
            assert busy.stdout
            assert busy.stdout.readline() == b"ready\n"
            os.killpg(busy.pid, signal.SIGSTOP)

            processes.wait_until_suspended(busy.pid)

            states = [file.read_text() for file in Path(f"/proc/{busy.pid}/task").glob("*/stat")]
            assert {state.rpartition(") ")[2][0] for state in states} == {"T"}
        finally:
            os.killpg(busy.pid, signal.SIGKILL)
