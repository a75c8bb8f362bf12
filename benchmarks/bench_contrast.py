"""How many patches of a volume are kept when it is spoilt by fill values and by hot or dead pixels.

Writes a 12-bit volume made of real slices (a folder of 8-bit images), the same volume spoilt in ways that microscopes,
stitching and registration have, cuts each by patchify3d and counts what classify_patches keeps by the bundled weights.

Example:
    python benchmarks/bench_contrast.py ../shared/data/3d/vnc_stack1_slices
"""

import argparse
import contextlib
import io
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

import classify_patches
import patchify3d
from utils.dictionaries import load_patches
from utils.formats.writers import write_nrrd
from utils.volumes import open_volume


def main() -> int:
    """Print kept, cut and the window of every case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slices", type=Path, help="folder of 8-bit images of one size")
    parser.add_argument("--count", type=int, default=6, help="slices of it (default 6)")
    args = parser.parse_args()
    with open_volume(args.slices) as volume:
        raw = volume[: args.count]
    with tempfile.TemporaryDirectory() as folder:
        counted = count_kept(dict(cases(raw)), Path(folder))
    print(f"{'case':24s}{'kept':>6s}{'cut':>6s}  window, left out")
    for name, (kept, cut, contrast) in counted.items():
        left_out = ", ".join(f"{e['low']:g}..{e['high']:g}: {e['share']:.2%}" for e in contrast.get("left_out", []))
        print(f"{name:24s}{kept:6d}{cut:6d}  {contrast['low']:g}..{contrast['high']:g}  {left_out}")
    return 0


def cases(raw: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Each way to spoil a volume: its name and the voxels."""
    rng = np.random.default_rng(0)
    plain = raw.astype(np.uint16) * 16 + rng.integers(0, 16, raw.shape, np.uint16)
    some = {share: rng.random(raw.shape) < share for share in (0.002, 0.05)}
    rows = raw.shape[1]
    edge = np.ones(raw.shape, bool)
    edge[:, 3:-3, 3:-3] = False
    yield "plain", plain
    yield "rim 65535", np.where(edge, np.uint16(65535), plain)
    yield "5 % -9999, float", np.where(some[0.05], np.float32(-9999), plain.astype(np.float32))
    yield "5 % 0, offset 30000", np.where(some[0.05], np.uint16(0), plain + np.uint16(30000))
    yield "0.2 % at 65535", np.where(some[0.002], np.uint16(65535), plain)
    yield "0.2 % hot", np.where(some[0.002], rng.integers(8192, 65536, raw.shape, np.uint16), plain)
    yield (
        "0.2 % dead, offset",
        np.where(some[0.002], rng.integers(0, 9999, raw.shape), plain + np.uint16(30000)).astype(np.uint16),
    )
    yield "int16, -32768 below", np.where(edge, np.int16(-32768), (plain.astype(np.int16) - 2000))
    yield "rim 1e38, hot", np.where(edge, np.float32(1e38), np.where(some[0.002], np.float32(1e6), plain)).astype("f4")
    padded = plain.copy()
    padded[:, int(rows * 0.3) :] = 0
    yield "70 % 0", padded
    yield "  the same part, plain", np.ascontiguousarray(plain[:, : int(rows * 0.3)])


def count_kept(volumes: dict[str, np.ndarray], folder: Path) -> dict[str, tuple[int, int, dict[str, Any]]]:
    """Of every volume the patches kept by the classifier, those in the dictionary, and the contrast recorded in it."""
    (folder / "in").mkdir()
    for number, voxels in enumerate(volumes.values()):
        write_nrrd(folder / "in" / f"{number}.nrrd", voxels, (50.0, 4.6, 4.6))
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        patchify3d.main([str(folder / "in"), str(folder / "cut")])
        classify_patches.main([str(folder / "cut"), str(folder / "kept"), "--weights", "lite"])
    counted = {}
    for number, name in enumerate(volumes):
        content = load_patches(folder / "cut" / f"{number}.pkl")
        kept = (folder / "kept" / f"{number}.csv").read_text(encoding="utf-8").count(",True")
        counted[name] = kept, len(content["names"]), content["meta"]["contrast"]
    return counted


if __name__ == "__main__":
    raise SystemExit(main())
