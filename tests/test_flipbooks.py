"""utils/reconstruction/flipbooks.py: GIF and MP4 show the stack."""

import cv2
import numpy as np
import pytest
from PIL import Image, ImageSequence

from conftest import smooth_volume
from utils.reconstruction.flipbooks import write_flipbook


@pytest.mark.parametrize("shape", [(5, 32, 48), (4, 33, 47), (1, 16, 16)])
def test_mp4_shows_the_stack(tmp_path, shape):
    stack = smooth_volume(shape)
    write_flipbook(tmp_path / "a.mp4", stack)
    movie, frames = cv2.VideoCapture(str(tmp_path / "a.mp4")), []
    while (frame := movie.read())[0]:
        frames.append(frame[1][: shape[1], : shape[2], 0])
    assert len(frames) == shape[0]
    assert np.abs(np.stack(frames).astype(int) - stack).mean() < 6
    write_flipbook(tmp_path / "b.mp4", stack)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_a_gif_repeats_the_exact_pixels_eight_times_a_second(tmp_path):
    stack = smooth_volume((5, 33, 47))
    write_flipbook(tmp_path / "a.gif", stack)
    with Image.open(tmp_path / "a.gif") as gif:
        assert (gif.n_frames, gif.info["duration"], gif.info["loop"]) == (5, 120, 0)
        for i, frame in enumerate(ImageSequence.Iterator(gif)):
            np.testing.assert_array_equal(np.asarray(frame.convert("L")), stack[i])


def test_a_movie_has_eight_frames_a_second_and_even_sides(tmp_path):
    write_flipbook(tmp_path / "a.mp4", smooth_volume((3, 33, 47)))
    movie = cv2.VideoCapture(str(tmp_path / "a.mp4"))
    found = [movie.get(key) for key in (cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH)]
    assert found == [8, 34, 48]


def test_a_flipbook_of_other_types_is_refused(tmp_path):
    with pytest.raises(ValueError, match="uint8, not int16"):
        write_flipbook(tmp_path / "a.gif", np.zeros((2, 3, 3), np.int16))
