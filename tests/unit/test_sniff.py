"""A file's type is recognized by its bytes: a listed type, or text, or it is refused."""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
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


def ole(stream: str) -> bytes:
    """Return a compound file with a directory entry of this name."""
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(1_016) + stream.encode("utf-16-le") + bytes(64)


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("notes.txt"))
    return file.getvalue()


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
    "image/apng": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(17) + b"\0\0\0\x08acTL" + bytes(20),
    "image/avif": ftyp("avif", "mif1", "avif"),
    "image/tiff": b"II*\0\x08\0\0\0" + bytes(20),
    "image/bmp": b"BM\x36\0\0\0" + bytes(40),
    "image/vnd.adobe.photoshop": b"8BPS\0\1" + bytes(40),
    "video/x-matroska": b"\x1a\x45\xdf\xa3\x93\x42\x82\x88matroska" + bytes(20),
    "video/x-msvideo": b"RIFF\x24\0\0\0AVI LIST" + bytes(20),
    "audio/flac": b"fLaC\0\0\0\x22" + bytes(40),
    "audio/amr": b"#!AMR\n\x3c\x91\x17\x16\xbe\x66\x79\0\0" + bytes(20),
    "audio/aac": b"\xff\xf1\x50\x80\x02\x1f\xfc" + bytes(20),
    "audio/aiff": b"FORM\0\0\0\x24AIFFCOMM" + bytes(20),
    "audio/midi": b"MThd\0\0\0\x06\0\1" + bytes(20),
    "application/rtf": b"{\\rtf1\\ansi Hello}",
    "application/epub+zip": zipped("mimetype", "OEBPS/content.opf", first=b"application/epub+zip"),
    "application/msword": ole("WordDocument"),
    "application/vnd.ms-excel": ole("Workbook"),
    "application/vnd.ms-powerpoint": ole("PowerPoint Document"),
    "application/vnd.ms-outlook": ole("__properties_version1.0"),
    "application/x-ole-storage": ole("Unknown"),
    "application/gzip": gzip.compress(b"hello"),
    "application/x-7z-compressed": b"7z\xbc\xaf\x27\x1c\0\4" + bytes(30),
    "application/vnd.rar": b"Rar!\x1a\7\1\0" + bytes(60),
    "application/x-tar": tarred(),
    "application/x-bzip2": bz2.compress(b"hello"),
    "application/x-xz": lzma.compress(b"hello"),
    "application/zstd": b"\x28\xb5\x2f\xfd\x04\x58\x29\0\0hello" + bytes(4),
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
        b"\xca\xfe\xba\xbe\0\0\0\x3d" + bytes(60),
        b"\0asm\1\0\0\0" + bytes(60),
        "UTF-16 with a \x01 control character".encode("utf-16"),
        b"\xff\xfe\x00\xd8 no UTF-16",
        "é in UTF-8, and ".encode() + b"word " * HEAD_BYTES + b"caf\xe9",
        b"words\0with nothing between",
        b"\x1b[31mred\x1b[0m" + bytes(8),
        bytes(100),
        b"MZ\x90\0\3 %PDF-1.4\n" + bytes(60),
        b"\xff\xea\x90\x64" + bytes(40) + b"\xff\xea",
        b"\xff\xe2\xf8\x64" + bytes(40) + b"\xff\xe2",
        b"\0\0\0\x18\0\0\0\0isom" + bytes(60),
        b"\x47" + bytes(187) + b"\x47" + bytes(300),
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


LEGACY = {
    "windows-1252": (
        "cp1252",
        "Müller, Größe: 5 € - „schön“ naïve café. Straße und Übermut tut selten gut.\r\n",
    ),
    "shift_jis": ("cp932", "これは日本語のテキストファイルです。会議は午後三時からです。\r\n"),
    "gb18030": ("gb18030", "这是一个简体中文的文本文件 会议在下午三点开始。\r\n"),
    "big5": ("big5", "這是一個繁體中文的文字檔案 會議下午三點開始。\r\n"),
    "euc-kr": ("cp949", "안녕하세요. 이것은 한국어 텍스트 파일입니다.\r\n"),
    "windows-1251": ("cp1251", "Привет, это обычный текстовый файл в кодировке Windows.\r\n"),
    "windows-1250": ("cp1250", "Příliš žluťoučký kůň úpěl ďábelské ódy.\r\n"),
}


