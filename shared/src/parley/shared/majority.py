"""The answer of a majority of the nodes: each names a master, and some may be down or behind."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisClusterException, RedisError

T = TypeVar("T")

UNANSWERED = (RedisError, RedisClusterException, OSError, RuntimeError, TimeoutError, KeyError)


async def latest_answer(questions: Iterable[Coroutine[Any, Any, tuple[int, T]]], failure: str) -> T:
    """Ask all nodes at the same time; return the latest answer among those of a majority.

    A node that was cut off still answers what was true before, so one answer is not enough. Further nodes may
    be down, so they are not waited for.

    Args:
        questions: A call for each node, which returns the number of its epoch, and its answer.
        failure: The beginning of the error's text.

    Raises:
        redis.exceptions.ConnectionError: No node answers.
    """
    tasks = [asyncio.create_task(question) for question in questions]
    answers: list[tuple[int, T]] = []
    errors = []
    try:
        for answer in asyncio.as_completed(tasks):
            try:
                answers.append(await answer)
            except UNANSWERED as error:
                errors.append(repr(error))
            if len(answers) > len(tasks) // 2:
                break
    finally:
        for task in tasks:
            task.cancel()
    if not answers:
        raise RedisConnectionError(f"{failure}: {'; '.join(errors)}")
    return max(answers, key=lambda answer: answer[0])[1]
