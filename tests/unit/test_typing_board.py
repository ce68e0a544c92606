"""A typing start that is not renewed expires."""

from parley.gateway.state.typing_board import EXPIRY_SECONDS, TypingBoard
from parley.shared.events import TypingChanged
from parley.shared.model import Person, now


class Clock:
    time = 0.0

    def __call__(self) -> float:
        return self.time


def typing(user: str, *, on: bool = True) -> TypingChanged:
    return TypingChanged(conversation_id="c", user=Person(id=user), typing=on, at=now())


def test_a_start_is_emitted_once_and_a_stop_only_after_a_start() -> None:
    board = TypingBoard()
    assert board.apply(typing("ann"))
    assert not board.apply(typing("ann"))
    assert board.apply(typing("ann", on=False))
    assert not board.apply(typing("ann", on=False))


def test_a_renewed_start_is_emitted_again_every_two_seconds() -> None:
    clock = Clock()
    board = TypingBoard(clock)
    emitted = []
    for tenth in range(60):
        clock.time = tenth / 10
        emitted.append(board.apply(typing("ann")))
    assert [tenth / 10 for tenth, is_due in enumerate(emitted) if is_due] == [0.0, 2.0, 4.0]


def test_a_start_expires_unless_it_is_renewed() -> None:
    clock = Clock()
    board = TypingBoard(clock)
    board.apply(typing("ann"))
    board.apply(typing("bob"))
    clock.time = EXPIRY_SECONDS - 1
    board.apply(typing("bob"))
    clock.time = EXPIRY_SECONDS

    (stop,) = board.take_expired()

    assert (stop.user.id, stop.typing) == ("ann", False)
    assert board.take_expired() == []


def test_a_stop_ends_a_start_once() -> None:
    board = TypingBoard()
    board.apply(typing("ann"))

    stop = board.stop("c", "ann", now())

    assert stop is not None
    assert (stop.user.id, stop.typing) == ("ann", False)
    assert board.stop("c", "ann", now()) is None
