"""Parse range requests (RFC 9110, section 14)."""

import re

from aiohttp import web

_RANGE = re.compile(r"bytes=\s*(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))\s*", re.I | re.A)


class Unsatisfiable(Exception):
    """The file has none of the requested bytes."""


def requested_range(request: web.Request, size: int, etag: str) -> tuple[int, int] | None:
    """Return the requested range of a file.

    Several ranges, other units and malformed headers are ignored, as the RFC allows: the whole file is sent.

    Args:
        request: The request.
        size: The file's size in bytes.
        etag: The file's `ETag`, which `If-Range` must match.

    Returns:
        The range as (start, stop) with `stop` excluded; None for the whole file.

    Raises:
        Unsatisfiable: the range starts beyond the end, or is empty.
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
