"""A rotation gives all items once a round, a bounded number at a time."""

from parley.gateway.state.rotation import Rotation


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_a_round_gives_each_item_once_and_the_next_one_starts_when_it_is_due() -> None:
    clock = Clock()
    rotation = Rotation(lambda: "abcde", 20.0, clock)
    assert rotation.next(9) == []

    clock.seconds = 20
    taken = [rotation.next(2) for _ in range(4)]
    assert [len(each) for each in taken] == [2, 2, 1, 0]
    assert sorted("".join("".join(each) for each in taken)) == list("abcde")

    clock.seconds = 40
    assert len(rotation.next(9)) == 5


def test_a_round_that_takes_longer_than_its_time_is_followed_by_the_next_one_at_once() -> None:
    clock = Clock()
    rotation = Rotation(lambda: "ab", 1.0, clock)
    for clock.seconds in (1, 2, 3, 4):
        assert len(rotation.next(1)) == 1


def test_items_are_taken_by_their_weight_and_a_heavy_one_alone() -> None:
    weights = {"a": 100, "b": 1, "c": 2, "d": 3}
    clock = Clock()
    rotation = Rotation(lambda: weights, 1.0, clock)
    clock.seconds = 1
    assert rotation.next(5, weights.__getitem__) == ["d", "c"]
    assert rotation.next(5, weights.__getitem__) == ["b"]
    assert rotation.next(5, weights.__getitem__) == ["a"]
