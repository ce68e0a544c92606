"""Which bytes of a file a request wants (RFC 9110, section 14)."""

import re

from aiohttp import web

_RANGE = re.compile(r"bytes=\s*(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))\s*", re.I | re.A)


class Unsatisfiable(Exception):
    """None of the bytes that are wanted exist."""


def wanted(request: web.Request, size: int, etag: str) -> tuple[int, int] | None:
    """The one range of a file of `size` bytes that is wanted, as (start, stop); None for all of it.

    Several ranges at once, other units, and what is no range at all are answered by the whole file.

    Raises:
        Unsatisfiable: it begins behind the end, or is of no bytes.
    """
    found = _RANGE.fullmatch(request.headers.get("Range", ""))
    if request.method != "GET" or found is None or request.headers.get("If-Range", etag).strip() != etag:
        return None
    first, last, suffix = found.groups()
    if suffix is not None:
        start, stop = max(0, size - int(suffix)), size
    else:
        start, stop = int(first), min(size, int(last) + 1 if last else size)
        if last and int(last) < start:
            return None
    if start >= stop:
        raise Unsatisfiable
    return start, stop
