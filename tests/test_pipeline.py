"""The whole chain as a user runs it: real processes over generated data."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from conftest import ROOT, only_fuzzed
from curated import SETTINGS, assert_stacks_hold_patches, assert_traced, curate, needs_bash, start
from utils.names import dataset_of, parse_name
from utils.records.duplicates import read_duplicates

pytestmark = needs_bash
SIZE = 32
OWN = {".recipes", ".duplicates"}


def state(folder: Path) -> dict[str, tuple[str, int]]:
    """Every file's content and date."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {
        str(path.relative_to(folder)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in files
    }


def contents(folder: Path) -> dict[str, str]:
    """Every file's content, but for records beside results and indexes: these hold the dates of what was read."""
    return {name: digest for name, (digest, _) in state(folder).items() if not OWN.intersection(Path(name).parts)}


def differences(one: dict, other: dict) -> list[str]:
    """Names of files that two states do not share; short, where pytest would compare every line of both."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def demonstrate(out: Path) -> subprocess.CompletedProcess[str]:
    """Run the demo, small."""
    command = [sys.executable, str(ROOT / "examples" / "demo.py"), str(out), "--size", str(SIZE)]
    environment = {**os.environ, **{name: str(value) for name, value in SETTINGS.items()}}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    """What an uninterrupted demo leaves."""
    folder = tmp_path_factory.mktemp("demo")
    first = demonstrate(folder)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "\nkept 39" in first.stdout and "--weights lite" in first.stdout and "sample_s0/" in first.stdout
    return folder


@pytest.fixture
def sample(demo) -> Path:
    """The demo's collection."""
    return demo / "input"


@pytest.fixture
def curated(demo) -> Path:
    """What became of it."""
    return demo / "results"


@pytest.mark.parametrize("images", [0, 1])
def test_images_that_all_failed_are_no_misuse_of_the_next_stage(tmp_path, images):
    (tmp_path / "in/2d/g").mkdir(parents=True)
    (tmp_path / "out/clean2d/g").mkdir(parents=True)
    for i in range(images):
        (tmp_path / f"out/clean2d/g/{i}.png").touch()
    code, stdout, _ = curate(tmp_path / "in", tmp_path / "out", PYTHON="true")
    assert (code, "== patchify2d.py" in stdout) == (0, bool(images))


def test_where_a_shell_looks_for_folders_does_not_count(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("in/2d/g").mkdir(parents=True)
    code, _, stderr = curate(Path("in"), Path("in/2d/out"), PYTHON="true", CDPATH=".")
    assert (code, "lies among what is read" in stderr) == (2, True)


def test_every_stage_has_its_results(curated):
    groups = {"exported_colour", "sem_deep", "tem_gray"}
    volumes = {"neuropil_fib", "sections_tem", "tomogram", "drift_video", "walk_video", "sample_s0"}
    for kind, names in (("2d", groups), ("3d", volumes)):
        cut = {path.stem for path in (curated / "patches" / kind).glob("*.pkl")}
        assert {dataset_of(name) for name in cut} == names
        assert {path.stem for path in (curated / "filtered" / kind).glob("*.csv")} == cut
        assert {path.stem for path in (curated / "filtered" / kind).glob("*.png")} == names
    slider = (curated / "report" / "datasets" / "tem_gray" / "data.js").read_text()
    assert '"threshold":0.0' in slider, "it begins where the collection was decided"


def test_what_datasets_share_is_kept_once(demo, curated):
    rows = read_duplicates(curated / "duplicates.csv")
    assert (curated / "duplicates.png").is_file()
    for row in rows:
        [table] = curated.glob(f"filtered/*/{Path(row.dictionary).name}.csv")
        assert f"{row.name}," in table.read_text() and not list(curated.glob(f"filtered/*/*/{row.name}.tiff"))
    for table in curated.glob("filtered/*/*.csv"):
        assert table.read_text().startswith("name,score,kept,reason\n")
    assert (curated / "report" / "index.html").is_file()
    assert (curated / "export" / "README.md").is_file() and list((curated / "export").glob("*.tar"))


def test_every_kept_patch_of_a_volume_is_traced_back_to_it(curated):
    assert assert_traced(curated) > 50
    assert assert_stacks_hold_patches(curated) == 6


def test_every_kept_patch_of_an_image_is_traced_back_to_it(curated):
    patches = list((curated / "filtered" / "2d").glob("*/*.tiff"))
    assert patches
    for patch in patches:
        place = parse_name(patch.stem)
        (image,) = (curated / "clean2d" / patch.parent.name).glob(f"{place.source}.*")
        pixels = tifffile.imread(image) if image.suffix == ".tif" else read_png(image)
        region = pixels[place.box.y0 : place.box.y1, place.box.x0 : place.box.x1]
        assert np.array_equal(tifffile.imread(patch), region)


def read_png(path: Path) -> np.ndarray:
    """Pixels of a PNG."""
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image)


