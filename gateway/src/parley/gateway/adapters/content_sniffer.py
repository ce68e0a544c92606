"""Detect the media type of a file by its bytes: one of a list, plain text, or unsupported."""

import codecs
import re

from filetype.types import archive, audio, document, image, video
from filetype.types.base import Type

from parley.gateway.core.errors import Unsupported

HEAD_BYTES = 16 * 1024
"""Enough for the first entries of an office document."""
TEXT = "text/plain"
PDF = "application/pdf"

# The order counts: a special type stands before the general one that it also matches.
ACCEPTED: tuple[Type, ...] = (
    image.Png(),
    image.Jpeg(),
    image.Gif(),
    image.Webp(),
    image.Heic(),
    audio.M4a(),
    video.Mov(),
    video.Mp4(),
    video.Webm(),
    audio.Ogg(),
    audio.Wav(),
    audio.Mp3(),
    archive.Pdf(),
    document.Docx(),
    document.Xlsx(),
    document.Pptx(),
    document.Odt(),
    document.Ods(),
    document.Odp(),
    archive.Zip(),
)
RENAMED = {"audio/x-wav": "audio/wav"}
"""Registered or usual names that differ from the library's."""
MEDIA_TYPES: tuple[str, ...] = (*(RENAMED.get(kind.mime, kind.mime) for kind in ACCEPTED), TEXT)

_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0e-\x1f\x7f]")


class ByteSniffer:
    """`Sniffer`: judges binary files by their first bytes, text by all bytes."""

    def __init__(self) -> None:
        self._head = b""
        self._type: str | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def feed(self, chunk: bytes) -> None:
        if self._type == TEXT:
            self._check_text(chunk)
        elif self._type is None:
            self._head += chunk
            if len(self._head) >= HEAD_BYTES:
                self._decide()

    def end(self) -> str:
        if self._type is None:
            self._decide()
        if self._type == TEXT:
            self._check_text(b"", final=True)
        assert self._type is not None
        return self._type

    def _decide(self) -> None:
        found = _binary_type(self._head)
        # A text may begin with the magic bytes of a binary type; among these only a PDF can be all text.
        if found is None or (found != PDF and self._is_text(self._head)):
            self._decoder.reset()
            self._check_text(self._head)
            found = TEXT
        self._type = found
        self._head = b""

    def _is_text(self, data: bytes) -> bool:
        try:
            self._check_text(data)
        except Unsupported:
            return False
        return True

    def _check_text(self, data: bytes, *, final: bool = False) -> None:
        try:
            self._decoder.decode(data, final)
        except UnicodeDecodeError:
            raise _unsupported() from None
        if _CONTROL.search(data):
            raise _unsupported()


def _binary_type(head: bytes) -> str | None:
    matching = (
        media_type for kind, media_type in zip(ACCEPTED, MEDIA_TYPES, strict=False) if kind.match(head)
    )
    return next(matching, None)


def _unsupported() -> Unsupported:
    return Unsupported("This file type is not accepted.", details={"accepted": list(MEDIA_TYPES)})
