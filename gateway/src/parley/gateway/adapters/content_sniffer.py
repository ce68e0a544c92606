"""Detect the media type of a file by its bytes: a listed one, text, or unsupported."""

import codecs
from collections.abc import Callable

from parley.gateway.adapters.media_types import ALL_TEXT, OLE_TYPES, PRECISE_TYPES, media_type_of
from parley.gateway.adapters.text_charset import CONTROL, ISO_2022_JP, SHIFT, Utf16, charset_of
from parley.gateway.core.errors import Unsupported

HEAD_BYTES = 16 * 1024
"""Enough for the first entries of an office document."""
TEXT = "text/plain"
MEDIA_TYPES: tuple[str, ...] = tuple(dict.fromkeys((*PRECISE_TYPES, *OLE_TYPES, TEXT)))

Check = Callable[[bytes, bool], None]
"""Checks the next bytes of a text, and whether the text may end there. Raises `Unsupported`."""


class ByteSniffer:
    """`Sniffer`: judges binary files by their first bytes, text by all bytes."""

    def __init__(self) -> None:
        self._head = b""
        self._type: str | None = None
        self._check: Check | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._utf16 = Utf16()
        self._is_ascii = True

    def feed(self, chunk: bytes) -> None:
        if self._check is not None:
            self._check(chunk, False)
        elif self._type is None:
            self._head += chunk
            if len(self._head) >= HEAD_BYTES:
                self._decide(final=False)

    def end(self) -> str:
        if self._type is None:
            self._decide(final=True)
        elif self._check is not None:
            self._check(b"", True)
        assert self._type is not None
        return self._type

    def _decide(self, *, final: bool) -> None:
        head, self._head = self._head, b""
        found = media_type_of(head)
        # A text may begin with the magic bytes of a binary type.
        if found in ALL_TEXT or (found is not None and (CONTROL.search(head) and not _is_utf16(head))):
            self._type = found
            return
        self._type = f"{TEXT}; charset={ISO_2022_JP}" if SHIFT.search(head) else TEXT
        self._check = self._check_utf16 if _is_utf16(head) else self._check_utf8
        self._check(head, final)

    def _check_utf16(self, chunk: bytes, final: bool) -> None:
        self._type = f"{TEXT}; charset=utf-16"
        if not self._utf16.is_text(chunk, final=final):
            raise _unsupported()

    def _check_utf8(self, chunk: bytes, final: bool) -> None:
        _refuse_control(chunk)
        try:
            self._is_ascii &= self._decoder.decode(chunk, final).isascii()
        except UnicodeDecodeError:
            self._turn_to_legacy(chunk)

    def _turn_to_legacy(self, chunk: bytes) -> None:
        """Take the text for one in a legacy charset, if this is its first chunk with more than ASCII."""
        pending, _ = self._decoder.getstate()
        charset = charset_of(pending + chunk) if self._is_ascii else None
        if charset is None:
            raise _unsupported()
        self._type = f"{TEXT}; charset={charset}"
        self._check = _check_legacy


def _check_legacy(chunk: bytes, _final: bool) -> None:
    # The charset is a guess by a part of the text: bytes that it lacks are left to whoever reads the file.
    _refuse_control(chunk)


def _is_utf16(head: bytes) -> bool:
    return head.startswith(Utf16.MARKS) and Utf16().is_text(head[: len(head) // 2 * 2])


def _refuse_control(chunk: bytes) -> None:
    if CONTROL.search(chunk):
        raise _unsupported()


def _unsupported() -> Unsupported:
    return Unsupported("This file type is not accepted.", details={"accepted": list(MEDIA_TYPES)})
