"""vid2stack: real encodes, names, cut-off and broken videos, kills, memory."""

import struct
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import SimpleITK as sitk

from conftest import on_linux, peak_memory, visible
from preprocess import vid2stack

SCRIPT = Path(vid2stack.__file__)
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "video"


def frames_of(count=12, shape=(48, 64)):
    noise = np.random.default_rng(0).normal(128, 300, (count, *shape))
    return np.stack([np.clip(cv2.GaussianBlur(f, (0, 0), 4), 0, 255) for f in noise]).astype(np.uint8)


def encode(path, frames, code="MJPG"):
    scratch = path.with_name(path.name.lower())
    out = cv2.VideoWriter(str(scratch), cv2.VideoWriter_fourcc(*code), 10, frames.shape[2:0:-1])
    assert out.isOpened()
    for frame in frames:
        out.write(frame if frame.ndim == 3 else cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR))
    out.release()
    scratch.rename(path)
    return path


def decode(path):
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (read := capture.read())[0]:
        frames.append(read[1])
    return np.stack(frames)


def gray(frames):
    """Luminance of B, G, R by the weights of Rec. 709; OpenCV decodes even gray MJPG with channels that differ by 2."""
    return np.rint(frames[..., ::-1] @ [0.2125, 0.7154, 0.0721]).astype(np.uint8)


def stack_of(path):
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def chunk(kind, data):
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def hand_made_avi(path, frames):
    """An MJPG AVI whose frames may be of any size, which no writer offers."""
    h, w = frames[0].shape
    jpegs = [cv2.imencode(".jpg", f)[1].tobytes() for f in frames]
    n = len(jpegs)
    main_header = chunk(b"avih", struct.pack("<14I", 100000, 0, 0, 16, n, 0, 1, 0, w, h, 0, 0, 0, 0))
    stream = struct.pack("<IHHIIIIIIII4H", 0, 0, 0, 0, 1, 10, 0, n, 0, 0, 0, 0, 0, w, h)
    bitmap = struct.pack("<IiiHH4sIiiII", 40, w, h, 1, 24, b"MJPG", w * h * 3, 0, 0, 0, 0)
    strl = chunk(b"LIST", b"strl" + chunk(b"strh", b"vidsMJPG" + stream) + chunk(b"strf", bitmap))
    movie = chunk(b"LIST", b"movi" + b"".join(chunk(b"00dc", j) for j in jpegs))
    path.write_bytes(chunk(b"RIFF", b"AVI " + chunk(b"LIST", b"hdrl" + main_header + strl) + movie))


def test_mjpg_equals_an_independent_decode(tmp_path, capsys):
    video = encode(tmp_path / "cells.avi", frames_of())
    assert vid2stack.main([str(tmp_path), "--verbose"]) == 0
    stack = stack_of(tmp_path / "cells_video.nrrd")
    assert stack.dtype == np.uint8 and stack.shape == (12, 48, 64)
    np.testing.assert_array_equal(stack, gray(decode(video)))
    said = capsys.readouterr()
    assert "1 done" in said.out and "12 frames -> cells_video.nrrd" in said.out + said.err


@pytest.mark.parametrize("end", ["mp4", "mov", "mkv"])
def test_mp4v_is_the_frames_within_codec_error(tmp_path, end):
    frames = frames_of()
    encode(tmp_path / f"a.{end}", frames, "mp4v")
    assert vid2stack.main([str(tmp_path), "-o", str(tmp_path / "out")]) == 0
    stack = stack_of(tmp_path / "out" / "a_video.nrrd")
    assert stack.shape == frames.shape
    assert np.abs(stack.astype(int) - frames).mean() < 4


def test_colours_become_luminance(tmp_path):
    frames = np.stack([frames_of()] * 3, axis=-1)
    frames[..., 0] //= 2
    video = encode(tmp_path / "a.avi", frames)
    assert vid2stack.main([str(tmp_path)]) == 0
    decoded = decode(video)
    assert np.ptp(decoded.astype(int), axis=-1).max() > 50
    np.testing.assert_array_equal(stack_of(tmp_path / "a_video.nrrd"), gray(decoded))


