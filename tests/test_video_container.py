"""How long video files say they are: boxes, chunks, segments."""

import pytest

from utils.formats.video_container import promised_bytes


def box(kind, body=b"", length=None, wide=False):
    size = len(body) + (16 if wide else 8) if length is None else length
    head = (1).to_bytes(4, "big") + kind + size.to_bytes(8, "big") if wide else size.to_bytes(4, "big") + kind
    return head + body


def promised(folder, content):
    (folder / "a").write_bytes(content)
    return promised_bytes(folder / "a")


FTYP = box(b"ftyp", b"isom")


@pytest.mark.parametrize(
    ("content", "length"),
    [
        (FTYP + box(b"mdat", b"x" * 50), 70),
        (FTYP + box(b"mdat", b"x" * 50)[:-20], 70),
        (FTYP + box(b"mdat", b"x" * 50, wide=True), 78),
        (FTYP + box(b"mdat", b"x" * 50, wide=True)[:-20], 78),
        (FTYP + box(b"mdat", b"x" * 50, length=0), 70),  # to the end of the file
        (FTYP + box(b"free", b"") + box(b"mdat", b"xy"), 30),
        (FTYP + box(b"mdat", b"xy", length=7), 22),  # no length: all there is
        (FTYP + b"tail", 12),
    ],
)
def test_boxes_of_mp4(tmp_path, content, length):
    assert promised(tmp_path, content) == length


def chunk(body, kind=b"RIFF"):
    return kind + len(body).to_bytes(4, "little") + body


@pytest.mark.parametrize(
    ("content", "length"),
    [
        (chunk(b"AVI " + b"x" * 40), 52),
        (chunk(b"AVI " + b"x" * 40)[:-9], 52),
        (chunk(b"AVI " + b"x" * 40) + chunk(b"AVIX" + b"y" * 10), 74),
        (chunk(b"AVI " + b"x" * 40) + chunk(b"y" * 10, b"JUNK"), 52),
        (chunk(b"AVI " + b"x" * 40) + b"RIFF", 52),
    ],
)
def test_chunks_of_avi(tmp_path, content, length):
    assert promised(tmp_path, content) == length


EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


@pytest.mark.parametrize(
    ("content", "length"),
    [
        (EBML + b"\x83abc" + SEGMENT + b"\x85" + b"x" * 5, 18),
        (EBML + b"\x83abc" + SEGMENT + b"\x85" + b"x" * 2, 18),
        (EBML + b"\x40\x03abc" + SEGMENT + b"\x41\x00" + b"x" * 5, 15 + 256),
        (EBML + b"\x83abc" + SEGMENT + b"\x01\x00\x00\x00\x00\x00\x00\x05", 20 + 5),
        (EBML + b"\x83abc" + SEGMENT + b"\xff", None),  # a live recording
        (EBML + b"\x83abc" + SEGMENT + b"\x01" + b"\xff" * 7, None),
        (EBML + b"\x83abc" + SEGMENT + b"\xfe", 13 + 126),
        (EBML + b"\x83abcxxxx\x85", None),
        (EBML + b"\x83abc" + SEGMENT, None),
        (EBML + b"\x00", None),
        (EBML + b"\xff", None),
    ],
)
def test_segments_of_matroska(tmp_path, content, length):
    assert promised(tmp_path, content) == length


@pytest.mark.parametrize("content", [b"", b"GIF89a and more", b"\0\0\0\x0cftyq" + b"x" * 20])
def test_what_states_no_length(tmp_path, content):
    assert promised(tmp_path, content) is None
