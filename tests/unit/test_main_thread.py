"""The time of a page's main thread is added up by kind, from a trace."""

from typing import Any

import pytest

from load.main_thread import by_kind

MAIN, OTHER = 1, 2
NAMES = [
    {"ph": "M", "name": "thread_name", "pid": 7, "tid": MAIN, "ts": 0, "args": {"name": "CrRendererMain"}},
    {"ph": "M", "name": "thread_name", "pid": 7, "tid": OTHER, "ts": 0, "args": {"name": "Compositor"}},
]


def task(name: str, start: int, duration: int, *, busy: int | None = None, thread: int = MAIN) -> Any:
    taken = duration if busy is None else busy
    return {"ph": "X", "name": name, "pid": 7, "tid": thread, "ts": start, "dur": duration, "tdur": taken}


def test_each_kind_has_the_time_of_its_own_tasks() -> None:
    events = [
        task("Layout", 2_000, 1_000),
        task("FireAnimationFrame", 1_000, 4_000),
        task("RunTask", 0, 10_000),
        task("Paint", 6_000, 3_000),
        task("Paint", 6_000, 2_000),
    ]
    times = by_kind([*events, *NAMES])
    assert times == pytest.approx({"other": 3, "script": 3, "layout": 1, "paint": 3})


def test_a_task_of_no_kind_belongs_to_the_one_around_it() -> None:
    events = [task("RunTask", 0, 9_000), task("FunctionCall", 0, 5_000), task("MinorGC", 1_000, 2_000)]
    assert by_kind([*NAMES, *events]) == pytest.approx({"other": 4, "script": 5})


def test_time_without_a_processor_is_not_counted() -> None:
    assert by_kind([*NAMES, task("Layout", 0, 9_000, busy=2_000)]) == {"layout": 2}


def test_other_threads_are_not_counted() -> None:
    events = [task("Layout", 0, 1_000), task("Paint", 0, 8_000, thread=OTHER)]
    assert by_kind([*NAMES, *events]) == {"layout": 1}
