"""A socket's reads are paced by what its client takes."""

import asyncio
from collections.abc import Coroutine
from typing import Any, cast

import pytest

from clients.chat import eventually
from parley.gateway.core.errors import Overloaded
from parley.gateway.live.sessions import Session
from parley.gateway.sockets import socket_answers
from parley.gateway.sockets.socket_answers import SocketAnswers
from parley.gateway.state.answer_budget import AnswerBudget

ANN = Session("sid", "/chat", "ann")


class Client:
    """Stands in for the manager: one socket, and how much of its limit it has left unread."""

    def __init__(self) -> None:
        self.unread = 0.0
        self.closed = False

    def unread_ratio(self, _sid: str, _namespace: str) -> float:
        return 0.0 if self.closed else self.unread

    def close_connection(self, _sid: str, _namespace: str) -> None:
        self.closed = True


class Answers:
    def __init__(self) -> None:
        self.client, self.budget = Client(), AnswerBudget(user_bytes=10, total_bytes=20)
        self.tasks: list[asyncio.Task[None]] = []
        self.of_sockets = SocketAnswers(self.budget, cast(Any, self.client), self._spawn)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.create_task(work))


@pytest.fixture
def answers() -> Answers:
    return Answers()


async def test_nothing_is_read_for_a_client_before_it_has_taken_what_was_written(answers: Answers) -> None:
    answers.client.unread = 0.5
    waiting = asyncio.create_task(answers.of_sockets.wait_until_read(ANN))
    await asyncio.sleep(0)
    assert not waiting.done()

    answers.client.unread = 0.1

    await waiting


async def test_a_read_of_a_client_that_takes_nothing_is_refused(
    answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_answers, "WAIT_SECONDS", 0.01)
    answers.client.unread = 0.5

    with pytest.raises(Overloaded):
        await answers.of_sockets.wait_until_read(ANN)


async def test_an_answer_is_counted_until_its_client_has_taken_it(answers: Answers) -> None:
    await answers.of_sockets.take(ANN, 10)
    answers.client.unread = 0.5

    answers.of_sockets.give_back_when_read(ANN, 10)
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(answers.budget) == 10

    answers.client.unread = 0.0
    await eventually(lambda: len(answers.budget) == 0)
    assert not answers.client.closed


async def test_a_client_that_does_not_take_an_answer_is_disconnected(
    answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_answers, "TAKE_SECONDS", 0.01)
    await answers.of_sockets.take(ANN, 10)
    answers.client.unread = 0.5

    answers.of_sockets.give_back_when_read(ANN, 10)

    await eventually(lambda: len(answers.budget) == 0)
    assert answers.client.closed
