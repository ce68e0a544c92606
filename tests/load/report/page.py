"""The page of a load: a verdict, the figures, and pictures."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from html import escape
from typing import Any

from load.generator.histogram import percentile
from load.generator.ledger import Tally
from load.report.chart import Chart, Line, Point, bars
from load.report.summary import KIB, MIB, MILLI, LoadResult, totals
from load.sampler import Sample

LEAST_SHARE = 0.2
"""The share of the sockets from which on the memory of one means something."""
STYLE = """
:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 820px; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { text-align: left; vertical-align: top; padding: .15rem 1rem .15rem 0 }
tr { border-bottom: 1px solid #8b949e44 }
.bad { color: #cf222e } .good { color: #1a7f37 }
svg { display: block; width: 100%; margin: 1.6rem 0 }
svg text { font: 12px system-ui, sans-serif; fill: #6e7781 }
svg .title { font-size: 14px; font-weight: 600 }
svg .key { font-size: 11px }
.grid { stroke: #8b949e; stroke-opacity: .3 }
.mark { stroke: #e5534b; stroke-dasharray: 4 3 }
.line { fill: none; stroke-width: 2; stroke-linejoin: round }
"""


def page(result: LoadResult, command: str) -> str:
    """Return the page as HTML that needs nothing else."""
    verdict = "; ".join(result.problems) or "every delivery that was due is accounted for"
    kind = "bad" if result.problems else "good"
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>Load on Parley</title>\n<style>{STYLE}</style>\n</head>\n<body>",
            f"<h1>Load on Parley</h1>\n<p><code>{escape(command)}</code></p>",
            f'<p class="{kind}"><strong>{escape(verdict[0].upper() + verdict[1:])}.</strong></p>',
            *(chart.svg() for chart in charts(result) if any(line.points for line in chart.lines)),
            _processor_bars(result),
            _table(totals(result)),
            "</body>\n</html>\n",
        ]
    )


def charts(result: LoadResult) -> list[Chart]:
    """Return the charts over time."""
    delays = [(name, share) for name, share in (("p50", 0.5), ("p99", 0.99), ("slowest", 1.0))]
    messages = [_counted(result, name) for name in ("sent", "accepted", "stored")]
    refused = Line("refused", _per_second(result, lambda tally: tally.refused.total()))
    connected = Line("connected", _sampled(result, lambda sample: sample.sockets))
    due = Chart(
        "From when a message was due to its delivery",
        "ms",
        [Line(name, _delay(result, share)) for name, share in delays],
        is_logarithmic=True,
    )
    drawn = [
        Chart("Messages", "1/s", [*messages, refused]),
        Chart("Deliveries", "1/s", [_counted(result, "delivered")]),
        due,
        Chart("Sockets", "connected", [connected]),
        Chart(
            "Connects and disconnects",
            "1/s",
            [_counted(result, name) for name in ("connects", "disconnects")],
        ),
        Chart("Processor time", "% of a core", _by_part(result, _processor_share)),
        Chart("Memory", "MiB", _by_part(result, _memory)),
        Chart("Memory of the gateways per socket", "KiB", [Line("KiB", _per_socket(result))]),
    ]
    marks = [(incident.at - result.began, incident.title) for incident in result.incidents]
    span = (min(0.0, connected.points[0][0]), max(1.0, connected.points[-1][0]))
    return [replace(chart, marks=marks, seconds=span) for chart in drawn]


def _counted(result: LoadResult, name: str) -> Line:
    return Line(name, _per_second(result, lambda tally: getattr(tally, name)))


def _per_second(result: LoadResult, value: Callable[[Tally], float]) -> list[Point]:
    return [(second - int(result.began), value(tally)) for second, tally in sorted(result.by_second.items())]


def _delay(result: LoadResult, share: float) -> list[Point]:
    seconds = [(second, tally.delivered_delays) for second, tally in sorted(result.by_second.items())]
    return [(at - int(result.began), MILLI * percentile(delays, share)) for at, delays in seconds if delays]


def _sampled(result: LoadResult, value: Callable[[Sample], float]) -> list[Point]:
    return [(sample.at - result.began, value(sample)) for sample in result.samples]


def _by_part(result: LoadResult, value: Callable[[Sample, str], float | None]) -> list[Line]:
    names = dict.fromkeys(name for sample in result.samples for name in sample.processor)
    lines = []
    for name in names:
        found = [(sample.at - result.began, value(sample, name)) for sample in result.samples]
        points = [(at, height) for at, height in found if height is not None]
        if any(height >= 1 for _, height in points):
            lines.append(Line(name, points))
    return lines


def _processor_share(sample: Sample, name: str) -> float | None:
    used = sample.processor.get(name)
    return None if used is None else 100 * used


def _memory(sample: Sample, name: str) -> float | None:
    held = sample.memory.get(name)
    return None if held is None else held / MIB


def _per_socket(result: LoadResult) -> list[Point]:
    most = max(sample.sockets for sample in result.samples)
    points = []
    for sample in result.samples:
        grown = sum(sample.memory.get(name, 0) - before for name, before in result.idle_memory.items())
        if sample.sockets > LEAST_SHARE * most and result.idle_memory and grown > 0:
            points.append((sample.at - result.began, grown / sample.sockets / KIB))
    return points


def _processor_bars(result: LoadResult) -> str:
    stored = max(result.tally.stored, 1)
    used = sorted(result.processor.items(), key=lambda each: -each[1])
    return bars(
        "Processor time per stored message", "us", [(name, 1e6 * each / stored) for name, each in used]
    )


def _table(figures: dict[str, Any]) -> str:
    rows = "\n".join(
        f"<tr><th>{escape(name)}</th><td>{_cell(value)}</td></tr>" for name, value in figures.items()
    )
    return f"<table>\n{rows}\n</table>"


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return escape(", ".join(f"{name} {_plain(each)}" for name, each in value.items()) or "-")
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "<br>".join(map(_cell, value)) or "-"
    return escape(_plain(value))


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "(" + ", ".join(f"{name} {_plain(each)}" for name, each in value.items()) + ")"
    return "-" if value is None else f"{value:,}" if isinstance(value, int | float) else str(value)
