"""Line charts and bars as inline SVG."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from math import floor, log10

WIDTH, HEIGHT = 760, 250
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 44, 34
BAR, BAR_NAME = 22, 150
COLOURS = (
    "#2f81f7", "#e5534b", "#2da44e", "#bf8700", "#8250df", "#1b7c83", "#d4548c", "#6e7781",
    "#953800", "#54aeff",
)  # fmt: skip
KEY, LETTER = 30, 6.4
"""The width of a legend entry without its name, and of a letter of the name."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """A named line."""

    name: str
    points: Sequence[Point]


@dataclass(frozen=True)
class Chart:
    """Lines over seconds, with marks at times."""

    title: str
    unit: str
    lines: Sequence[Line]
    marks: Sequence[tuple[float, str]] = ()
    is_logarithmic: bool = False
    seconds: Point | None = None
    """The range of the time axis; by default that of the lines."""
    _x_range: Point = field(init=False)
    _y_range: Point = field(init=False)

    def __post_init__(self) -> None:
        points = [point for line in self.lines for point in line.points] or [(0.0, 0.0)]
        xs, ys = [x for x, _ in points], [y for _, y in points]
        object.__setattr__(self, "_x_range", self.seconds or (min(xs), max(max(xs), min(xs) + 1)))
        object.__setattr__(self, "_y_range", self._bounds(ys))

    def svg(self) -> str:
        """Return the chart."""
        parts = [
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(self.title)}">',
            text(LEFT, 16, f"{self.title}, {self.unit}", kind="title"),
            *self._grid(),
            *self._marks(),
        ]
        x = float(LEFT)
        for line, colour in zip(self.lines, _colours(len(self.lines)), strict=True):
            parts += [self._line(line, colour), *_key(x, line.name, colour)]
            x += KEY + LETTER * len(line.name)
        return "\n".join([*parts, "</svg>"])

    def _bounds(self, ys: Sequence[float]) -> Point:
        most = max(ys)
        if not self.is_logarithmic:
            return 0.0, 1.05 * most or 1.0
        least = min((y for y in ys if y > 0), default=1.0)
        low = 10.0 ** floor(log10(least))
        return low, max(10.0 ** (floor(log10(max(most, low))) + 1), 10 * low)

    def _x(self, value: float) -> float:
        first, last = self._x_range
        return LEFT + (WIDTH - LEFT - RIGHT) * (value - first) / (last - first)

    def _y(self, value: float) -> float:
        low, high = self._y_range
        share = log10(max(value, low) / low) / log10(high / low) if self.is_logarithmic else value / high
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    def _grid(self) -> list[str]:
        low, high = self._y_range
        ys = _decades(low, high) if self.is_logarithmic else ticks(0, high)
        parts = []
        for value in ys:
            y = self._y(value)
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(text(LEFT - 6, y + 4, f"{value:,g}", anchor="end"))
        foot = HEIGHT - BOTTOM + 16
        xs = ticks(*self._x_range)
        return [*parts, *(text(self._x(value), foot, f"{value:g} s", anchor="middle") for value in xs)]

    def _marks(self) -> list[str]:
        parts = []
        for row, (at, name) in enumerate(self.marks):
            x, y = self._x(at), TOP + 10 + 12 * row
            parts.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
            parts.append(text(x + 4, y, name, kind="key"))
        return parts

    def _line(self, line: Line, colour: str) -> str:
        path = " ".join(f"{self._x(x):.1f},{self._y(y):.1f}" for x, y in line.points)
        return f'<polyline class="line" stroke="{colour}" points="{path}"/>'


def bars(title: str, unit: str, values: Sequence[tuple[str, float]]) -> str:
    """Return horizontal bars, one below the other."""
    height = TOP + BAR * len(values)
    most = max((value for _, value in values), default=0.0) or 1.0
    room = WIDTH - BAR_NAME - 90
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">',
        text(0, 16, f"{title}, {unit}", kind="title"),
    ]
    for row, (name, value) in enumerate(values):
        y, width = 30 + BAR * row, room * value / most
        parts.append(text(BAR_NAME - 8, y + 13, name, anchor="end"))
        parts.append(
            f'<rect x="{BAR_NAME}" y="{y}" width="{width:.1f}" height="{BAR - 6}" fill="{COLOURS[0]}"/>'
        )
        parts.append(text(BAR_NAME + width + 6, y + 13, f"{value:,.1f}"))
    return "\n".join([*parts, "</svg>"])


def ticks(low: float, high: float) -> list[float]:
    """Return about five round numbers between two."""
    span = high - low
    step = 10.0 ** floor(log10(span / 4))
    while span / step > 6:
        step *= 2.5 if f"{step:e}"[0] == "2" else 2
    first = -int(-low // step)
    return [step * number for number in range(first, int(high / step) + 1)]


def text(x: float, y: float, words: str, *, anchor: str = "start", kind: str = "") -> str:
    """Return a text."""
    style = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{style}>{escape(words)}</text>'


def _decades(low: float, high: float) -> list[float]:
    return [low * 10**power for power in range(round(log10(high / low)) + 1)]


def _colours(count: int) -> list[str]:
    return [COLOURS[number % len(COLOURS)] for number in range(count)]


def _key(x: float, name: str, colour: str) -> list[str]:
    line = f'<line class="line" stroke="{colour}" x1="{x:.0f}" x2="{x + 14:.0f}" y1="31" y2="31"/>'
    return [line, text(x + 18, 35, name, kind="key")]
