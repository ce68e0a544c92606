"""The file of a form (RFC 7578), as it comes in."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import cast

from aiohttp import BodyPartReader, MultipartReader, StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError

from parley.gateway.core.errors import Invalid
from parley.gateway.rest.form_body import FormBody, Pace

FIELD = "file"
READ_BYTES, OTHERS_READ_BYTES = 64 * 1024, 4 * 1024
MAX_PARTS = 20
"""The file, and fields that nobody asked for, which some forms send along."""
MAX_HEADERS = 16
"""Header lines of one part."""
AS_IT_IS = ("binary", "8bit", "7bit")


class FilePart:
    """Reads the part named `file` of a request's form once; other parts are passed over."""

    def __init__(self, request: web.Request, pace: Pace) -> None:
        self._request = request
        self._body = FormBody(request.content, pace)
        self._parts = 0
        self._reader: MultipartReader
        self._part: BodyPartReader

    async def find(self) -> str:
        """Go to the file; the name that it was sent under, empty when it has none.

        Raises:
            Invalid: the body is no form, has no file, or too much besides.
            TooSlow: nothing came for too long.
        """
        if self._request.content_type != "multipart/form-data":
            raise Invalid.field(FIELD, "The body must be multipart/form-data with a part of this name.")
        with _understood():
            content = cast(StreamReader, self._body)
            self._reader = MultipartReader(self._request.headers, content, max_headers=MAX_HEADERS)
            part = await self._next_file()
        if part is None:
            raise Invalid.field(FIELD, "It is missing.")
        self._part = part
        return part.filename or ""

    async def chunks(self) -> AsyncIterator[bytes]:
        """Its bytes; over when the form is over too.

        Raises:
            Invalid: the form ends too early, has another file, or too much besides.
            TooSlow: nothing came for too long.
        """
        self._body.in_file = True
        while chunk := await self._read(self._part, READ_BYTES):
            yield chunk
        self._body.in_file = False
        with _understood():
            another = await self._next_file()
        if another is not None:
            raise Invalid.field(FIELD, "One at a time.")

    async def _next_file(self) -> BodyPartReader | None:
        while (found := await self._reader.next()) is not None:
            part = self._checked(found)
            if part.name == FIELD:
                return part
            while await self._read(part, OTHERS_READ_BYTES):
                pass
        return None

    def _checked(self, part: BodyPartReader | MultipartReader) -> BodyPartReader:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise Invalid(f"The form has more than {MAX_PARTS} parts.")
        if not isinstance(part, BodyPartReader):
            raise Invalid("A form within the form is not understood.")
        if part.headers.get("Content-Transfer-Encoding", "binary").lower() not in AS_IT_IS:
            # A form has none (RFC 7578, section 4.7); the file would be kept as it is not.
            raise Invalid("The parts of the form must come as they are, in no Content-Transfer-Encoding.")
        return part

    async def _read(self, part: BodyPartReader, size: int) -> bytes:
        # An empty chunk does not mean its end: the first may be empty, and the bytes come with the next.
        with _understood():
            while not part.at_eof():
                if chunk := await part.read_chunk(size):
                    return bytes(chunk)
        return b""


@contextmanager
def _understood() -> Iterator[None]:
    try:
        yield
    except (ValueError, AssertionError, RuntimeError, HttpProcessingError) as error:
        raise Invalid("The body is not a whole multipart/form-data form.") from error
