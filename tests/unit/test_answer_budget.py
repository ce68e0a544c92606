"""Answers wait while too many bytes are read for one user or for all."""

import asyncio

import pytest

from parley.gateway.core.errors import Overloaded
from parley.gateway.state import answer_budget
from parley.gateway.state.answer_budget import AnswerBudget


async def starts(budget: AnswerBudget, user_id: str, size: int) -> bool:
    """Return whether an answer starts at once."""
    taking = asyncio.ensure_future(budget.take(user_id, size))
    await asyncio.sleep(0)
    if not taking.done():
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)
        return False
    await taking
    return True


async def test_a_user_has_a_budget_and_others_have_theirs() -> None:
    budget = AnswerBudget(user_bytes=10, total_bytes=100)

    assert await starts(budget, "ann", 6)
    assert not await starts(budget, "ann", 6)
    assert await starts(budget, "bob", 6)
    assert len(budget) == 12


async def test_all_users_have_one_budget() -> None:
    budget = AnswerBudget(user_bytes=10, total_bytes=12)

    assert await starts(budget, "ann", 6)
    assert await starts(budget, "bob", 6)
    assert not await starts(budget, "eve", 6)


async def test_an_answer_larger_than_a_user_s_budget_is_made_alone() -> None:
    budget = AnswerBudget(user_bytes=10, total_bytes=100)

    assert await starts(budget, "ann", 50)
    assert not await starts(budget, "ann", 1)


async def test_a_waiting_answer_starts_when_bytes_are_given_back() -> None:
    budget = AnswerBudget(user_bytes=10, total_bytes=20)
    await budget.take("ann", 10)
    mine, theirs = (asyncio.ensure_future(budget.take(user, 10)) for user in ("ann", "bob"))
    await asyncio.sleep(0)
    assert (mine.done(), theirs.done()) == (False, True)

    budget.give_back("ann", 10)

    await asyncio.wait_for(mine, 5)
    assert len(budget) == 20


async def test_an_answer_that_waits_too_long_is_refused_and_holds_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(answer_budget, "WAIT_SECONDS", 0.01)
    budget = AnswerBudget(user_bytes=10, total_bytes=20)
    await budget.take("ann", 10)

    with pytest.raises(Overloaded):
        await budget.take("ann", 10)

    budget.give_back("ann", 10)
    assert len(budget) == 0
    assert await starts(budget, "ann", 10)


async def test_bytes_given_to_an_answer_that_is_cancelled_are_given_back() -> None:
    budget = AnswerBudget(user_bytes=10, total_bytes=20)
    await budget.take("ann", 10)
    waiting = asyncio.ensure_future(budget.take("ann", 10))
    await asyncio.sleep(0)

    budget.give_back("ann", 10)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    assert len(budget) == 0
