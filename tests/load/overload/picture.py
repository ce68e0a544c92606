"""Draws the overload curve as SVG: throughput and delays over the offered load."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import floor, log10
from pathlib import Path
from typing import Protocol

from load.generator.histogram import Delays, percentile

WIDTH, HEIGHT = 920, 400
LEFT, RIGHT, TOP, BOTTOM = 70, 16, 64, 56
GAP = 86
PANEL = (WIDTH - LEFT - RIGHT - GAP) / 2
KEY, LETTER = 34, 5.6
"""The width of a legend entry without its name, and of a letter of the name."""
FLOOR_MS = 1.0
STYLE = """\
text { font: 12px system-ui, sans-serif; fill: #57606a }
.title { font-size: 14px; font-weight: 600 }
.key { font-size: 11px }
.grid { stroke: #8b949e; stroke-opacity: .3 }
.line { fill: none; stroke-width: 2.5; stroke-linejoin: round }
.dashed { stroke-dasharray: 5 4; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) { text { fill: #adbac7 } }"""
BLUE, GREEN, RED, GREY = "#2f81f7", "#2da44e", "#e5534b", "#8b949e"

Point = tuple[float, float]


class Measured(Protocol):
    """The measurements of a step: messages per second, and histograms of delays."""

    @property
    def offered(self) -> float: ...
    @property
    def accepted(self) -> float: ...
    @property
    def stored(self) -> float: ...
    @property
    def refused_rate(self) -> float: ...
    @property
    def accepted_delays(self) -> Delays: ...
    @property
    def delivery_delays(self) -> Delays: ...


@dataclass(frozen=True)
class Series:
    """A named line."""

    name: str
    colour: str
    points: list[Point]
    dashed: bool = False


@dataclass(frozen=True)
class Panel:
    """Axes: they map values to positions on the page."""

    x0: float
    x_most: float
    title: str
    y_label: str
    y_ticks: list[float]
    y_share: Callable[[float], float]
    """Return the height of a value, 0 to 1."""

    def x(self, value: float) -> float:
        return self.x0 + PANEL * value / self.x_most

    def y(self, value: float) -> float:
        height = HEIGHT - TOP - BOTTOM
        return HEIGHT - BOTTOM - height * min(1.0, max(0.0, self.y_share(value)))

    def draw(self, series: Sequence[Series]) -> list[str]:
        """Return the axes, the lines and the legend."""
        parts = [_text(self.x0, 20, self.title, kind="title")]
        parts += [self._horizontal(tick) for tick in self.y_ticks]
        parts += [self._vertical(tick) for tick in ticks(self.x_most)]
        parts.append(_text(self.x0 + PANEL / 2, HEIGHT - 14, "offered, messages/s", anchor="middle"))
        middle = (HEIGHT - BOTTOM + TOP) / 2
        turned = f'transform="rotate(-90 {self.x0 - 54:.0f} {middle:.0f})"'
        parts.append(_text(self.x0 - 54, middle, self.y_label, anchor="middle", more=turned))
        x = self.x0
        for one in series:
            parts += [*self._line(one), *_key(one, x)]
            x += KEY + LETTER * len(one.name)
        return parts

    def _horizontal(self, tick: float) -> str:
        y = self.y(tick)
        line = f'<line class="grid" x1="{self.x0:.0f}" x2="{self.x0 + PANEL:.0f}" y1="{y:.1f}" y2="{y:.1f}"/>'
        return line + _text(self.x0 - 8, y + 4, f"{tick:,.0f}", anchor="end")

    def _vertical(self, tick: float) -> str:
        x, foot = self.x(tick), HEIGHT - BOTTOM
        line = f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{foot}"/>'
        return line + _text(x, foot + 18, f"{tick:,.0f}", anchor="middle")

    def _line(self, series: Series) -> list[str]:
        places = [(self.x(x), self.y(y)) for x, y in series.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts = [f'<polyline class="{_kind(series)}" stroke="{series.colour}" points="{path}"/>']
        if not series.dashed:
            parts += [_dot(x, y, series.colour) for x, y in places]
        return parts


def _dot(x: float, y: float, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>'


def _kind(series: Series) -> str:
    return "line dashed" if series.dashed else "line"


def _key(series: Series, x: float) -> list[str]:
    stroke = f'class="{_kind(series)}" stroke="{series.colour}"'
    line = f'<line {stroke} x1="{x:.0f}" x2="{x + 18:.0f}" y1="40" y2="40"/>'
    return [line, _text(x + 22, 44, series.name, kind="key")]


def draw(path: Path, capacity: float, steps: Sequence[Measured]) -> None:
    """Write the picture; `capacity` is in messages per second."""
    x_most = 1.05 * max(step.offered for step in steps)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'aria-label="Carried messages and delays over offered messages">',
        f"<style>{STYLE}</style>",
        *_carried(capacity, steps, x_most),
        *_delays(steps, x_most),
        "</svg>",
    ]
    path.write_text("\n".join(parts) + "\n", encoding="utf-8")


def _carried(capacity: float, steps: Sequence[Measured], x_most: float) -> list[str]:
    y_most = 1.05 * max(capacity, *(max(s.stored, s.accepted, s.refused_rate) for s in steps))
    panel = Panel(LEFT, x_most, "What is carried", "messages/s", ticks(y_most), lambda value: value / y_most)
    return panel.draw(
        [
            Series("stored and delivered", BLUE, [(s.offered, s.stored) for s in steps]),
            Series("refused", RED, [(s.offered, s.refused_rate) for s in steps]),
            Series("capacity", GREY, [(0, capacity), (x_most, capacity)], dashed=True),
        ]
    )


def _delays(steps: Sequence[Measured], x_most: float) -> list[str]:
    delivered = [(s.offered, s.delivery_delays) for s in steps]
    accepted = [(s.offered, s.accepted_delays) for s in steps]
    lines = [
        Series(f"{name} p{100 * share:.0f}", colour, [(x, _ms(d, share)) for x, d in delays], dashed)
        for name, colour, delays in (("delivered", BLUE, delivered), ("accepted", GREEN, accepted))
        for share, dashed in ((0.99, False), (0.5, True))
    ]
    decades = max(1, floor(log10(max(y for line in lines for _, y in line.points) / FLOOR_MS)) + 1)
    panel = Panel(
        LEFT + PANEL + GAP,
        x_most,
        "How long after it was sent",
        "ms, logarithmic",
        [FLOOR_MS * 10**power for power in range(decades + 1)],
        lambda value: log10(max(value, FLOOR_MS) / FLOOR_MS) / decades,
    )
    return panel.draw(lines)


def _ms(delays: Delays, share: float) -> float:
    return max(FLOOR_MS, 1000 * percentile(delays, share))


def ticks(most: float) -> list[float]:
    """Return about five round numbers from 0 up to `most`."""
    step = 10 ** floor(log10(most / 2))
    while most / step > 6:
        step *= 2 if str(step)[0] in "15" else 2.5
    return [step * number for number in range(int(most / step) + 1)]


def _text(x: float, y: float, text: str, *, anchor: str = "start", kind: str = "", more: str = "") -> str:
    style = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{style} {more}>{text}</text>'
