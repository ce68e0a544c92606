"""Telling being cancelled from meeting something that was cancelled.

Some drivers fail a waiting call with CancelledError when their connection is lost.
"""

import asyncio


def we_are_cancelled() -> bool:
    """Whether somebody asked the current task to end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
