"""Flipbooks: a stack as a small animation."""

from pathlib import Path

import numpy as np

FRAMES_PER_SECOND = 8
FLIPBOOKS = ("gif", "mp4")


def write_flipbook(path: Path, stack: np.ndarray) -> None:
    """Write a stack as GIF or MP4 (compressed), by the suffix.

    A GIF repeats and shows the exact pixels; Pillow stores equal neighbouring frames once, shown longer.

    Parameters
    ----------
    path : Path
    stack : ndarray of uint8, shape (n, h, w)

    Raises
    ------
    ValueError
        If the stack is not uint8.
    OSError
        If this OpenCV cannot write MP4.
    """
    if stack.dtype != np.uint8:
        raise ValueError(f"a flipbook shows uint8, not {stack.dtype}")
    (_write_mp4 if path.suffix == ".mp4" else _write_gif)(path, stack)


def _write_gif(path: Path, stack: np.ndarray) -> None:
    from PIL import Image

    first, *others = (Image.fromarray(frame) for frame in stack)
    first.save(path, format="GIF", save_all=True, append_images=others, duration=1000 // FRAMES_PER_SECOND, loop=0)


def _write_mp4(path: Path, stack: np.ndarray) -> None:
    import cv2

    height, width = stack.shape[1:]
    even = np.pad(stack, ((0, 0), (0, height % 2), (0, width % 2)), "edge")  # MPEG-4 cuts off an odd row or column
    code = cv2.VideoWriter.fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(path), code, FRAMES_PER_SECOND, even.shape[:0:-1], False)
    try:
        if not writer.isOpened():
            raise OSError("this OpenCV cannot write MP4; choose --flipbook gif")
        for frame in even:
            writer.write(frame)
    finally:
        writer.release()
