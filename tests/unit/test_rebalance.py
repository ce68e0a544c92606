"""`parley rebalance` closes no more sockets than the excess over the fair share."""

from collections import Counter

import pytest

from parley.cli.rebalance import choose


def held(**counts: int) -> dict[str, list[str]]:
    return {name: [f"{name}.{number}" for number in range(count)] for name, count in counts.items()}


@pytest.mark.parametrize(
    ("counts", "excess"),
    [
        ({"g1": 30, "g2": 0}, {"g1": 15}),
        ({"g1": 100, "g2": 100, "g3": 10, "g4": 0}, {"g1": 47, "g2": 47}),
        ({"g1": 11, "g2": 9}, {}),
        ({"g1": 12, "g2": 8}, {"g1": 2}),
        ({"g1": 105, "g2": 95}, {}),
        ({"g1": 1, "g2": 0}, {}),
        ({"g1": 7}, {}),
        ({"g1": 0, "g2": 0}, {}),
    ],
)
def test_the_excess_over_the_fair_share_is_chosen(counts: dict[str, int], excess: dict[str, int]) -> None:
    chosen = choose(held(**counts), 0.1)
    assert Counter(socket.partition(".")[0] for socket in chosen) == excess
    assert len(set(chosen)) == len(chosen)


def test_the_sockets_are_of_all_gateways_in_turn() -> None:
    chosen = choose(held(g1=1_000, g2=1_000, g3=0), 0.1)
    first = Counter(socket.partition(".")[0] for socket in chosen[: len(chosen) // 2])
    assert min(first["g1"], first["g2"]) > 100
