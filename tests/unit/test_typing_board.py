"""Typing that is not renewed lapses."""

from parley.gateway.state.typing_board import LAPSE_SECONDS, TypingBoard
from parley.shared.events import TypingChanged
from parley.shared.model import Person, now


class Clock:
    time = 0.0

    def __call__(self) -> float:
        return self.time


def typing(user: str, *, on: bool = True) -> TypingChanged:
    return TypingChanged(conversation_id="c", user=Person(id=user), typing=on, at=now())


def test_a_start_is_news_once_and_a_stop_only_after_a_start() -> None:
    board = TypingBoard()
    assert board.heard(typing("ann"))
    assert not board.heard(typing("ann"))
    assert board.heard(typing("ann", on=False))
    assert not board.heard(typing("ann", on=False))


def test_a_start_that_is_renewed_is_told_again_now_and_then() -> None:
    clock = Clock()
    board = TypingBoard(clock)
    told = []
    for tenth in range(60):
        clock.time = tenth / 10
        told.append(board.heard(typing("ann")))
    assert [tenth / 10 for tenth, news in enumerate(told) if news] == [0.0, 2.0, 4.0]


def test_a_start_lapses_unless_it_is_renewed() -> None:
    clock = Clock()
    board = TypingBoard(clock)
    board.heard(typing("ann"))
    board.heard(typing("bob"))
    clock.time = LAPSE_SECONDS - 1
    board.heard(typing("bob"))
    clock.time = LAPSE_SECONDS

    (stop,) = board.lapsed()

    assert (stop.user.id, stop.typing) == ("ann", False)
    assert board.lapsed() == []