@pytest.mark.parametrize("charset", LEGACY)
@pytest.mark.parametrize("before", [0, 3, HEAD_BYTES - 1, 2 * HEAD_BYTES])
def test_text_in_a_legacy_charset_is_text_with_its_charset(charset: str, before: int) -> None:
    encoding, text = LEGACY[charset]
    data = b"-" * before + text.encode(encoding) * 3

    assert sniffed(data) == f"text/plain; charset={charset}"
    assert sniffed(data, step=1_000) == f"text/plain; charset={charset}"


@pytest.mark.parametrize(
    "data", [b"caf\xe9", b"caf\xe9 in Latin-1", b"BMW f\xe4hrt", b"\x80 5", b"MZ f\xfcr alle"]
)
def test_a_few_characters_beyond_ascii_are_those_of_windows(data: bytes) -> None:
    assert sniffed(data) == "text/plain; charset=windows-1252"
    assert sniffed(data, step=1) == "text/plain; charset=windows-1252"


@pytest.mark.parametrize(
    ("text", "charset"),
    [
        (b"\x1b[31mred\x1b[0m of a terminal's log\r\n", ""),
        (b"name;number\r\nann;1\r\n\x1a", ""),
        ("Grüße".encode() + b"\x1b[0m", ""),
        ("会議は午後三時からです。\r\n".encode("iso2022_jp"), "; charset=iso-2022-jp"),
    ],
)
def test_text_may_have_escapes_and_the_end_mark_of_dos(text: bytes, charset: str) -> None:
    assert sniffed(text) == f"text/plain{charset}"
    assert sniffed(text, step=1) == f"text/plain{charset}"


@pytest.mark.parametrize("front", [b"\r\n", b"\xef\xbb\xbf", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"])
def test_a_pdf_may_begin_behind_a_few_lines(front: bytes) -> None:
    assert sniffed(front + REAL["application/pdf"] + bytes(60)) == "application/pdf"
    assert sniffed(b"A file with %PDF- in front is a PDF.\n") == "text/plain"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("step", [1, 2, 3, 1 << 16])
def test_utf_16_with_a_mark_is_text(encoding: str, step: int) -> None:
    data = ("\ufeff" + "Grüße aus Notepad, 漢字 👩\r\n" * (HEAD_BYTES // step // 20 + 1)).encode(encoding)

    assert sniffed(data, step=step) == "text/plain; charset=utf-16"


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (ftyp("heix", "heix", "mif1"), "image/heic"),
        (ftyp("hevc", "hevc"), "image/heic"),
        (b"caff\0\1\0\0" + bytes(20), "audio/x-caf"),
        (ftyp("iso5", "iso5", "hlsf", "mp41"), "video/mp4"),
        (ftyp("iso6", "iso6", "dash"), "video/mp4"),
        (ftyp("isoX"), "video/mp4"),
        (ftyp("msf1", "msf1", "hevc"), "image/heic"),
        (ftyp("M4P ", "M4P "), "audio/mp4"),
        (b"#!AMR-WB\n\x44" + bytes(60), "audio/amr-wb"),
        ((b"\xff\xe3\x18\xc4" + bytes(100)) * 3, "audio/mpeg"),
        ((b"\xff\xfa\x90\x64" + bytes(413)) * 3, "audio/mpeg"),
        ((b"\xff\xf0\x50\x80" + bytes(200)) * 3, "audio/aac"),
        ((b"\x47\x40\0\x10" + bytes(184)) * 4, "video/mp2t"),
        ((bytes(4) + b"\x47\x40\0\x10" + bytes(184)) * 4, "video/mp2t"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40), "image/jp2"),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\0\xaa\0\x62\xce\x6c" + bytes(20), "video/x-ms-wmv"),
    ],
)
def test_a_picture_a_sound_or_a_film_is_found_in_the_table_of_signatures(
    data: bytes, media_type: str
) -> None:
    assert sniffed(data) == media_type


def test_a_picture_that_a_browser_would_run_is_no_picture() -> None:
    svg = "<svg xmlns='http://www.w3.org/2000/svg'><text>é</text></svg>"
    for encoding in ("utf-8", "cp1252", "utf-16"):
        assert sniffed(svg.encode(encoding)).startswith("text/plain")


@pytest.mark.parametrize("charset", ["ascii", "cp1252", "utf-16"])
def test_text_is_text_to_its_end(charset: str) -> None:
    sniffer = ByteSniffer()
    sniffer.feed(("word é " if charset != "ascii" else "word ").encode(charset) * HEAD_BYTES)
    with pytest.raises(Unsupported):
        sniffer.feed(b"\0\0")


def test_a_refusal_does_not_wait_for_the_end() -> None:
    with pytest.raises(Unsupported):
        ByteSniffer().feed(b"MZ" + bytes(HEAD_BYTES))
