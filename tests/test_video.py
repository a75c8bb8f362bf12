"""Videos frame by frame: what is decoded, what was promised, frames that differ in size."""

import struct
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from utils import memory
from utils.formats.video import Video, jpeg_size, promised_bytes

FRAMES = np.stack([np.full((48, 64), 20 * i + 10, np.uint8) for i in range(6)])


def encode(path, frames=FRAMES, code="MJPG"):
    out = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), 10, frames.shape[2:0:-1])
    assert out.isOpened()
    for frame in frames:
        out.write(cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR))
    out.release()
    return path


@pytest.mark.parametrize(
    ("name", "code"), [("a.avi", "MJPG"), ("b.mp4", "mp4v"), ("c.mkv", "MJPG"), ("d 1%02d.avi", "MJPG")]
)
def test_frames_come_one_by_one(tmp_path, name, code):
    with Video(encode(tmp_path / name, code=code)) as video:
        assert video.promised == 6 and video.decoded == 0
        assert video.shortfall() == "holds no frame that can be decoded"
        found = list(video)
        assert video.decoded == 6 and video.shortfall() == ""
    assert not list(video)  # closed
    assert all(frame.shape == (48, 64) and frame.dtype == np.uint8 for frame in found)
    assert np.abs(np.stack(found).astype(int) - FRAMES).max() <= 3


def test_a_list_of_other_files_is_no_video(tmp_path):
    encode(tmp_path / "a.avi")
    (tmp_path / "b.avi").write_text("ffconcat version 1.0\nfile a.avi\n")
    with pytest.raises(ValueError, match="is no video"):
        Video(tmp_path / "b.avi")


@pytest.mark.parametrize("code", ["mp4v", "jpeg"])
def test_frames_come_as_stored_whatever_turn_a_matrix_asks_for(tmp_path, code):
    ramps = np.broadcast_to(np.arange(64, dtype=np.uint8) * 3, FRAMES.shape)
    content = bytearray(encode(tmp_path / "a.mov", ramps, code).read_bytes())
    matrix = content.index(b"tkhd") + 44
    content[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 48 << 16, 0, 1 << 30)
    (tmp_path / "a.mov").write_bytes(content)
    with Video(tmp_path / "a.mov") as video:
        found = np.stack(list(video))
    assert found.shape == FRAMES.shape and np.abs(found.astype(int) - ramps).max() <= 8


@pytest.mark.parametrize("name", ["a.avi", "c.mkv"])
def test_what_is_cut_off_is_said(tmp_path, name):
    path = encode(tmp_path / name, np.random.default_rng(0).integers(0, 256, (6, 48, 64)).astype(np.uint8))
    path.write_bytes(path.read_bytes()[:-5000])
    with Video(path) as video:
        list(video)
        said = video.shortfall()
    assert said.startswith("is cut short") and 0 < video.decoded < 6 and str(video.decoded) in said


def test_what_is_cut_off_behind_the_last_frame_is_said(tmp_path):
    path = encode(tmp_path / "a.avi")
    content = path.read_bytes()
    path.write_bytes(content[:-10])
    with Video(path) as video:
        list(video)
        size = len(content)
        assert video.shortfall() == f"is cut short: {size - 10} bytes of {size}; 6 frames could be decoded"


def test_a_matroska_file_that_states_no_length_is_judged_by_time(tmp_path):
    path = encode(tmp_path / "a.mkv", np.random.default_rng(0).integers(0, 256, (6, 48, 64)).astype(np.uint8))
    content = path.read_bytes()
    start = content.index(b"\x18\x53\x80\x67") + 4
    streamed = content[:start] + b"\x01" + b"\xff" * 7 + content[start + 8 :]
    for data, whole in ((streamed, True), (streamed[:-9000], False)):
        path.write_bytes(data)
        with Video(path) as video:
            list(video)
            assert (video.shortfall() == "") is whole


def test_a_video_is_let_go_of(tmp_path):
    with Video(encode(tmp_path / "a.avi")) as video:
        assert video._capture.isOpened() and video._packets.isOpened()
    assert not video._capture.isOpened() and not video._packets.isOpened()