@pytest.mark.parametrize(
    ("video", "stack"),
    [
        ("a.MP4", "a_video.nrrd"),
        ("a.mp4.mp4", "a.mp4_video.nrrd"),
        ("my_video.Mp4", "my_video.nrrd"),
        ("video1.mp4", "video1.nrrd"),
        ("v1.2_10nm.mp4", "v1.2_10nm_video.nrrd"),
        ("no_suffix_inside.avi.mp4", "no_suffix_inside.avi_video.nrrd"),
    ],
)
def test_names(tmp_path, video, stack):
    encode(tmp_path / video, frames_of(3), "mp4v")
    assert vid2stack.main([str(tmp_path)]) == 0
    assert visible(tmp_path) == sorted([video, stack])


def test_two_videos_that_would_share_a_stack(tmp_path, capsys):
    encode(tmp_path / "a.avi", frames_of(3))
    encode(tmp_path / "a.mp4", frames_of(3), "mp4v")
    assert vid2stack.main([str(tmp_path)]) == 1
    assert not list(tmp_path.glob("*.nrrd"))
    assert "a.mp4" in capsys.readouterr().err


def test_a_second_run_skips(tmp_path, capsys):
    encode(tmp_path / "a.avi", frames_of(3))
    vid2stack.main([str(tmp_path)])
    before = (tmp_path / "a_video.nrrd").stat().st_mtime_ns
    assert vid2stack.main([str(tmp_path)]) == 0
    assert (tmp_path / "a_video.nrrd").stat().st_mtime_ns == before
    assert "1 done before" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["a.avi", "a.mkv"])
@pytest.mark.parametrize("share", [0.5, 0.93])
def test_a_video_cut_short(tmp_path, capsys, name, share):
    video = encode(tmp_path / name, frames_of(40), "MJPG" if name == "a.avi" else "mp4v")
    video.write_bytes(video.read_bytes()[: int(video.stat().st_size * share)])
    encode(tmp_path / "whole.avi", frames_of(3))
    assert vid2stack.main([str(tmp_path)]) == 1
    assert "cut short" in capsys.readouterr().err
    assert [p.name for p in tmp_path.glob("*.nrrd")] == ["whole_video.nrrd"]
    assert vid2stack.main([str(tmp_path), "--keep-partial"]) == 0
    assert "warning: is cut short" in capsys.readouterr().err
    stack = stack_of(tmp_path / "a_video.nrrd")
    assert 0 < len(stack) < 40 and len(stack) == len(decode(video))


@pytest.mark.parametrize("content", [b"", b"not a video", b"\0\0\0\x18ftypmp42" + b"\0" * 500])
def test_no_video(tmp_path, capsys, content):
    (tmp_path / "a.mp4").write_bytes(content)
    assert vid2stack.main([str(tmp_path)]) == 1
    assert f"{tmp_path / 'a.mp4'}: is no video" in capsys.readouterr().err
    assert visible(tmp_path) == ["a.mp4"]


def boxes(data):
    place = 0
    while place < len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        yield data[place + 4 : place + 8], data[place : place + length]
        place += length


def index_first(path):
    """Move an MP4's index before its frames, as files for streaming have it."""
    found = dict(boxes(path.read_bytes()))
    moov = bytearray(found[b"moov"])
    place = moov.find(b"stco") + 8
    for entry in range(int.from_bytes(moov[place : place + 4], "big")):
        at = place + 4 + 4 * entry
        moov[at : at + 4] = (int.from_bytes(moov[at : at + 4], "big") + len(moov)).to_bytes(4, "big")
    path.write_bytes(found[b"ftyp"] + moov + found[b"free"] + found[b"mdat"])


@pytest.mark.parametrize("lost", [1, 40, 2000])
@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.mkv"])
def test_a_cut_inside_of_the_last_frames(tmp_path, capsys, name, lost):
    video = encode(tmp_path / name, frames_of(40), "MJPG" if name == "a.avi" else "mp4v")
    if name == "a.mp4":
        index_first(video)
        assert vid2stack.main([str(tmp_path), "-o", str(tmp_path / "whole")]) == 0
    video.write_bytes(video.read_bytes()[:-lost])
    assert vid2stack.main([str(tmp_path)]) == 1
    assert "cut short" in capsys.readouterr().err
    assert not (tmp_path / "a_video.nrrd").exists()