def test_a_second_run_does_nothing(demo):
    before = state(demo)
    second = demonstrate(demo)
    assert second.returncode == 0, second.stdout + second.stderr
    assert differences(state(demo), before) == []
    summaries = [line for line in second.stdout.splitlines() if " done before" in line]
    assert len(summaries) >= 9 and all(": 0 done, " in line for line in summaries)


@pytest.mark.fuzz
@only_fuzzed  # each stage by itself is killed in every `make test`
def test_a_killed_run_goes_on_to_the_same_result(sample, curated, tmp_path):
    before = state(sample)
    options = {"EXPORT": "webdataset", "SPLIT": "train=.8,val=.2"}  # the demo's
    process = start(sample, tmp_path / "out", **options)
    assert process.stdout is not None
    for line in process.stdout:  # reading waits; the kill comes while volumes are being cut
        if "patchify3d.py" in line:
            break
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "out" / "flipbooks").exists()
    assert curate(sample, tmp_path / "out", **options)[0] == 0
    assert differences(contents(tmp_path / "out"), contents(curated)) == []
    assert differences(state(sample), before) == []  # what comes in is never modified


def test_failures_and_news(sample, curated, tmp_path):
    """One damaged volume and one image that came later: the rest stays, the new is done, the exit code tells."""
    data, out = tmp_path / "in", tmp_path / "out"
    shutil.copytree(sample / "2d", data / "2d")
    shutil.copytree(curated, out, symlinks=True)
    shutil.copy(data / "2d" / "tem_gray" / "grid_1.png", data / "2d" / "tem_gray" / "later.png")
    (data / "3d").mkdir()
    (data / "3d" / "cut_short.nrrd").write_bytes((sample / "3d" / "neuropil_fib.nrrd").read_bytes()[:5000])
    before = state(out)
    code, stdout, stderr = curate(data, out)
    assert code == 1
    assert "cut_short.nrrd" in stderr and "the same command tries again what may be read by then" in stderr
    changed = [name for name in differences(state(out), before) if not OWN.intersection(Path(name).parts)]
    assert {Path(name).stem for name in changed if name.startswith("patches")} == {"tem_gray"}
    assert "later-LOC-2d" in (out / "filtered" / "2d" / "tem_gray.csv").read_text()
    assert "kept" in stdout


def test_of_a_collection_that_is_gone_nothing_stays_and_the_next_run_is_well(curated, tmp_path):
    shutil.copytree(curated, tmp_path / "results", symlinks=True)
    (tmp_path / "input" / "3d").mkdir(parents=True)
    for _ in range(2):
        code, stdout, stderr = curate(tmp_path / "input", tmp_path / "results", PRUNE=1, EXPORT="webdataset")
        assert code == 0, stdout + stderr
        assert sorted(contents(tmp_path / "results")) == [".curate.lock"]
        assert "kept 0 of 0 patches" in stdout and "index.html" not in stdout.splitlines()[-1]


def test_a_second_run_beside_the_first_leaves_it_alone(sample, tmp_path):
    fcntl = pytest.importorskip("fcntl")
    if not shutil.which("flock"):
        pytest.skip("no flock")
    (tmp_path / "out").mkdir()
    with (tmp_path / "out" / ".curate.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, stdout, stderr = curate(sample, tmp_path / "out")
    assert (code, stdout) == (0, "")
    assert "another run is at work" in stderr


def test_links_stay_while_their_folder_cannot_be_listed(tmp_path):
    (tmp_path / "in" / "3d").mkdir(parents=True)
    (tmp_path / "in" / "3d" / "v.nrrd").touch()
    (tmp_path / "in" / "3d" / "t.mrc").symlink_to("unmounted")  # of which bytes were made before: no other input's
    (tmp_path / "out" / "volumes").mkdir(parents=True)
    (tmp_path / "out" / "volumes" / "t.mrc").touch()
    command = ["bash", ROOT / "examples" / "curate.sh", tmp_path / "in", tmp_path / "out"]
    if os.geteuid() == 0:  # whom no mode keeps out, unless that is given up
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
        if not shutil.which("setpriv"):
            pytest.skip("no setpriv")

    def code() -> int:
        done = subprocess.run(command, env={**os.environ, "PYTHON": "true"}, capture_output=True)
        assert (tmp_path / "out" / "volumes" / "v.nrrd").is_symlink()
        return done.returncode

    (tmp_path / "in" / "2d").mkdir()
    folder = tmp_path / "in" / "3d"
    for mode, wanted in ((0o700, 0), (0o300, 1), (0o000, 1)):
        folder.chmod(mode)
        assert code() == wanted
    folder.chmod(0o700)
    folder.rename(tmp_path / "away")
    folder.symlink_to("unmounted")
    assert code() == 1


def test_bad_usage(sample, tmp_path):
    assert curate(tmp_path / "absent", tmp_path / "out")[0] == 2
    assert curate(tmp_path, tmp_path / "out")[0] == 2  # none of 2d/, video/, 3d/
    assert curate(sample, sample)[0] == 2
    (tmp_path / "unwritable" / ".curate.lock").mkdir(parents=True)
    assert curate(sample, tmp_path / "unwritable")[0] == 2
    assert curate(sample, sample / "3d" / "out")[0] == 2
