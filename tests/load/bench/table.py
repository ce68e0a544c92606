"""The table of the comparison: medians, spreads and ratios."""

from collections.abc import Mapping, Sequence
from statistics import median

from load.bench.scenes import SCENES, Figures
from load.bench.targets import TITLES

Results = Mapping[str, Mapping[str, Sequence[Figures]]]
"""The figures of each round by scene and by target."""

COMPLAINTS = ("missing", "refused", "wrong")


def medians(results: Results) -> dict[str, dict[str, Figures]]:
    """Return the medians by scene, target and name."""
    return {
        scene: {target: _medians(rounds) for target, rounds in by_target.items()}
        for scene, by_target in results.items()
    }


def lines(results: Results) -> list[str]:
    """Return the table; the last column is Parley's median over that of the guides' stack."""
    targets = list(dict.fromkeys(target for by_target in results.values() for target in by_target))
    rows = [["", *(TITLES[target] for target in targets), "ratio"]]
    for scene, by_target in results.items():
        rows.append([SCENES[scene][0]])
        names = dict.fromkeys(name for rounds in by_target.values() for name in rounds[0])
        rows += [
            [
                f"  {name}",
                *(_cell(by_target.get(target, ()), name) for target in targets),
                _ratio(by_target, name),
            ]
            for name in names
            if name not in COMPLAINTS or any(each[name] for rounds in by_target.values() for each in rounds)
        ]
    widths = [max(len(row[column]) for row in rows if column < len(row)) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(w) if not i else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(row, widths, strict=False))
        ).rstrip()
        for row in rows
    ]


def problems(results: Results) -> list[str]:
    """Return what was lost, doubled or refused, by scene and target."""
    return [
        f"{SCENES[scene][0]}, {TITLES[target]}: {each[name]:,.0f} {name}"
        for scene, by_target in results.items()
        for target, rounds in by_target.items()
        for each in rounds
        for name in COMPLAINTS
        if each.get(name)
    ]


def _medians(rounds: Sequence[Figures]) -> Figures:
    return {name: median(each[name] for each in rounds) for name in rounds[0]}


def _cell(rounds: Sequence[Figures], name: str) -> str:
    values = [each[name] for each in rounds if name in each]
    if not values:
        return "-"
    text = number(median(values))
    return text if len(values) == 1 else f"{text} ({number(min(values))} to {number(max(values))})"


def _ratio(by_target: Mapping[str, Sequence[Figures]], name: str) -> str:
    values = [_medians(by_target[each]).get(name) for each in ("parley", "guides") if by_target.get(each)]
    if len(values) < 2 or not values[0] or not values[1] or min(values) <= 0:
        return ""
    return f"{values[0] / values[1]:.2f}"


def number(value: float) -> str:
    """Return a figure with about three digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
