"""The time of a page's main thread, by Chromium's metrics, and by kind from its trace."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Literal

from playwright.async_api import CDPSession

Work = Callable[[], Awaitable[None]]
Event = Mapping[str, Any]
Clock = Literal["timeTicks", "threadTicks"]
"""Whether time passes by the clock, or only while the main thread has a processor."""

KINDS = {
    "style": ["UpdateLayoutTree"],
    "layout": ["Layout"],
    "paint": ["PrePaint", "Paint", "Layerize", "Commit"],
    "hit test": ["HitTest"],
}
SCRIPTS = ["FireAnimationFrame", "TimerFire", "FunctionCall", "EventDispatch", "EvaluateScript"]
KIND_OF = {name: kind for kind, names in {"script": SCRIPTS, **KINDS}.items() for name in names}
"""The kind of each event of the category `devtools.timeline`; all others are *other*."""
TRACED = ["devtools.timeline", "toplevel"]


async def busy(session: CDPSession, clock: Clock, work: Work) -> float:
    """Return the time, in ms, that the main thread's tasks took while `work` ran.

    https://chromedevtools.github.io/devtools-protocol/tot/Performance/
    """
    # Otherwise the garbage of what ran before would be collected meanwhile.
    await session.send("HeapProfiler.collectGarbage")
    await session.send("Performance.enable", {"timeDomain": clock})
    before = await _tasks(session)
    await work()
    taken = await _tasks(session) - before
    # The clock can be chosen only while the metrics are off.
    await session.send("Performance.disable")
    return taken * 1_000


async def _tasks(session: CDPSession) -> float:
    metrics: list[dict[str, Any]] = (await session.send("Performance.getMetrics"))["metrics"]
    return next(float(metric["value"]) for metric in metrics if metric["name"] == "TaskDuration")


async def traced(session: CDPSession, work: Work) -> dict[str, float]:
    """Return the processor time, in ms, of the main thread's tasks while `work` ran, by kind."""
    events: list[Event] = []
    complete = asyncio.Event()
    session.on("Tracing.dataCollected", lambda part: events.extend(part["value"]))
    session.on("Tracing.tracingComplete", lambda _: complete.set())
    config = {"transferMode": "ReportEvents", "traceConfig": {"includedCategories": TRACED}}
    await session.send("Tracing.start", config)
    await work()
    await session.send("Tracing.end")
    await complete.wait()
    return by_kind(events)


def by_kind(events: Iterable[Event]) -> dict[str, float]:
    """Return the processor time, in ms, of the busiest page's main thread, by kind.

    Args:
        events: of https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU,
            in any order.
    """
    threads: dict[tuple[int, int], list[Event]] = defaultdict(list)
    mains = set()
    for event in events:
        thread = (event["pid"], event["tid"])
        if event["ph"] == "X":
            threads[thread].append(event)
        elif event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain":
            mains.add(thread)
    times = [_of_thread(threads[main]) for main in mains]
    return max(times, key=lambda kinds: sum(kinds.values()), default={})


def _of_thread(events: list[Event]) -> dict[str, float]:
    """Add up each event's own time, without that of the events inside it."""
    times: Counter[str] = Counter()
    outer: list[tuple[float, str]] = []  # the end and the kind of each event around this one
    for event in sorted(events, key=lambda event: (event["ts"], -event.get("dur", 0))):
        while outer and outer[-1][0] <= event["ts"]:
            outer.pop()
        taken = event.get("tdur", 0) / 1_000
        # An event of no kind, such as a garbage collection in a script, belongs to what is around it.
        kind = KIND_OF.get(event["name"]) or (outer[-1][1] if outer else "other")
        if outer:
            times[outer[-1][1]] -= taken
        times[kind] += taken
        outer.append((event["ts"] + event.get("dur", 0), kind))
    return dict(times)
