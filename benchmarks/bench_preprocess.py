"""CPU time and peak memory of vid2stack, mrc2byte and binvol on a short and a long input of each kind.

Memory is said to be independent of length: the two lines of each script show it.

Example:
    python benchmarks/bench_preprocess.py --frames 200 4200 --depths 512 2048
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
SIDE = 512


def make_video(path: Path, frames: int) -> None:
    """MJPG of 1024 x 1024, 16 different frames over and over."""
    import cv2

    noise = np.random.default_rng(0).normal(128, 400, (16, 1024, 1024)).astype(np.float32)
    pictures = [np.clip(cv2.GaussianBlur(n, (0, 0), 4), 0, 255).astype(np.uint8) for n in noise]
    out = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (1024, 1024))
    for i in range(frames):
        out.write(cv2.cvtColor(pictures[i % 16], cv2.COLOR_GRAY2BGR))
    out.release()


def make_mrc(path: Path, depth: int) -> None:
    """int16, `depth` x 512 x 512, 8 nm."""
    import mrcfile

    slab = np.random.default_rng(0).normal(0, 3000, (16, SIDE, SIDE)).astype(np.int16)
    with mrcfile.new_mmap(path, (depth, SIDE, SIDE), mrc_mode=1) as mrc:
        mrc.voxel_size = 80
        for z in range(0, depth, 16):
            mrc.data[z : z + 16] = slab


MAKERS = {"video": make_video, "mrc": make_mrc}
SCRIPTS = {"vid2stack": ("video", "a.avi"), "mrc2byte": ("mrc", "a.mrc"), "binvol": ("mrc", "a.mrc")}


def measure(script: str, folder: Path) -> tuple[float, float]:
    """User + system seconds and peak memory in MB of one run, as the process itself counts them (Linux)."""
    code = (
        f"import sys, resource; sys.path.insert(0, {str(ROOT)!r}); from preprocess import {script} as s; "
        f"assert s.main([{str(folder)!r}, '-o', {str(folder / 'out')!r}, '--quiet']) == 0; "
        "u = resource.getrusage(resource.RUSAGE_SELF); "
        "print(u.ru_utime + u.ru_stime, open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    seconds, kilobytes = done.stdout.split()
    return float(seconds), int(kilobytes) / 1024


def main() -> None:
    """Measure every script on every size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, nargs="+", default=[200, 2000], help="lengths of the videos")
    parser.add_argument("--depths", type=int, nargs="+", default=[512, 2048], help="slices of the MRC files")
    parser.add_argument("--make", nargs=3, metavar=("KIND", "FILE", "LENGTH"), help="only write one input")
    args = parser.parse_args()
    if args.make:
        MAKERS[args.make[0]](Path(args.make[1]), int(args.make[2]))
        return
    for script, (kind, name) in SCRIPTS.items():
        for length in args.frames if kind == "video" else args.depths:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / name
                subprocess.run([sys.executable, __file__, "--make", kind, str(path), str(length)], check=True)
                seconds, memory = measure(script, Path(folder))
                megabytes = path.stat().st_size >> 20
            print(f"{script}: {length} slices ({megabytes} MB read): {seconds:.1f} s CPU, {memory:.0f} MB", flush=True)


if __name__ == "__main__":
    main()
