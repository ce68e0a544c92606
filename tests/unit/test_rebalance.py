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


def test_connections_that_nginx_does_not_count_move_too() -> None:
    """An nginx that has reloaded its configuration opens connections by those since then."""
    uncounted = [f"g1.old-{number}" for number in range(30)]
    counted: dict[str, list[str]] = {"g1": [], "g2": []}
    opened = 0
    for _ in range(5):
        sockets = {"g1": uncounted + counted["g1"], "g2": counted["g2"]}
        chosen = choose(sockets, 0.1, frozenset(f"g1.old-{number}" for number in range(30)))
        uncounted = [socket for socket in uncounted if socket not in chosen]
        counted = {name: [s for s in each if s not in chosen] for name, each in counted.items()}
        for _ in chosen:
            least = min(counted, key=lambda name: len(counted[name]))
            counted[least].append(f"{least}.new-{opened}")
            opened += 1
    assert max(len(uncounted) + len(counted["g1"]), len(counted["g2"])) <= 16
