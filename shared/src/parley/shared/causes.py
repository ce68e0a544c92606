"""Causes of errors, for the log: the text of an error is for clients, and does not tell what has failed."""


def cause_of(error: BaseException) -> str | None:
    """Return the first cause of an error and the function that it comes from, or None without a cause.

    With a time limit that is `CancelledError()` and the function that was waiting.
    """
    cause = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    if cause is error:
        return None
    place, function = cause.__traceback__, ""
    while place is not None:
        if not place.tb_frame.f_globals.get("__name__", "").startswith("asyncio"):
            function = f" in {place.tb_frame.f_code.co_qualname}"
        place = place.tb_next
    return f"{cause!r}{function}"
