"""Read the file of a multipart form (RFC 7578) as a stream."""

import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from email.message import Message
from email.utils import collapse_rfc2231_value
from typing import Any, cast

from aiohttp import (
    BadContentDispositionHeader,
    BadContentDispositionParam,
    BodyPartReader,
    MultipartReader,
    StreamReader,
    hdrs,
    web,
)
from aiohttp.http_exceptions import HttpProcessingError

from parley.gateway.core.errors import Invalid
from parley.gateway.rest.form_body import FormBody, MinDataRate

FIELD = "file"
READ_BYTES, SKIP_BYTES = 64 * 1024, 4 * 1024
MAX_PARTS = 20
"""Parts of one form: the file, and further fields, which some clients add and which are ignored."""
MAX_HEADERS = 16
"""Header lines of a part, at most."""
MAX_SEMICOLONS = 64
"""Semicolons in a Content-Disposition: the time to parse it grows with their square."""
ESCAPED = {"%22": '"', "%0A": "\n", "%0D": "\r"}
IDENTITY_ENCODINGS = ("binary", "8bit", "7bit")

# aiohttp's reader parses each part's disposition too, for a part named `_charset_`.
for category in (BadContentDispositionHeader, BadContentDispositionParam):
    warnings.simplefilter("ignore", category)


class FilePart:
    """Reads the part named `file` of a request's form, once; other parts are skipped."""

    def __init__(self, request: web.Request, min_data_rate: MinDataRate) -> None:
        self._request = request
        self._body = FormBody(request.content, min_data_rate)
        self._parts = 0
        self._reader: MultipartReader
        self._part: BodyPartReader

    async def find(self) -> str:
        """Read up to the file and return its name; empty if it has none.

        Raises:
            Invalid: the body is not a form, has no file, or too many other bytes.
            BodyTooSlow: the body arrives too slowly.
        """
        if self._request.content_type != "multipart/form-data":
            raise Invalid.field(FIELD, "The body must be multipart/form-data with a part of this name.")
        with _form_errors():
            content = cast(StreamReader, self._body)
            self._reader = MultipartReader(self._request.headers, content, max_headers=MAX_HEADERS)
            part = await self._next_file()
        if part is None:
            raise Invalid.field(FIELD, "The file is missing.")
        self._part = part
        return _parameters(part).get("filename", "")

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the file's bytes; the iteration ends when the whole form was read.

        Raises:
            Invalid: the form is incomplete, has a second file, or too many other bytes.
            BodyTooSlow: the body arrives too slowly.
        """
        self._body.in_file = True
        while chunk := await self._read(self._part, READ_BYTES):
            yield chunk
        self._body.in_file = False
        with _form_errors():
            another = await self._next_file()
        if another is not None:
            raise Invalid.field(FIELD, "Only one file can be uploaded at once.")

    async def _next_file(self) -> BodyPartReader | None:
        while (found := await self._reader.next()) is not None:
            part = self._checked(found)
            if _parameters(part).get("name") == FIELD:
                return part
            while await self._read(part, SKIP_BYTES):
                pass
        return None

    def _checked(self, part: BodyPartReader | MultipartReader) -> BodyPartReader:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise Invalid(f"The form has more than {MAX_PARTS} parts.")
        if not isinstance(part, BodyPartReader):
            raise Invalid("A form within the form is not supported.")
        if part.headers.get("Content-Transfer-Encoding", "binary").lower() not in IDENTITY_ENCODINGS:
            # RFC 7578, section 4.7, deprecates it. aiohttp would not decode it, so the encoded text would be
            # stored as the file.
            raise Invalid("The form's parts must have no Content-Transfer-Encoding.")
        return part

    async def _read(self, part: BodyPartReader, size: int) -> bytes:
        # aiohttp may return an empty chunk before the end of the part, so emptiness alone does not end it.
        with _form_errors():
            while not part.at_eof():
                if chunk := await part.read_chunk(size):
                    return bytes(chunk)
        return b""


def _parameters(part: BodyPartReader) -> dict[str, str]:
    """Return the parameters of a part's Content-Disposition; `filename*` (RFC 5987) wins over `filename`.

    aiohttp's parser refuses a name with spaces and without quotes, and takes each backslash for an escape:
    old clients send the whole path of a file, with backslashes.

    Raises:
        Invalid: there are too many of them.
    """
    header = _decoded(part.headers.get(hdrs.CONTENT_DISPOSITION, ""))
    if header.count(";") > MAX_SEMICOLONS:
        raise Invalid("A part's Content-Disposition has too many parameters.")
    message = Message()
    message[hdrs.CONTENT_DISPOSITION] = header
    parameters = message.get_params(header=hdrs.CONTENT_DISPOSITION) or []
    # Of an extended parameter the value is a tuple.
    parameters.sort(key=lambda parameter: isinstance(parameter[1], tuple))
    return {name.lower(): _unescaped(value) for name, value in parameters}


def _unescaped(value: Any) -> str:
    """Return a parameter's text.

    In a value that is not extended, browsers escape three characters, but no percent sign:
    https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#multipart-form-data.
    """
    text = collapse_rfc2231_value(value)
    is_extended = not isinstance(value, str)
    if is_extended:
        return text
    for escaped, character in ESCAPED.items():
        text = text.replace(escaped, character)
    return text


def _decoded(header: str) -> str:
    """Decode a header that is not UTF-8 as Windows-1252, which clients without Unicode use most."""
    try:
        return header.encode("utf-8", "surrogateescape").decode()
    except UnicodeDecodeError:
        return header.encode("utf-8", "surrogateescape").decode("cp1252", "replace")


@contextmanager
def _form_errors() -> Iterator[None]:
    try:
        yield
    except (ValueError, AssertionError, RuntimeError, HttpProcessingError) as error:
        raise Invalid("The body is not a complete multipart/form-data form.") from error
