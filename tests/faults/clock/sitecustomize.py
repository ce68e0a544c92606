"""Moves the clock of every Python process that has this folder on its PYTHONPATH, by CLOCK_OFFSET seconds.

Clocks for durations stay as they are. Libraries that preload themselves into a process cannot do that: timed
waits of Python's threads never end under them.
"""

import ctypes
import gc
import os
import time
from datetime import datetime, timedelta, tzinfo

OFFSET = float(os.environ["CLOCK_OFFSET"])
_time, _time_ns, _now = time.time, time.time_ns, datetime.now


def _moved_now(_cls: type[datetime], tz: tzinfo | None = None) -> datetime:
    return _now(tz) + timedelta(seconds=OFFSET)


time.time = lambda: _time() + OFFSET
time.time_ns = lambda: _time_ns() + int(OFFSET * 1e9)
# The type refuses assignments, and cannot be replaced: isinstance checks need the very same one.
gc.get_referents(datetime.__dict__)[0]["now"] = classmethod(_moved_now)
ctypes.pythonapi.PyType_Modified(ctypes.py_object(datetime))
