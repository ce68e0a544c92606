"""The media types of binary files, by their first bytes.

Precise checks come first: a special type stands before the general one that it also matches. Further
pictures, sounds and films are found in puremagic's table of signatures.
"""

import puremagic
from filetype.types import archive, audio, document, image, video
from filetype.types.base import Type

from parley.gateway.adapters.media_signatures import built_type_of, signed_type_of
from parley.gateway.adapters.text_charset import CONTROL

PDF, RTF = "application/pdf", "application/rtf"
ALL_TEXT = (PDF, RTF)
"""Types whose files may consist of readable characters only."""
PDF_MARK, PDF_WITHIN = b"%PDF-", 1024
"""Readers find the mark in this many bytes; lines in front come from scanners, mails and web servers."""
OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
OLE = "application/x-ole-storage"
OLE_STREAMS = {
    "WordDocument": "application/msword",
    "Workbook": "application/vnd.ms-excel",
    "PowerPoint Document": "application/vnd.ms-powerpoint",
    "__properties_version1.0": "application/vnd.ms-outlook",
}
"""Names of streams of a compound file, which lie in its directory: https://aka.ms/ms-cfb."""

PRECISE: tuple[Type, ...] = (
    image.Apng(),
    image.Png(),
    image.Jpeg(),
    image.Gif(),
    image.Webp(),
    image.Heic(),
    image.Avif(),
    image.Tiff(),
    image.Bmp(),
    image.Psd(),
    audio.M4a(),
    video.Mov(),
    video.Mp4(),
    video.Webm(),
    video.Mkv(),
    video.Avi(),
    audio.Ogg(),
    audio.Wav(),
    audio.Mp3(),
    audio.Flac(),
    audio.Amr(),
    audio.Aac(),
    audio.Aiff(),
    audio.Midi(),
    archive.Pdf(),
    archive.Rtf(),
    archive.Epub(),
    document.Docx(),
    document.Xlsx(),
    document.Pptx(),
    document.Odt(),
    document.Ods(),
    document.Odp(),
    document.Doc(),
    document.Xls(),
    document.Ppt(),
    archive.Zip(),
    archive.Gz(),
    archive.SevenZ(),
    archive.Rar(),
    archive.Tar(),
    archive.Bz2(),
    archive.Xz(),
    archive.Zstd(),
)
RENAMED = {
    "audio/x-wav": "audio/wav",
    "audio/x-flac": "audio/flac",
    "audio/x-aiff": "audio/aiff",
    "application/x-rar-compressed": "application/vnd.rar",
}
"""Registered or usual names that differ from the library's."""
PRECISE_TYPES: tuple[str, ...] = tuple(RENAMED.get(kind.mime, kind.mime) for kind in PRECISE)
OLE_TYPES: tuple[str, ...] = (*OLE_STREAMS.values(), OLE)

MEDIA = ("image/", "audio/", "video/")
SIGNATURE_BYTES = 4
"""Shorter signatures of the table match other files by chance."""


def media_type_of(head: bytes) -> str | None:
    """Return the media type of a binary file; None for an unknown or unlisted one."""
    for kind, media_type in zip(PRECISE, PRECISE_TYPES, strict=True):
        if kind.match(head):
            return media_type
    if head.startswith(OLE_MAGIC):
        return _ole_type(head)
    if _has_late_pdf(head):
        return PDF
    return signed_type_of(head) or _listed_medium(head) or built_type_of(head)


def _has_late_pdf(head: bytes) -> bool:
    """Tell whether a PDF follows a few lines: a text may name the mark, a program may hide behind it."""
    front, mark, _ = head[:PDF_WITHIN].partition(PDF_MARK)
    return bool(mark and CONTROL.search(head) and not CONTROL.search(front))


def _ole_type(head: bytes) -> str:
    names = (media_type for name, media_type in OLE_STREAMS.items() if name.encode("utf-16-le") in head)
    # The directory may lie anywhere in the file.
    return next(names, OLE)


def _listed_medium(head: bytes) -> str | None:
    """Return the picture, sound or film whose signature in puremagic's table is the longest that matches."""
    try:
        found = puremagic.magic_string(head)
    except puremagic.PureError:
        return None
    media = [each for each in found if _is_medium(each.mime_type)]
    fitting = [each for each in media if len(each.byte_match) >= SIGNATURE_BYTES]
    longest = max(fitting, key=lambda each: len(each.byte_match), default=None)
    return longest.mime_type if longest is not None else None


def _is_medium(media_type: str) -> bool:
    # An SVG picture is a page that a browser would run.
    return media_type.startswith(MEDIA) and "svg" not in media_type
