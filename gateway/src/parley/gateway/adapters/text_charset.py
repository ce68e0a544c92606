"""Detect text, and the charset of text that is not UTF-8, from a part of it."""

import codecs
import re

from charset_normalizer import CharsetMatch, from_bytes

WINDOW_BYTES = 4 * 1024
"""The part of a text around its first byte beyond ASCII that its charset is judged by."""
CHARSETS = {
    "cp1252": "windows-1252",
    "cp932": "shift_jis",
    "shift_jis": "shift_jis",
    "euc_jp": "euc-jp",
    "gb18030": "gb18030",
    "big5": "big5",
    "cp949": "euc-kr",
    "cp1250": "windows-1250",
    "cp1251": "windows-1251",
    "cp1253": "windows-1253",
    "cp1254": "windows-1254",
    "cp1255": "windows-1255",
    "cp1256": "windows-1256",
    "cp874": "windows-874",
    "koi8_r": "koi8-r",
}
"""Python's names of legacy encodings, and the labels of https://encoding.spec.whatwg.org."""
USUAL = "windows-1252"
FEW = 8
"""So few bytes beyond ASCII do not distinguish charsets: the usual one is assumed."""

CONTROL = re.compile(rb"[\x00-\x08\x0b\x0e-\x19\x1c-\x1f]")
"""Bytes of binary files: https://mimesniff.spec.whatwg.org/#binary-data-byte.

They do not include the escapes of terminals, which logs have. Of texts of DOS the last byte is 0x1A.
"""
ISO_2022_JP, SHIFT = "iso-2022-jp", re.compile(rb"\x1b\$[@B]")
"""Japanese text of mails, and the beginning of a part of it that is not ASCII."""
_BEYOND_ASCII = re.compile(rb"[\x80-\xff]")
_UNDEFINED = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")
"""Bytes without a character in windows-1252."""
_CONTROL_CHARACTER = re.compile("[\x00-\x08\x0b\x0e-\x19\x1c-\x1f\ufffe\uffff]")


class Utf16:
    """Checks a UTF-16 text with a byte order mark, chunk by chunk."""

    MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-16")()

    def is_text(self, chunk: bytes, *, final: bool = False) -> bool:
        """Tell whether the bytes so far are a text."""
        try:
            return not _CONTROL_CHARACTER.search(self._decoder.decode(chunk, final))
        except UnicodeDecodeError:
            return False


def charset_of(data: bytes) -> str | None:
    """Return the charset of a text in a legacy encoding; None if it is no text."""
    if CONTROL.search(data):
        return None
    beyond = _BEYOND_ASCII.search(data)
    begin = max(0, beyond.start() - WINDOW_BYTES // 4) if beyond else 0
    window = data[begin : begin + WINDOW_BYTES]
    if len(_BEYOND_ASCII.findall(window)) < FEW and not _UNDEFINED.search(window):
        return USUAL
    matches = from_bytes(window, cp_isolation=list(CHARSETS))
    best = matches.best()
    if best is None:
        return None
    # Most texts of Western Europe are texts of its eastern neighbours as well, by their bytes.
    equal = {e for m in matches if _rank(m) == _rank(best) for e in m.could_be_from_charset}
    return USUAL if "cp1252" in equal else CHARSETS.get(best.encoding)


def _rank(match: CharsetMatch) -> tuple[float, float]:
    return match.chaos, match.coherence
