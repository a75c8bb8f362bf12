"""preprocess/cleanup2d.py: copies and in place, collisions, damage, kills."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from PIL import Image

import cleanup2d
from conftest import ROOT, results
from utils.images import read_gray
from utils.jobs import SKIPPED, Job


@pytest.fixture
def images(tmp_path, rng):
    """Two groups and a loose image: gray, 12 bits in 16, colour JPEG, a mask, and litter."""
    base = tmp_path / "in"
    (base / "a").mkdir(parents=True)
    (base / "b").mkdir()
    gray = rng.integers(0, 256, (60, 70), dtype=np.uint8)
    Image.fromarray(gray).save(base / "a" / "gray.png")
    tifffile.imwrite(base / "a" / "deep.tif", gray.astype(np.uint16) * 16)
    Image.fromarray(np.stack([gray, gray // 2, gray], -1)).save(base / "b" / "photo.JPG", quality=95)
    Image.fromarray(gray > 99).save(base / "b" / "mask.bmp")
    Image.fromarray(gray).save(base / "loose.jpg", quality=90)
    for litter in (".DS_Store", "Thumbs.db", "a/._gray.png"):
        (base / litter).write_bytes(b"litter")
    return base


def tree(folder):
    return sorted(results(folder))


@pytest.mark.parametrize("processes", ["1", "2"])
def test_copies(images, tmp_path, processes, capsys):
    before = {path: (images / path).read_bytes() for path in tree(images)}
    out = tmp_path / "out"
    assert cleanup2d.main(["--keep-labels", "--verbose", str(images), "-o", str(out), "-p", processes]) == 0
    assert f"{images}/a/deep.tif: converted from uint16\n" in capsys.readouterr().err
    assert tree(out) == ["a/deep.tif", "a/gray.png", "b/mask.tif", "b/photo.tif", "in/loose.tif"]
    for path in tree(out):
        pixels = read_gray(out / path)
        assert pixels.dtype == np.uint8
    for path in ("a/deep.tif", "b/mask.tif"):
        assert (read_gray(out / path).min(), read_gray(out / path).max()) == (0, 255)
    assert (out / "a/gray.png").read_bytes() == before["a/gray.png"]
    assert np.array_equal(read_gray(out / "in/loose.tif"), read_gray(images / "loose.jpg"))
    assert {path: (images / path).read_bytes() for path in tree(images)} == before
    assert cleanup2d.main(["--keep-labels", str(images), "-o", str(out)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "images: 0 done, 5 done before, 0 failed"


def test_in_place_is_idempotent_and_leaves_clean_bytes(images, capsys):
    gray, loose = ((images / name).read_bytes() for name in ("a/gray.png", "loose.jpg"))
    assert cleanup2d.main(["--keep-labels", "--verbose", str(images)]) == 0
    assert f"{images}/a/deep.tif: converted from uint16\n" in capsys.readouterr().err
    assert (images / "a/gray.png").read_bytes() == gray
    assert (images / "loose.jpg").read_bytes() == loose, "a gray JPEG is never re-compressed"
    after = {path: (images / path).read_bytes() for path in tree(images)}
    assert {"b/photo.tif", "b/mask.tif"} <= after.keys()
    assert not {"b/photo.JPG", "b/mask.bmp"} & after.keys()
    assert cleanup2d.main(["--keep-labels", str(images), "-p", "2"]) == 0
    assert {path: (images / path).read_bytes() for path in tree(images)} == after
    assert capsys.readouterr().out.splitlines()[-1] == "images: 0 done, 5 done before, 0 failed"


def test_contrast_is_measured_once_per_image(images, tmp_path):
    for method, top in (("minmax", 255), ("dtype", round(255 * 16 * 255 / 65535))):
        assert cleanup2d.main([str(images / "a"), "-o", str(tmp_path / method), "--contrast", method]) == 0
        pixels = read_gray(tmp_path / method / "a" / "deep.tif")
        assert abs(int(pixels.max()) - top) <= 1


def test_images_that_would_share_a_result_fail_and_the_others_are_done(images, tmp_path, capsys):
    (images / "b" / "photo.tif").write_bytes((images / "a" / "deep.tif").read_bytes())
    before = {path: (images / path).read_bytes() for path in tree(images)}
    assert cleanup2d.main(["--keep-labels", str(images), "-o", str(tmp_path / "out")]) == 1
    out, err = capsys.readouterr()
    assert out == "images: 4 done, 0 done before, 2 failed\n"
    for name, other in (("photo.JPG", "photo.tif"), ("photo.tif", "photo.JPG")):
        assert f"{images / 'b' / name}: would share {tmp_path / 'out' / 'b' / 'photo.tif'} with" in err
        assert str(images / "b" / other) in err
    assert tree(tmp_path / "out") == ["a/deep.tif", "a/gray.png", "b/mask.tif", "in/loose.tif"]
    assert cleanup2d.main(["--keep-labels", str(images)]) == 1
    assert all((images / path).read_bytes() == before[path] for path in ("b/photo.JPG", "b/photo.tif"))
    assert not (images / "b" / "mask.bmp").exists()


def test_gray_twins_of_other_formats_do_not_collide_in_place(tmp_path, rng):
    gray = rng.integers(0, 256, (20, 20), dtype=np.uint8)
    for name in ("x.tif", "x.png", "x.jpg", "x.pgm"):
        Image.fromarray(gray).save(tmp_path / name)
    assert cleanup2d.main([str(tmp_path)]) == 0


def test_damaged_images_are_reported_and_kept(images, tmp_path, capsys):
    (images / "a" / "broken.tif").write_bytes(b"II*\0 no more")
    (images / "a" / "empty.png").touch()
    assert cleanup2d.main(["--keep-labels", str(images), "-o", str(tmp_path / "out")]) == 1
    out, err = capsys.readouterr()
    assert out == "images: 5 done, 0 done before, 2 failed\n"
    assert err.count("a/empty.png: the file is empty") == 1
    assert "Traceback" not in err
    assert cleanup2d.main(["--keep-labels", str(images)]) == 1
    assert (images / "a" / "broken.tif").read_bytes() == b"II*\0 no more"


def test_a_failing_image_never_becomes_its_neighbour(tmp_path, rng):
    Image.fromarray(rng.integers(0, 256, (9, 9), dtype=np.uint8)).save(tmp_path / "a1.png")
    (tmp_path / "a2.png").write_bytes(b"broken")
    assert cleanup2d.main([str(tmp_path), "-o", str(tmp_path / "out")]) == 1
    assert tree(tmp_path / "out") == [f"{tmp_path.name}/a1.png"]


def test_nothing_to_do_says_what_was_looked_for(tmp_path, capsys):
    (tmp_path / "notes.txt").touch()
    assert cleanup2d.main([str(tmp_path)]) == 2
    assert "no image in it" in capsys.readouterr().err
    assert cleanup2d.main([str(tmp_path / "absent")]) == 2
    assert "absent: no such folder" in capsys.readouterr().err


def test_output_inside_the_input_is_no_group(images):
    out = images / "clean"
    for _ in range(2):
        assert cleanup2d.main(["--keep-labels", str(images), "-o", str(out)]) == 0
    assert not (out / "clean").exists()
    assert cleanup2d.main(["--keep-labels", str(images), "-o", str(images)]) == 2


def test_a_successor_left_by_a_kill_is_no_collision(images):
    """Killed after the new file was complete and before the old one went."""
    photo = (images / "b" / "photo.JPG").read_bytes()
    assert cleanup2d.main(["--keep-labels", str(images)]) == 0
    (images / "b" / "photo.JPG").write_bytes(photo)
    assert cleanup2d.main(["--keep-labels", str(images)]) == 0
    assert not (images / "b" / "photo.JPG").exists()


def test_an_image_that_another_run_replaced_meanwhile_is_done(images):
    job = Job(images / "b" / "photo.JPG", images / "b" / "photo.tif")
    assert cleanup2d.main(["--keep-labels", str(images)]) == 0
    assert cleanup2d.clean_in_place(job, "percentile") == SKIPPED
    (images / "b" / "photo.tif").unlink()
    with pytest.raises(FileNotFoundError):
        cleanup2d.clean_in_place(job, "percentile")


def test_a_killed_run_goes_on(tmp_path, rng):
    base, out = tmp_path / "in", tmp_path / "out"
    base.mkdir()
    for i in range(40):
        tifffile.imwrite(base / f"{i}.tif", rng.integers(0, 4096, (300, 300)).astype(np.uint16))
    command = [sys.executable, str(ROOT / "preprocess" / "cleanup2d.py"), str(base), "-o", str(out), "-p", "2"]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while run.poll() is None and not list(out.rglob("*.tif")):
        os.sched_yield()
    run.send_signal(signal.SIGKILL)
    run.wait()
    for path in (p for p in out.rglob("*.tif") if not p.name.startswith(".")):
        assert read_gray(path).shape == (300, 300)
    assert cleanup2d.main([str(base), "-o", str(out)]) == 0
    assert len([p for p in out.rglob("*.tif") if not p.name.startswith(".")]) == 40


def test_real_images(real_data, tmp_path):
    twins = "temca_tile_same_image_4_formats"
    for group in sorted(p for p in (real_data / "2d").iterdir() if p.name != twins):
        assert cleanup2d.main([str(group), "-o", str(tmp_path)]) == 0
    assert cleanup2d.main([str(real_data / "2d" / twins), "-o", str(tmp_path)]) == 1


@pytest.mark.parametrize("options", [[], ["-o"]])
def test_masks_are_passed_over_unless_they_are_wanted(tmp_path, capsys, options):
    (tmp_path / "in/g").mkdir(parents=True)
    mask = np.kron([[0, 9], [9, 0]], np.ones((70, 70))).astype(np.uint16)
    tifffile.imwrite(tmp_path / "in/g/m.tif", mask)
    where = [*options, *[str(tmp_path / "out")] * len(options)]
    assert cleanup2d.main([str(tmp_path / "in"), *where]) == 0
    assert "m.tif: passed over: 2 distinct values" in capsys.readouterr().err
    assert not list(tmp_path.glob("out/g/*.tif")) and np.array_equal(tifffile.imread(tmp_path / "in/g/m.tif"), mask)
    assert cleanup2d.main([str(tmp_path / "in"), *where, "--keep-labels"]) == 0
    assert read_gray(tmp_path / ("out" if options else "in") / "g/m.tif").dtype == np.uint8
