"""Every log line is an event, also those of libraries."""

import json
import subprocess
import sys

LOG_CALLS = """
import logging
import structlog
from parley.shared import logs
logs.configure("info", "json", node="g1")
structlog.get_logger().info("ours", count=1)
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("library").exception("%s failed", "it")
logging.getLogger("library").info("too much")
"""


def test_log_records_of_libraries_are_json_lines_too() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOG_CALLS], capture_output=True, text=True, timeout=30, check=True
    )
    ours, theirs = (json.loads(line) for line in (done.stdout + done.stderr).splitlines())
    assert (ours["event"], ours["level"], ours["node"], ours["count"]) == ("ours", "info", "g1", 1)
    assert (theirs["event"], theirs["level"], theirs["node"]) == ("it failed", "error", "g1")
    assert theirs["logger"] == "library"
    assert "ZeroDivisionError" in theirs["exception"]


COUNT_CALLS = """
import logging
import structlog
from prometheus_client import REGISTRY
from parley.shared import logs
logs.configure("info", "json")
log = structlog.get_logger()
for event in ("worker.record.failed", "worker.record.unreadable", "worker.search.failed"):
    log.error(event)
log.exception("gateway.event.failed")
log.error("gateway.connect.failed")
log.warning("gateway.bus.lost")
logging.getLogger("library").error("it failed")
for kind in ("record", "search", "other"):
    print(REGISTRY.get_sample_value("parley_errors_total", {"kind": kind}))
"""


def test_errors_are_counted_by_kind() -> None:

    done = subprocess.run(
        [sys.executable, "-c", COUNT_CALLS], capture_output=True, text=True, timeout=30, check=True
    )
    counts = [line for line in done.stdout.splitlines() if not line.startswith("{")]
    assert counts == ["2.0", "1.0", "3.0"]


LEVEL_CALLS = """
import logging
import structlog
from parley.shared import logs
logs.configure("warning", "json")
log = structlog.get_logger()
library = logging.getLogger("library")
for level in ("warning", "debug", "error"):
    logs.set_level(level)
    for name in ("debug", "info", "warning", "error"):
        getattr(log, name)(f"{name} at {level}")
        getattr(library, name)(f"{name} of a library at {level}")
"""


def test_the_level_of_a_logger_in_use_is_changed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEVEL_CALLS], capture_output=True, text=True, timeout=30, check=True
    )
    ours, theirs = (
        [json.loads(line)["event"] for line in out.splitlines()] for out in (done.stdout, done.stderr)
    )
    shown = {
        "warning": ["warning", "error"],
        "debug": ["debug", "info", "warning", "error"],
        "error": ["error"],
    }
    assert ours == [f"{name} at {level}" for level, names in shown.items() for name in names]
    assert "info of a library at debug" not in theirs
    assert [each for each in theirs if each.endswith("at error")] == ["error of a library at error"]
