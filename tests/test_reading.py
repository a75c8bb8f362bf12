"""utils/reading.py: bytes by position, files that are none, and decoders' complaints."""

import errno
import logging
import os
import socket
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile

from utils import reading
from utils.reading import is_hole, open_regular, open_tiff_file, read_into, reading_as

NUMBERS = np.arange(100_000, dtype="<u4")


@pytest.fixture
def path(tmp_path):
    """A file of numbers."""
    NUMBERS.tofile(tmp_path / "a.raw")
    return tmp_path / "a.raw"


@pytest.mark.parametrize("positioned", [True, False])
def test_threads_read_side_by_side(path, monkeypatch, positioned):
    if not positioned:
        monkeypatch.delattr(os, "preadv")

    def piece(start):
        target = np.empty((10, 10), "<u4")
        read_into(file, 4 * start, target)
        return np.array_equal(target.ravel(), NUMBERS[start : start + 100])

    with open_regular(path) as file, ThreadPoolExecutor(8) as pool:
        assert all(pool.map(piece, range(0, 99_000, 137)))


def test_a_short_answer_is_asked_again(path, monkeypatch):
    whole = os.preadv
    monkeypatch.setattr(reading.os, "preadv", lambda fd, views, offset: whole(fd, [views[0][:1000]], offset))
    target = np.empty(50_000, "<u4")
    with open_regular(path) as file:
        read_into(file, 400, target)
    np.testing.assert_array_equal(target, NUMBERS[100:50_100])


def test_the_end_is_a_sentence(path):
    with open_regular(path) as file, pytest.raises(ValueError, match="became shorter while it was read: 400000 bytes"):
        read_into(file, 399_000, np.empty(1001, np.uint8))


def test_a_tiff(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", NUMBERS[:12].reshape(3, 4))
    logging.getLogger("tifffile").setLevel(logging.NOTSET)
    with open_tiff_file(tmp_path / "a.tif") as tif:
        assert tif.pages.first.shape == (3, 4)
    assert not logging.getLogger("tifffile").isEnabledFor(logging.ERROR)


OME = """<OME><Image><Pixels DimensionOrder="XYZCT" Type="uint32" SizeX="4" SizeY="3" SizeZ="1" SizeC="1" SizeT="{}">
<TiffData PlaneCount="1"><UUID {}>urn:uuid:x</UUID></TiffData></Pixels></Image><StructuredAnnotations>
<XMLAnnotation><Value><Modulo><AlongT Start="0" End="{}"/></Modulo></Value></XMLAnnotation>
</StructuredAnnotations></OME>"""


@pytest.mark.parametrize(
    "named", ["", 'FileName=""', 'FileName="a.tif"', 'FileName="gone.tif"', f'FileName="{300 * "x"}"']
)
def test_a_tiff_of_ome_metadata(tmp_path, named):
    """A plane may lie in this file without a name, or in one that is not there."""
    tifffile.imwrite(tmp_path / "a.tif", NUMBERS[:12].reshape(3, 4), description=OME.format(1, named, 9), metadata=None)
    with open_tiff_file(tmp_path / "a.tif") as tif:
        assert tif.is_ome and tif.pages.first.shape == (3, 4)


@pytest.mark.parametrize(
    ("count", "end", "said"),
    [("9" * 40, 9, f"count planes up to {'9' * 30}$"), (1, 1e7, r"count steps of 1 from 0 to 1e\+07$")],
)
def test_a_tiff_that_is_refused_is_closed(tmp_path, count, end, said):
    metadata = OME.format(count, "", end)
    tifffile.imwrite(tmp_path / "a.tif", NUMBERS[:12].reshape(3, 4), description=metadata, metadata=None)
    with pytest.raises(ValueError, match=said) as caught:
        open_tiff_file(tmp_path / "a.tif")
    frames = [frame for frame, _ in traceback.walk_tb(caught.tb) if "tif" in frame.f_locals]
    assert [frame.f_locals["tif"].filehandle.closed for frame in frames] == [True]


def test_what_is_no_file_is_not_waited_for(tmp_path, path):
    os.mkfifo(tmp_path / "pipe.tif")
    (tmp_path / "link.tif").symlink_to(tmp_path / "pipe.tif")
    (tmp_path / "zero.tif").symlink_to("/dev/zero")
    (tmp_path / "file.tif").symlink_to(path)
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(tmp_path)  # the name of a socket must be short
        try:
            server.bind("s.tif")
        finally:
            os.chdir(here)
        for name, kind in {"pipe": "pipe", "link": "pipe", "zero": "device", "s": "socket"}.items():
            with pytest.raises(ValueError, match=f"is a {kind}, expected a file"):
                open_regular(tmp_path / f"{name}.tif")
    for opened in (open_regular, open_tiff_file):
        with pytest.raises(ValueError, match="is a folder"):
            opened(tmp_path)
    with open_regular(tmp_path / "file.tif") as file:
        assert file.read(4) == NUMBERS[:1].tobytes()


DATA_AT, DATA_END, END = 1 << 19, (1 << 19) + (1 << 16), 1 << 20


@pytest.mark.skipif(not hasattr(os, "SEEK_DATA"), reason="the system does not tell")
def test_holes_are_what_was_never_written(tmp_path, monkeypatch):
    with (tmp_path / "a.raw").open("w+b") as file:
        file.truncate(END)
        file.seek(DATA_AT)
        file.write(bytes(range(256)) * 256)
        file.flush()
        if os.lseek(file.fileno(), 0, os.SEEK_DATA) != DATA_AT:
            pytest.skip("this disk has no holes")
        holes = [(0, DATA_AT), (DATA_END, END - DATA_END), (4096, DATA_AT - 4096)]
        others = [(0, DATA_AT + 1), (DATA_AT, 1), (DATA_END - 1, 9), (DATA_END, END - DATA_END + 1)]
        assert [is_hole(file, *place) for place in holes + others] == [True] * 3 + [False] * 4

        def refuse(*_):
            raise OSError(errno.EINVAL, "no such question")

        monkeypatch.setattr(reading.os, "lseek", refuse)
        assert not is_hole(file, *holes[0])
        monkeypatch.undo()
        monkeypatch.delattr(os, "SEEK_DATA")
        assert not is_hole(file, *holes[0])


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (RuntimeError("first\n sitk::ERROR: last \n"), "cannot be read as X: last"),
        (KeyError("sizes"), "cannot be read as X: its header has no 'sizes'"),
        (EOFError(), "cannot be read as X: EOFError"),
    ],
)
def test_decoders_complaints(error, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}$") as caught, reading_as("X"):
        raise error
    assert caught.value.__cause__ is error


def test_what_is_no_damage_stays_what_it_is():
    with pytest.raises(KeyboardInterrupt), reading_as("X"):
        raise KeyboardInterrupt
    with pytest.raises(ValueError, match=r"^as it was$"), reading_as("X"):
        raise ValueError("as it was")
