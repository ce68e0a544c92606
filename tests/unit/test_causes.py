"""The log names the first cause of an error, and where it comes from."""

import asyncio

from parley.shared.causes import cause_of


async def wait_for_server() -> None:
    await asyncio.Event().wait()


async def refuse_after_time_limit() -> None:
    try:
        async with asyncio.timeout(0):
            await wait_for_server()
    except TimeoutError as error:
        raise RuntimeError("Too slow.") from error


def test_an_error_without_a_cause_has_none() -> None:
    assert cause_of(RuntimeError("Too slow.")) is None


def test_the_first_cause_is_named_with_its_function() -> None:
    def connect() -> None:
        raise ConnectionError("refused")

    try:
        try:
            try:
                connect()
            except ConnectionError as error:
                raise OSError("no server") from error
        except OSError as error:
            raise RuntimeError("Away.") from error
    except RuntimeError as error:
        cause = cause_of(error)

    assert cause is not None
    assert cause.startswith("ConnectionError('refused') in ")
    assert cause.endswith("connect")


async def test_a_time_limit_names_the_function_that_waited() -> None:
    try:
        await refuse_after_time_limit()
    except RuntimeError as error:
        cause = cause_of(error)

    assert cause == "CancelledError() in wait_for_server"
