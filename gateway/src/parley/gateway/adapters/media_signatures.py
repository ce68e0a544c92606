"""Signatures of pictures, sounds and films of phones and cameras that the libraries' tables lack."""

SIGNATURES = {
    b"#!AMR-WB\n": "audio/amr-wb",
    b"\0\0\0\x0cjP  \r\n\x87\n": "image/jp2",
}
BOX, BRAND = slice(4, 8), slice(8, 12)
"""The type and the major brand in the first box of a film (ISO/IEC 14496-12, section 4.3)."""
PICTURE_BRANDS = (b"mif2", b"msf1", b"heis", b"heim", b"hevm", b"hevs")
SOUND_BRANDS = (b"M4P ",)
SYNC, MIN_FRAME = 0xFF, 24
"""The first byte of each frame of MPEG audio, and about the length of its shortest frames, in bytes."""
TS_SYNC, TS_PACKETS = 0x47, 3
TS_FORMS = ((188, 0), (192, 4))
"""The length of a packet of a transport stream, and the place of its mark; cameras add a time (AVCHD)."""


def signed_type_of(head: bytes) -> str | None:
    """Return the media type whose signature a file begins with."""
    found = (media_type for signature, media_type in SIGNATURES.items() if head.startswith(signature))
    return next(found, None)


def built_type_of(head: bytes) -> str | None:
    """Return the media type of a file that is built like one: less precise than a signature."""
    if head[BOX] == b"ftyp":
        return _type_of_brand(head[BRAND])
    if any(_is_transport_stream(head, *form) for form in TS_FORMS):
        return "video/mp2t"
    return _type_of_frames(head)


def _type_of_brand(brand: bytes) -> str:
    """Return the type of a film of any brand: new ones come each year."""
    if brand in PICTURE_BRANDS:
        return "image/heic"
    return "audio/mp4" if brand in SOUND_BRANDS else "video/mp4"


def _is_transport_stream(head: bytes, length: int, place: int) -> bool:
    marks = head[place : place + TS_PACKETS * length : length]
    return len(marks) == TS_PACKETS and set(marks) == {TS_SYNC}


def _type_of_frames(head: bytes) -> str | None:
    """Return the type of frames of MPEG audio (ISO/IEC 11172-3 and 13818-7), of which two begin alike."""
    if len(head) < MIN_FRAME or head[0] != SYNC or head.find(head[:2], MIN_FRAME) < 0:
        return None
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bit_rate, sample_rate = head[2] >> 4, head[2] >> 2 & 3
    if head[1] >> 5 != 7 or version == 1:
        return None
    if layer == 0:
        return "audio/aac" if version >= 2 else None
    return "audio/mpeg" if layer in (1, 2) and bit_rate not in (0, 15) and sample_rate != 3 else None
