"""Names of uploads are cleaned so that they are safe to show, to save and to put into a header."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.gateway.rest.attachments import disposition
from parley.gateway.services.attachments import MAX_NAME, clean_name


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\ann\\photo.jpg", "photo.jpg"),
        ("/", "file"),
        ("", "file"),
        ("..", "file"),
        (" . ", "file"),
        (".htaccess", "htaccess"),
        ("ends.in.dots...", "ends.in.dots"),
        ("a\r\nSet-Cookie: x=1.txt", "a Set-Cookie: x=1.txt"),
        ("nul\0byte.txt", "nulbyte.txt"),
        ("cod\u202efdp.exe", "codfdp.exe"),
        ("half \ud800 a letter.txt", "half a letter.txt"),
        ("at 3.15\u202fPM.png", "at 3.15 PM.png"),
        ("👩\u200d🚀 Città 漢字.png", "👩\u200d🚀 Città 漢字.png"),
        ("x" * 300 + ".pdf", "x" * 251 + ".pdf"),
        ("x" * 300, "x" * 255),
        ("x." + "y" * 300, "x." + "y" * 253),
    ],
)
def test_a_name_loses_paths_and_unsafe_characters(sent: str, kept: str) -> None:
    assert clean_name(sent) == kept


@given(st.text(st.characters(codec=None), max_size=600))
def test_a_cleaned_name_is_short_visible_and_no_path(sent: str) -> None:
    name = clean_name(sent)
    assert 1 <= len(name) <= MAX_NAME
    assert not {"/", "\\", "\r", "\n", "\0"} & set(name)
    assert name.strip(" .") == name
    assert clean_name(name) == name
    name.encode()


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a.txt", "inline; filename=\"a.txt\"; filename*=UTF-8''a.txt"),
        ('say "hi".txt', "inline; filename=\"say _hi_.txt\"; filename*=UTF-8''say%20%22hi%22.txt"),
        ("100% è.txt", "inline; filename=\"100_ _.txt\"; filename*=UTF-8''100%25%20%C3%A8.txt"),
        ("it's.txt", "inline; filename=\"it's.txt\"; filename*=UTF-8''it%27s.txt"),
    ],
)
def test_the_header_has_the_name_in_utf_8_and_in_ascii(name: str, header: str) -> None:
    assert disposition("inline", name) == header


@given(st.text(max_size=300))
def test_no_name_can_break_out_of_its_header(sent: str) -> None:
    header = disposition("attachment", clean_name(sent))
    assert header.isascii()
    assert header.isprintable()
    assert header.count('"') == 2
