"""Volumes written slab by slab: what fits, how many slices there must be, and what an error leaves."""

import numpy as np
import pytest

from utils.formats.slab_writer import SlabWriter


class Plain(SlabWriter):
    """Two bytes of header, which in the end say how many slices there are."""

    def __init__(self, path, slices):
        super().__init__(path, (slices, 2, 3), np.dtype("<u2"), b"??")
        self.seen = []

    def _look_at(self, slab):
        self.seen.append(len(slab))

    def _complete_header(self):
        self._file.seek(0)
        self._file.write(b"%2d" % self.slices)


@pytest.mark.parametrize("slices", [3, None])
def test_slices_and_slabs_behind_a_header(tmp_path, slices):
    voxels = np.arange(18, dtype=np.uint8).reshape(3, 2, 3)
    with Plain(tmp_path / "a", slices) as writer:
        writer.write(voxels[0])
        writer.write(voxels[1:, ::-1])
    assert writer.seen == [1, 2] and writer.slices == 3
    content = (tmp_path / "a").read_bytes()
    assert content[:2] == b" 3"
    np.testing.assert_array_equal(np.frombuffer(content[2:], "<u2").reshape(3, 2, 3)[1:, ::-1], voxels[1:])
    writer.close()  # once more


@pytest.mark.parametrize(
    ("slices", "written", "said"),
    [(2, 1, "1 slices were written, expected 2"), (1, 2, "2 slices were written, expected 1"),
     (None, 0, "0 slices were written, expected at least 1")],
)  # fmt: skip
def test_as_many_as_promised(tmp_path, slices, written, said):
    with pytest.raises(ValueError, match=said), Plain(tmp_path / "a", slices) as writer:
        writer.write(np.zeros((written, 2, 3), np.uint8))


def test_slices_of_another_size_and_what_stopped_the_writing(tmp_path):
    writer = Plain(tmp_path / "a", 5)
    with pytest.raises(ValueError, match=r"slices of \(3, 2\) voxels do not fit a volume of \(2, 3\)"), writer:
        writer.write(np.zeros((1, 3, 2), np.uint8))
    assert writer.seen == [] and (tmp_path / "a").read_bytes() == b"??"