def test_what_is_missing_by_count_alone(tmp_path):
    with Video(encode(tmp_path / "a.avi")) as video:
        list(video)
        for promised, said in ((0, ""), (5, ""), (6, ""), (7, "6 frames could be decoded, the file promises 7")):
            video.promised = promised
            assert video.shortfall().endswith(said) and bool(video.shortfall()) == bool(said)


@pytest.mark.parametrize(("seconds", "reached"), [(0.44, False), (0.46, True)])
def test_where_no_count_is_stored_time_tells(tmp_path, seconds, reached):
    with Video(encode(tmp_path / "a.mkv")) as video:
        next(iter(video))
        video._seconds, video._rate, video.promised = seconds, 10.0, 6  # 0.6 s, but for one frame and a half
        assert (video.shortfall() == "") is reached
        video._rate = 0.0
        assert video.shortfall() == "is cut short or damaged: 1 frames could be decoded, the file promises 6"


def test_no_videos_are_refused(tmp_path):
    (tmp_path / "a.avi").write_bytes(b"nothing" * 50)
    with pytest.raises(ValueError, match="is no video that OpenCV can read"):
        Video(tmp_path / "a.avi")
    with pytest.raises(FileNotFoundError):
        Video(tmp_path / "gone.avi")


def test_a_frame_must_fit_into_memory(tmp_path):
    out = cv2.VideoWriter(str(tmp_path / "a.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    out.write(np.zeros((48, 64, 3), np.uint8))
    out.release()
    with memory.limited_to(1e-6), pytest.raises(ValueError, match=r"a frame takes .* \(--max-gb\)"):
        Video(tmp_path / "a.avi")


def test_frames_of_another_size_are_refused(tmp_path):
    path = encode(tmp_path / "a.avi", np.random.default_rng(0).integers(0, 256, (6, 48, 64)).astype(np.uint8))
    data = path.read_bytes()
    third = data.index(b"\xff\xd8", data.index(b"\xff\xd8", data.index(b"\xff\xd8") + 1) + 1)
    small = cv2.imencode(".jpg", np.zeros((24, 32), np.uint8))[1].tobytes()  # OpenCV scales it, and says nothing
    path.write_bytes(data[:third] + small + data[third + len(small) :])
    with Video(path) as video:
        frames = iter(video)
        next(frames)
        next(frames)
        with pytest.raises(ValueError, match="frame 2 is 32 x 24 pixels, the first one 64 x 48"):
            next(frames)


def test_colours_are_luminance(tmp_path):
    with Video(encode(tmp_path / "a.avi")) as video:
        frame = np.zeros((48, 64, 3), np.uint8)
        frame[..., 2] = 200  # red: OpenCV's order is blue, green, red
        answers = iter([(True, frame), (False, None)])
        video._capture, video._packets = (
            SimpleNamespace(read=lambda: next(answers), get=lambda _: 0.0, release=int),
            None,
        )
        (gray,) = video
        assert set(np.unique(gray)) == {round(200 * 0.2125)}


JPEG = cv2.imencode(".jpg", np.zeros((48, 64), np.uint8))[1].tobytes()


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (JPEG, (48, 64)),
        (JPEG[:2] + b"\xff\xfe\x00\x05abc" + JPEG[2:], (48, 64)),
        (b"\xff\xd8\xff\xc4\x00\x04ab\xff\xc2\x00\x08\x08" + struct.pack(">HH", 300, 5), (300, 5)),
        (JPEG[:2] + b"\xff\xe0\x01\x01" + bytes(255) + JPEG[2:], (48, 64)),
        (b"\xff\xd8\xff\xc8\x00\x08\x08\x00\x01\x00\x01", None),
        (b"\xff\xd8\xff\xcf\x00\x08\x08\x00\x01\x00\x02", (1, 2)),
        (b"\xff\xd8\xff\xd0\x00\x08\x08\x00\x01\x00\x02", None),
        (JPEG[1:], None),
        (JPEG[:8], None),
        (b"", None),
    ],
)
def test_a_jpeg_s_size(data, size):
    assert jpeg_size(data) == size


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