def test_an_mp4_without_its_index(tmp_path, capsys):
    video = encode(tmp_path / "a.mp4", frames_of(), "mp4v")
    video.write_bytes(video.read_bytes()[:-600])
    assert vid2stack.main([str(tmp_path)]) == 1
    assert "is no video" in capsys.readouterr().err


def test_frames_that_change_size(tmp_path, capsys):
    hand_made_avi(tmp_path / "same.avi", list(frames_of(6)))
    hand_made_avi(tmp_path / "grows.avi", [*frames_of(3), *frames_of(3, (96, 128))])
    assert vid2stack.main([str(tmp_path)]) == 1
    assert "frame 3 is 128 x 96 pixels, the first one 64 x 48" in capsys.readouterr().err
    assert [p.name for p in tmp_path.glob("*.nrrd")] == ["same_video.nrrd"]


def test_nothing_to_do_and_bad_usage(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("x")
    assert vid2stack.main([str(tmp_path)]) == 2
    assert "no videos (looked for .avi, .mkv, .mov, .mp4)" in capsys.readouterr().err
    assert vid2stack.main([str(tmp_path / "nowhere")]) == 2
    assert "nowhere: no such folder" in capsys.readouterr().err


def test_two_processes(tmp_path):
    for name in "abc":
        encode(tmp_path / f"{name}.avi", frames_of(3))
    assert vid2stack.main([str(tmp_path), "-p", "2"]) == 0
    assert len(list(tmp_path.glob("*_video.nrrd"))) == 3


KILLED = """
import os, signal, sys
sys.path.insert(0, {root!r})
from preprocess import vid2stack
from utils.formats.writers import NrrdWriter
write = NrrdWriter.write
def write_and_die(self, slab):
    write(self, slab)
    if self.slices == 5:
        self._file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
NrrdWriter.write = write_and_die
vid2stack.main([{folder!r}])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_killed_run_leaves_nothing_half_done(tmp_path):
    video = encode(tmp_path / "a.avi", frames_of())
    code = KILLED.format(root=str(SCRIPT.parents[1]), folder=str(tmp_path))
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    stack = tmp_path / "a_video.nrrd"
    assert not stack.exists()
    assert vid2stack.main([str(tmp_path)]) == 0
    np.testing.assert_array_equal(stack_of(stack), gray(decode(video)))
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == [".recipes"]


@on_linux
def test_memory_does_not_grow_with_the_length(tmp_path):
    peaks = []
    for count in (10, 200):
        folder = tmp_path / str(count)
        folder.mkdir()
        encode(folder / "a.avi", np.repeat(frames_of(1, (48, 64)), count, axis=0).repeat(10, 1).repeat(10, 2))
        peaks.append(peak_memory("preprocess.vid2stack", folder))
    assert peaks[1] - peaks[0] < 16 << 20  # the longer stack has 56 MiB more


@pytest.mark.skipif(not SHARED.exists(), reason="the real files are not here")
def test_a_real_hevc_video(tmp_path):
    assert vid2stack.main([str(SHARED), "-o", str(tmp_path)]) == 0
    assert stack_of(tmp_path / "not_em_input1_video.nrrd").shape == (267, 346, 688)


def test_a_table_gives_the_voxel_size_and_what_it_speaks_of_besides_is_said(tmp_path, capsys):
    encode(tmp_path / "a.avi", frames_of(3))
    (tmp_path / "datasets.csv").write_text("name,voxel_z,voxel_y,voxel_x\na,50,4,5\ngone,1,1,1\n")
    assert vid2stack.main([str(tmp_path)]) == 0
    assert "datasets.csv: no volume here is called gone" in capsys.readouterr().err
    assert sitk.ReadImage(str(tmp_path / "a_video.nrrd")).GetSpacing() == (5, 4, 50)
