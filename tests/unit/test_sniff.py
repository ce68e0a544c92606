"""A file's type is recognized by its bytes: a listed type, or text, or it is refused."""

import io
import struct
import zipfile

import pytest

from parley.gateway.adapters.content_sniffer import HEAD_BYTES, MEDIA_TYPES, ByteSniffer
from parley.gateway.core.errors import Unsupported

OFFICE = "application/vnd.openxmlformats-officedocument."
OPEN_DOCUMENT = "application/vnd.oasis.opendocument."


def sniffed(data: bytes, step: int = 1 << 16) -> str:
    sniffer = ByteSniffer()
    for start in range(0, len(data), step):
        sniffer.feed(data[start : start + step])
    return sniffer.end()


def ftyp(major: str, *compatible: str) -> bytes:
    brands = b"".join(b.encode() for b in compatible)
    return struct.pack(">I4s4sI", 16 + len(brands), b"ftyp", major.encode(), 0) + brands + bytes(64)


def zipped(*names: str, first: bytes = b"<xml/>" * 50) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            stored = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            archive.writestr(name, first if name == "mimetype" else b"<xml/>" * 50, stored)
    return file.getvalue()


def office(folder: str, part: str) -> bytes:
    return zipped("[Content_Types].xml", "_rels/.rels", "docProps/app.xml", f"{folder}/{part}.xml")


REAL = {
    "image/png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(20),
    "image/jpeg": b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(20),
    "image/gif": b"GIF89a\1\0\1\0\x80\0\0" + bytes(20),
    "image/webp": b"RIFF\x24\0\0\0WEBPVP8 " + bytes(20),
    "image/heic": ftyp("heic", "mif1", "heic"),
    "audio/mp4": ftyp("M4A ", "M4A ", "mp42", "isom"),
    "video/quicktime": ftyp("qt  ", "qt  "),
    "video/mp4": ftyp("isom", "isom", "iso2", "avc1", "mp41"),
    "video/webm": b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm" + bytes(20),
    "audio/ogg": b"OggS\0\2" + bytes(30) + b"OpusHead",
    "audio/wav": b"RIFF\x24\0\0\0WAVEfmt " + bytes(20),
    "audio/mpeg": b"ID3\3\0\0\0\0\0\x21" + bytes(40),
    "application/pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj",
    f"{OFFICE}wordprocessingml.document": office("word", "document"),
    f"{OFFICE}spreadsheetml.sheet": office("xl", "workbook"),
    f"{OFFICE}presentationml.presentation": office("ppt", "presentation"),
    f"{OPEN_DOCUMENT}text": zipped("mimetype", "content.xml", first=f"{OPEN_DOCUMENT}text".encode()),
    f"{OPEN_DOCUMENT}spreadsheet": zipped("mimetype", first=f"{OPEN_DOCUMENT}spreadsheet".encode()),
    f"{OPEN_DOCUMENT}presentation": zipped("mimetype", first=f"{OPEN_DOCUMENT}presentation".encode()),
    "application/zip": zipped("holiday.jpg", "notes.txt"),
    "text/plain": "name;città\nann;Forlì\n".encode(),
}


def test_every_type_of_the_list_has_an_example_here() -> None:
    assert set(REAL) == set(MEDIA_TYPES)


@pytest.mark.parametrize("media_type", REAL)
def test_an_accepted_type_is_recognized_by_its_bytes(media_type: str) -> None:
    assert sniffed(REAL[media_type]) == media_type


@pytest.mark.parametrize("media_type", REAL)
def test_a_type_is_recognized_however_the_bytes_are_split(media_type: str) -> None:
    assert sniffed(REAL[media_type] + b"\n" * HEAD_BYTES, step=7) == media_type


@pytest.mark.parametrize(
    "data",
    [
        b"MZ\x90\0\3" + bytes(60),
        b"\x7fELF\2\1\1" + bytes(60),
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
        b"Rar!\x1a\7\0" + bytes(60),
        b"\x1f\x8b\x08" + bytes(60),
        b"caf\xe9 in Latin-1",
        "UTF-16".encode("utf-16"),
        b"words\0with nothing between",
        b"\x1b[31mred\x1b[0m",
        bytes(100),
        b"cut in the middle: \xe2\x82",
    ],
)
def test_an_unlisted_type_is_refused(data: bytes) -> None:
    with pytest.raises(Unsupported) as refused:
        sniffed(data)
    assert refused.value.code == "UNSUPPORTED_TYPE"
    assert refused.value.details == {"accepted": list(MEDIA_TYPES)}


@pytest.mark.parametrize(
    "text",
    [
        "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        "<!DOCTYPE html><script>alert(1)</script>",
        "GIF89a is how some pictures begin",
        "ID3 is a tag",
        "M4A files are music",
        "OggS",
        '{"json": true}',
        "\ufeffwith a mark in front\r\n\tand a tab",
        "漢字" * HEAD_BYTES,
        "👩‍👩‍👧",
    ],
)
def test_readable_text_is_plain_text_even_if_a_browser_would_run_it(text: str) -> None:
    assert sniffed(text.encode()) == "text/plain"
    assert sniffed(text.encode(), step=5) == "text/plain"


@pytest.mark.parametrize("late", [b"\0", b"\xff", b"\x80"])
def test_text_is_text_to_its_end(late: bytes) -> None:
    sniffer = ByteSniffer()
    sniffer.feed(b"word " * HEAD_BYTES)
    with pytest.raises(Unsupported):
        sniffer.feed(late)


def test_a_refusal_does_not_wait_for_the_end() -> None:
    with pytest.raises(Unsupported):
        ByteSniffer().feed(b"MZ" + bytes(HEAD_BYTES))
