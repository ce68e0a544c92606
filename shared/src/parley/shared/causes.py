"""Causes of errors, for the log: the text of an error is for clients, and does not tell what has failed."""


def cause_of(error: BaseException) -> str | None:
    """Return the first cause of an error and the function that it comes from, or None without a cause.

    With a time limit that is `CancelledError()` and the function that was waiting.
    """
    cause = error
    while (earlier := _cause(cause)) is not None:
        cause = earlier
    if cause is error:
        return None
    place, function = cause.__traceback__, ""
    while place is not None:
        if not place.tb_frame.f_globals.get("__name__", "").startswith("asyncio"):
            function = f" in {place.tb_frame.f_code.co_qualname}"
        place = place.tb_next
    return f"{cause!r}{function}"


def _cause(error: BaseException) -> BaseException | None:
    """Return what an error was raised from; Python 3.11.2 has that of `asyncio.timeout` as its context."""
    if error.__cause__ is None and isinstance(error, TimeoutError):
        return error.__context__
    return error.__cause__
