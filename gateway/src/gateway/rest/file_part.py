"""The file of a form (RFC 7578), as it comes in."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from gateway.core.errors import Invalid

FIELD = "file"
READ_BYTES = 64 * 1024
OTHER_PARTS_BYTES = 64 * 1024
"""Of parts that nobody asked for, which some forms send along."""


class FilePart:
    """Reads the part named `file` of a request's form once; other parts are passed over."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._others = 0
        self._reader: MultipartReader
        self._part: BodyPartReader

    async def find(self) -> str:
        """Go to the file; the name that it was sent under, empty when it has none.

        Raises:
            Invalid: the body is no form, or has no file.
        """
        if self._request.content_type != "multipart/form-data":
            raise Invalid.field(FIELD, "The body must be multipart/form-data with a part of this name.")
        with _understood():
            self._reader = await self._request.multipart()
            part = await self._next_file()
        if part is None:
            raise Invalid.field(FIELD, "It is missing.")
        self._part = part
        return part.filename or ""

    async def chunks(self) -> AsyncIterator[bytes]:
        """Its bytes; over when the form is over too.

        Raises:
            Invalid: the form ends too early, or has another file.
        """
        while chunk := await self._read(self._part):
            yield chunk
        with _understood():
            another = await self._next_file()
        if another is not None:
            raise Invalid.field(FIELD, "One at a time.")

    async def _next_file(self) -> BodyPartReader | None:
        while (part := await self._reader.next()) is not None:
            if not isinstance(part, BodyPartReader):
                raise Invalid("A form within the form is not understood.")
            if part.name == FIELD:
                return part
            await self._pass_over(part)
        return None

    async def _pass_over(self, part: BodyPartReader) -> None:
        while chunk := await self._read(part):
            self._others += len(chunk)
            if self._others > OTHER_PARTS_BYTES:
                raise Invalid(f"The form has too much besides {FIELD}.")

    async def _read(self, part: BodyPartReader) -> bytes:
        # An empty chunk does not mean its end: the first may be empty, and the bytes come with the next.
        with _understood():
            while not part.at_eof():
                if chunk := await part.read_chunk(READ_BYTES):
                    return bytes(chunk)
        return b""


@contextmanager
def _understood() -> Iterator[None]:
    try:
        yield
    except (ValueError, AssertionError, RuntimeError, HttpProcessingError) as error:
        raise Invalid("The body is not a whole multipart/form-data form.") from error
