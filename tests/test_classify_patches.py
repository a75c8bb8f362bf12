"""classify_patches.py: what it keeps, where it puts it, and what it does when things go wrong."""

import csv
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import tracemalloc
from functools import partial
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

import classify_patches
from conftest import results
from utils.classification.accounts import Account
from utils.classification.classifier import Classifier
from utils.classification.classifying import classify_dictionary
from utils.classification.decision import Decision, Examined, Familiarity, read_decision, save_decision
from utils.classification.download import RetryPolicy
from utils.classification.lite_net import FEATURES
from utils.classification.shared_names import refuse_shared_files
from utils.classification.weights import LITE
from utils.contrast import Contrast
from utils.dictionaries import save_patches
from utils.files import sha256_of
from utils.jobs import Job, Run, run_jobs
from utils.patch_file import PatchFile
from utils.records.duplicates import Duplicate, save_duplicates
from utils.records.kept_patch import read_kept_record
from utils.records.recipes import Recipe
from utils.records.scores import load_distances, read_scores

ROOT = Path(__file__).resolve().parents[1]


def cells(count: int, side: int = 224, seed: int = 0) -> np.ndarray:
    """Half blank patches, half with smooth structure."""
    rng = np.random.default_rng(seed)
    stack = np.full((count, side, side), 128, np.uint8)
    for i in range(0, count, 2):
        coarse = rng.integers(40, 220, (16, 16)).astype(np.uint8)
        stack[i] = np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))
    return stack


def names(stem: str, count: int) -> list[str]:
    return [f"{stem}-LOC-0_{i:03d}_0-224_0-224" for i in range(count)]


def classify(source: Path, target: Path, *options: str) -> int:
    return classify_patches.main([str(source), str(target), "--weights", "lite", "-p", "1", *options])


def table(path: Path) -> list[tuple[str, float, bool]]:
    return [(row.name, row.score, row.kept) for row in read_scores(path)]


def write_dictionaries(folder: Path) -> None:
    meta = {
        "source": "fly.nrrd",
        "voxel_size": (np.float64(40.0), 8.0, 8.0),
        "contrast": {"method": "percentile", "low": np.float32(12), "high": 3000.0},
    }
    for roi, seed in (("x0-9_y0-9_z0-9", 1), ("x9-18_y0-9_z0-9", 2)):
        stem = f"fly-ROI-{roi}"
        save_patches(folder / f"{stem}.pkl", names(stem, 6), cells(6, seed=seed), meta=meta)
    save_patches(folder / "mouse.v1.2.pkl", names("mouse.v1.2", 4), list(cells(4)))


@pytest.fixture(scope="module")
def classified(tmp_path_factory) -> Path:
    """Three dictionaries in ``deduped`` and, in ``out``, what becomes of them where all patches are kept."""
    folder = tmp_path_factory.mktemp("classified")
    write_dictionaries(folder / "deduped")
    assert classify(folder / "deduped", folder / "out", "--threshold", "0") == 0
    return folder


@pytest.fixture
def deduped(classified: Path, tmp_path: Path) -> Path:
    """The dictionaries."""
    return shutil.copytree(classified / "deduped", tmp_path / "deduped")


@pytest.fixture
def out(classified: Path, deduped: Path, tmp_path: Path) -> Path:
    """What became of them, beside them."""
    return shutil.copytree(classified / "out", tmp_path / "out")


def test_good_path(deduped, tmp_path, capsys):
    out = tmp_path / "out"
    assert classify(deduped, out, "--threshold", "0.3") == 0
    said = capsys.readouterr()
    assert "3 done" in said.out and said.err.count("(lite) on cpu") == 1
    for dictionary in deduped.iterdir():
        rows = table(out / f"{dictionary.stem}.csv")
        dataset = dictionary.stem.split("-ROI-")[0]
        assert [n for n, _, _ in rows] == pickle.loads(dictionary.read_bytes())["names"]
        for name, score, kept in rows:
            assert kept == (score > 0.3) == (out / dataset / f"{name}.tiff").exists()
    assert {p.name for p in out.glob("*.png")} == {"fly.png", "mouse.v1.2.png"}


def test_a_share_of_nothing_is_done(tmp_path, capsys):
    save_patches(tmp_path / "in" / "a.pkl", ["p"], np.zeros((1, 9, 9), np.uint8))
    codes = [classify(tmp_path / "in", tmp_path / "out", "--shard", f"{share}/2") for share in (1, 2)]
    assert codes == [0, 0] and "dictionaries: 0 done" in capsys.readouterr().out


def test_csv_has_exactly_the_columns(out):
    with (out / "mouse.v1.2.csv").open() as file:
        assert next(csv.reader(file)) == ["name", "score", "kept"]


def test_regions_share_a_folder_and_none_is_lost(deduped, out):
    kept = [n for csv_file in out.glob("fly-ROI-*.csv") for n, _, k in table(csv_file) if k]
    assert sorted(p.stem for p in (out / "fly").iterdir()) == sorted(kept)
    assert {n.split("-LOC-")[0] for n in kept} == {p.stem for p in deduped.glob("fly*")}


def test_tiffs_hold_the_patch_and_what_reconstruct3d_needs(deduped, out):
    content = pickle.loads(next(deduped.glob("fly-ROI-x0*")).read_bytes())
    name, patch = content["names"][0], content["patches"][0]
    path = out / "fly" / f"{name}.tiff"
    image = tifffile.imread(path)
    assert image.dtype == np.uint8 and np.array_equal(image, patch)
    description = read_kept_record(path)
    assert description.contrast == Contrast("percentile", 12.0, 3000.0)
    assert description.voxel_size == (40.0, 8.0, 8.0)
    assert description.score == {n: s for n, s, _ in table(out / f"{name.split('-LOC-')[0]}.csv")}[name]
    plain = read_kept_record(next((out / "mouse.v1.2").iterdir()))
    assert plain.voxel_size is None and plain.contrast is None


def test_second_run_skips_without_loading_weights(deduped, out, tmp_path, capsys):
    """Scores of the bundled network are none of weights that are not there, or are still to be fetched."""
    before = results(out)
    for weights, said in ((LITE, "0 done, 3 done before, 0 failed"), (tmp_path / "none.pth", "3 outdated, 0 failed")):
        assert classify(deduped, out, "--threshold", "0", "--weights", str(weights)) == 0
        told = capsys.readouterr()
        assert said in told.out and "weights " not in told.err
    assert told.err.count("outdated: made with --calibration 1.") == 3
    assert results(out) == before


def test_several_processes_write_what_one_does(deduped, tmp_path):
    """As with a GPU each, on a CPU."""
    classify(deduped, tmp_path / "one", "--threshold", "0.3")
    argv = [str(deduped), str(tmp_path / "two"), "--weights", "lite", "--device", "cpu", "-p", "2", "--quiet"]
    args = classify_patches.parse_options().parse_args(argv)
    decision = read_decision(LITE)
    classifier = classify_patches.LazyClassifier(args, decision, 0.3, workers=2)
    first, again = (pickle.loads(pickle.dumps(classifier)) for _ in range(2))
    assert first is again  # its network is loaded once
    on_cluster = classify_patches.parse_options().parse_args([*argv, "--dask", "tcp://127.0.0.1:9"])
    alone = [
        classify_patches.LazyClassifier(each, decision, 0.3, n).is_alone for each, n in ((args, 1), (on_cluster, 1))
    ]
    assert alone == [True, False] and not classifier.is_alone
    jobs = [Job(path, args.save / f"{path.stem}.csv", Recipe("x", {}, {})) for path in sorted(deduped.iterdir())]
    assert run_jobs(partial(classify_dictionary, classifier, threshold=0.3), jobs, Run(processes=2)) == 0
    tables = {name: content for name, content in results(tmp_path / "one").items() if not name.endswith(".png")}
    assert results(tmp_path / "two") == tables


def test_same_bytes_again_and_with_another_batch_size(deduped, tmp_path):
    classify(deduped, tmp_path / "a")
    classify(deduped, tmp_path / "b", "--batch_size", "1")
    assert results(tmp_path / "a") == results(tmp_path / "b")


def test_sheet_covers_regions_that_come_later(deduped, tmp_path):
    out = tmp_path / "out"
    later = deduped / "fly-ROI-x9-18_y0-9_z0-9.pkl"
    later.rename(tmp_path / later.name)
    classify(deduped, out)
    first = (out / "fly.png").read_bytes()
    (tmp_path / later.name).rename(later)
    classify(deduped, out)
    whole = (out / "fly.png").read_bytes()
    assert whole != first
    classify(deduped, tmp_path / "at_once")
    assert whole == (tmp_path / "at_once" / "fly.png").read_bytes()
    (out / "fly.png").unlink()
    classify(deduped, out)
    assert (out / "fly.png").read_bytes() == whole


def test_empty_dictionary_mixed_sizes_and_older_files(tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    save_patches(folder / "empty.pkl", [], [])
    mixed = [cells(1, side)[0] for side in (224, 64, 300)] + [np.zeros((138, 224), np.uint8)]
    save_patches(folder / "mixed.pkl", names("mixed", 4), mixed)
    older = {"names": ["old_0", "old_1"], "patches": np.zeros((2, 224, 224), np.uint8)}
    (folder / "older.pkl").write_bytes(pickle.dumps(older, protocol=2))
    assert classify(folder, out, "--threshold", "0") == 0
    assert (out / "empty.csv").read_text() == "name,score,kept\n"
    assert [n for n, _, _ in table(out / "mixed.csv")] == names("mixed", 4)
    assert [tifffile.imread(out / "mixed" / f"{n}.tiff").shape for n, _, k in table(out / "mixed.csv") if k]
    assert len(table(out / "older.csv")) == 2


class Attack:
    def __reduce__(self):
        return os.mkdir, ("attacked",)


def test_bad_dictionaries_fail_alone(deduped, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (deduped / "attack.pkl").write_bytes(pickle.dumps({"names": ["a"], "patches": [Attack()]}))
    (deduped / "cut.pkl").write_bytes(next(deduped.glob("mouse*")).read_bytes()[:1000])
    assert classify(deduped, tmp_path / "out") == 1
    captured = capsys.readouterr()
    assert "3 done, 0 done before, 2 failed" in captured.out
    assert "attack.pkl: " in captured.err and "mkdir" in captured.err and "cut.pkl: " in captured.err
    assert not Path("attacked").exists()
    assert {p.name for p in (tmp_path / "out").glob("*.csv")} == {f"{p.stem}.csv" for p in deduped.glob("[fm]*")}


@pytest.mark.parametrize("name", ["../escape", "/tmp/escape", "a/b", "a\\b", "", ".."])
def test_names_that_would_leave_the_folder_are_refused(tmp_path, name, capsys):
    save_patches(tmp_path / "in" / "a.pkl", [name], cells(1))
    assert classify(tmp_path / "in", tmp_path / "out", "--threshold", "0") == 1
    assert "cannot become a file name" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.tiff")) and not (tmp_path / "out" / "a.csv").exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
@pytest.mark.parametrize("name", ["C:a", "a\\b", "a" * 230, "a" * 251])
def test_a_dictionary_whose_name_no_result_can_have_stops_no_other(tmp_path, name, capsys):
    for stem in (name, "sound"):
        save_patches(tmp_path / f"{len(stem)}.pkl", ["x"], cells(1))
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / f"{len(stem)}.pkl").rename(tmp_path / "in" / f"{stem}.pkl")
    for _ in range(2):
        assert classify(tmp_path / "in", tmp_path / "out", "--threshold", "0") == 1
        assert f"in/{name}.pkl: " in capsys.readouterr().err
        assert [path.name for path in (tmp_path / "out").glob("*.csv")] == ["sound.csv"]


def test_two_patches_of_one_name_are_refused(tmp_path, capsys):
    with pytest.raises(ValueError, match="share a file"):
        refuse_shared_files(["a-LOC", "A-loc"])
    for roi, seed in (("x0-1_y0-1_z0-1", 0), ("x1-2_y0-1_z0-1", 4)):
        save_patches(tmp_path / "in" / f"d-ROI-{roi}.pkl", ["same"], cells(1, seed=seed))
    (tmp_path / "all.pth").symlink_to(ROOT / "utils" / "lite_weights.pth")
    save_patches(tmp_path / "in" / "sound.pkl", ["same"], cells(1))
    for _ in range(2):
        code = classify(tmp_path / "in", tmp_path / "out", "--threshold", "0")
        assert code == 1 and [f.name for f in (tmp_path / "out").glob("*.csv")] == ["sound.csv"]
        said = capsys.readouterr().err
        for one, other in (("x0-1", "x1-2"), ("x1-2", "x0-1")):
            reason = f"its patch 'same' would share a file of the folder d with that of d-ROI-{other}_y0-1_z0-1.pkl"
            assert f"d-ROI-{one}_y0-1_z0-1.pkl: {reason}" in said


def test_killed_before_the_table_is_done_again(deduped, tmp_path):
    """A real kill after some TIFFs and before the CSV: the next run leaves what an unbroken one leaves."""
    out = tmp_path / "out"
    script = f"""
        import os, signal, sys
        sys.path.insert(0, {str(ROOT)!r})
        import classify_patches, utils.classification.classifying
        def killed(*args, **options):
            os.kill(os.getpid(), signal.SIGKILL)
        utils.classification.classifying.save_scores = killed
        classify_patches.main([{str(deduped)!r}, {str(out)!r}, "--weights", "lite", "--threshold", "0"])
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert list(out.rglob("*.tiff")) and not list(out.glob("*.csv"))
    assert classify(deduped, out, "--threshold", "0.3") == 0
    classify(deduped, tmp_path / "unbroken", "--threshold", "0.3")
    assert results(out) == results(tmp_path / "unbroken")


def test_what_is_there_twice_or_excluded_is_left_out(deduped, out, tmp_path, capsys, monkeypatch):
    plain = (out / "mouse.v1.2.csv").read_bytes()
    before = sorted(p.name for p in out.glob("*/*.tiff"))
    mouse = names("mouse.v1.2", 4)
    rows = [
        Duplicate(mouse[0], "mouse.v1.2", "x", "fly-ROI-x0-9_y0-9_z0-9", 0.9, 0.9, "same"),
        Duplicate(mouse[1], "mouse.v1.2", "b-LOC-2d-0-9_0-9", "excluded:bench/b.png", 0.9, 0.9, "same"),
    ]
    save_duplicates(tmp_path / "duplicates.csv", rows)
    monkeypatch.setattr(classify_patches.LazyClassifier, "__call__", None)  # the scores of before are good enough
    without = ("--threshold", "0", "--without", str(tmp_path / "duplicates.csv"))
    assert classify(deduped, out, *without) == 0
    assert "now with --without 2 patches (" in capsys.readouterr().err  # outdated, and kept
    assert (out / "mouse.v1.2.csv").read_bytes() == plain
    assert classify(deduped, out, *without, "--update") == 0
    rows = list(read_scores(out / "mouse.v1.2.csv"))
    assert [row.reason for row in rows[:2]] == ["duplicate", "excluded"]
    assert [row.kept for row in rows[2:]] == [row.score > 0 for row in rows[2:]]
    assert (out / "mouse.v1.2.csv").read_text().startswith("name,score,kept,reason\n")
    assert {p.stem for p in (out / "mouse.v1.2").glob("*.tiff")} == {row.name for row in rows[2:] if row.kept}
    assert classify(deduped, out, "--threshold", "0", "--update") == 0
    assert (out / "mouse.v1.2.csv").read_bytes() == plain
    assert sorted(p.name for p in out.glob("*/*.tiff")) == before


def test_a_table_of_another_kind_is_refused(deduped, tmp_path, capsys):
    (tmp_path / "t.csv").write_text("name,score\n")
    assert classify(deduped, tmp_path / "out", "--without", str(tmp_path / "t.csv")) == 2
    assert "no table of duplicates" in capsys.readouterr().err


def test_a_table_of_other_patches_is_said(deduped, out, tmp_path, capsys):
    table = tmp_path / "t.csv"
    without = ("--threshold", "0", "--without", str(table))
    save_duplicates(table, [])  # of a collection without duplicates
    assert classify(deduped, out, *without) == 0 and "warning" not in capsys.readouterr().err
    save_duplicates(table, [Duplicate("a", "horse", "x", "ox", 0.9, 0.9, "same")])
    assert classify(deduped, out, *without) == 0
    assert f"--without {table} names no dictionary of {deduped}" in capsys.readouterr().err
    save_duplicates(table, [Duplicate("a", "mouse.v1.2", "x", "ox", 0.9, 0.9, "same")])
    assert classify(deduped, out, *without, "--update") == 0
    assert "1 patches to be left out are not in it, one is a" in capsys.readouterr().err


def test_bad_usage(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    assert classify(tmp_path / "in", tmp_path / "out") == 2
    assert "no patch dictionaries (.pkl)" in capsys.readouterr().err
    save_patches(tmp_path / "in" / "a.pkl", [], [])
    assert classify_patches.main([str(tmp_path / "in"), str(tmp_path / "out"), "--weights", "no.pth"]) == 2
    assert "no such weights file" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        classify(tmp_path / "in", tmp_path / "out", "--threshold", "1.5")


def test_offline_without_weights_is_one_sentence(deduped, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("utils.classification.weights.ZENODO_URLS", ("http://127.0.0.1:9/x.pth",))
    monkeypatch.setattr("utils.classification.weights.RetryPolicy", partial(RetryPolicy, sleep=lambda seconds: None))
    assert classify_patches.main([str(deduped), str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert "patch_quality_classifier_nn.pth" in said and str(tmp_path / "torch") in said and "--weights lite" in said
    assert "Traceback" not in said


def test_when_the_last_dictionary_is_gone_its_results_go(deduped, out, capsys):
    for dictionary in deduped.iterdir():
        dictionary.unlink()
    assert classify(deduped, out) == 2
    assert classify(deduped, out, "--prune") == 0
    assert "3 without their input removed" in capsys.readouterr().out
    assert results(out) == {}


def test_dictionaries_renamed_and_with_other_pixels_leave_what_a_fresh_run_does(deduped, out, tmp_path):
    first = next(deduped.glob("fly-ROI-*"))
    first.rename(first.with_name("fly-ROI-x0-9_y9-18_z0-9.pkl"))
    patches, before = cells(4), (out / "mouse.v1.2.csv").read_bytes()
    patches[1::2] += 1
    save_patches(deduped / "mouse.v1.2.pkl", names("mouse.v1.2", 4), patches)
    assert classify(deduped, out, "--threshold", "0", "--update", "--prune") == 0
    assert classify(deduped, tmp_path / "fresh", "--threshold", "0") == 0
    assert (out / "mouse.v1.2.csv").read_bytes() == before, "scores of other pixels that are the same"
    assert results(out) == results(tmp_path / "fresh")


def test_sheets_go_that_a_killed_run_left_without_their_tables(deduped, out):
    for file in (*deduped.iterdir(), *out.glob("*.csv"), *(out / ".recipes").glob("*.csv.json")):
        file.unlink()
    assert classify(deduped, out, "--prune") == 0 and not list(out.glob("*.png"))
    assert classify(deduped, out, "--prune") == 2


def test_another_threshold_is_applied_to_the_stored_scores(deduped, out, tmp_path, capsys):
    fresh, before = tmp_path / "fresh", results(out)
    assert classify(deduped, out, "--threshold", "0.3") == 0
    assert results(out) == before, "sheets, too, show what was decided"
    said = capsys.readouterr()
    assert "3 outdated" in said.out and "outdated: made with --threshold 0.0, now 0.3" in said.err
    assert classify(deduped, out, "--threshold", "0.3", "--update") == 0
    assert "weights" not in capsys.readouterr().err, "no network was loaded"
    assert classify(deduped, fresh, "--threshold", "0.3") == 0
    assert results(out) == results(fresh)
    edited = out / "mouse.v1.2.csv"
    edited.write_text(re.sub(r",[01]\.\d+,", ",0.1234,", edited.read_text(), count=1))
    os.utime(edited, ns=(2**62, 2**62))
    assert classify(deduped, out, "--threshold", "0.3", "--update") == 0
    assert results(out) == results(fresh), "what was edited is scored anew"


def trained_weights(folder: Path, threshold: float, limit: float) -> Path:
    """The lite weights with a decision of their own."""
    weights = folder / "own.pth"
    weights.write_bytes(LITE.read_bytes())
    known = Familiarity(np.zeros((2, FEATURES), np.float32), np.array([0.0, 1.0], np.float32), limit)
    save_decision(weights, sha256_of(weights), Decision(threshold, 1.0, 0.0, known))
    return weights


def test_the_threshold_of_a_training_is_used_unless_another_is_given(deduped, tmp_path):
    weights = trained_weights(tmp_path, 0.001, 1e9)
    assert classify(deduped, tmp_path / "a", "--weights", str(weights)) == 0
    assert classify(deduped, tmp_path / "b", "--weights", str(weights), "--threshold", "0.999") == 0
    kept = [{row.name for row in read_scores(tmp_path / f / "mouse.v1.2.csv") if row.kept} for f in "ab"]
    assert kept[0] > kept[1]


def test_unfamiliar_datasets_are_named_at_the_end(deduped, tmp_path, capsys):
    out, weights = tmp_path / "out", trained_weights(tmp_path, 0.3, -1.0)
    assert classify(deduped, out, "--weights", str(weights)) == 0
    said = capsys.readouterr().err.splitlines()[-2:]
    assert said == [
        f"{name}: unlike anything the model was trained on; look at {name}.png, or label 50 patches"
        for name in ("fly", "mouse.v1.2")
    ]
    assert len(load_distances(out / "mouse.v1.2.csv")) == 4
    assert classify(deduped, out, "--weights", str(weights)) == 0
    assert capsys.readouterr().err.count("unlike anything") == 2
    familiar = trained_weights(tmp_path, 0.3, 1e9)
    assert classify(deduped, tmp_path / "known", "--weights", str(familiar)) == 0
    assert "unlike" not in capsys.readouterr().err
    with Image.open(out / "fly.png") as flagged, Image.open(tmp_path / "known" / "fly.png") as plain:
        assert flagged.height > plain.height
    assert classify(deduped, out, "--weights", str(familiar)) == 0
    assert results(out) == results(tmp_path / "known")


def test_eight_views_and_damaged_decisions(deduped, tmp_path, capsys):
    assert classify(deduped, tmp_path / "one") == 0 == classify(deduped, tmp_path / "eight", "--views", "8")
    assert table(tmp_path / "one" / "mouse.v1.2.csv") != table(tmp_path / "eight" / "mouse.v1.2.csv")
    assert classify(deduped, tmp_path / "one", "--views", "8") == 0
    assert "outdated: made with --views auto, now 8" in capsys.readouterr().err
    weights = trained_weights(tmp_path, 0.3, 1.0)
    weights.write_bytes(weights.read_bytes() + b"more")
    assert classify(deduped, tmp_path / "out", "--weights", str(weights)) == 2
    assert "belongs to other weights" in capsys.readouterr().err


def test_zstd_is_read_back_and_part_of_the_recipe(deduped, out, tmp_path, capsys):
    plain, packed = out, tmp_path / "packed"
    assert classify(deduped, packed, "--threshold", "0", "--compression", "zstd") == 0
    for path in plain.rglob("*.tiff"):
        other = packed / path.relative_to(plain)
        assert np.array_equal(tifffile.imread(path), tifffile.imread(other))
        assert np.array_equal(tifffile.imread(path), imagecodecs.imread(other.read_bytes(), codec="tiff"))
        assert read_kept_record(path) == read_kept_record(other) and other.stat().st_size < path.stat().st_size
    capsys.readouterr()
    assert classify(deduped, plain, "--threshold", "0", "--compression", "zstd") == 0
    assert "outdated: made with --compression none, now zstd" in capsys.readouterr().err
    assert classify(deduped, plain, "--threshold", "0", "--compression", "zstd", "--update") == 0
    assert "weights" not in capsys.readouterr().err, "the scores are stored"
    assert results(plain) == results(packed)


def test_a_dictionary_is_streamed(tmp_path, monkeypatch):
    """Ten times as many patches take no more memory for pixels: a few batches, whatever the dictionary's size."""
    monkeypatch.setattr(classify_patches.LazyClassifier, "__call__", lambda _: Blind())
    patch = np.arange(1024**2, dtype=np.uint8).reshape(1024, 1024)[:512, :512]
    save_patches(tmp_path / "in" / "big.pkl", names("big", 600), (patch for _ in range(600)))
    tracemalloc.start()
    assert classify(tmp_path / "in", tmp_path / "out", "--threshold", "0.5") == 0
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6 < (tmp_path / "in" / "big.pkl").stat().st_size / 2
    assert len(list((tmp_path / "out" / "big").iterdir())) == 150


class Blind:
    """Keeps every fourth patch, unseen."""

    at_once, is_aside, changes, account, weights = 8, False, 0, Account(), None

    def examine(self, patches):
        return Examined(np.where(np.arange(len(patches)) % 4 == 0, 0.9, 0.1), np.full(len(patches), np.nan))


def test_a_dictionary_that_breaks_half_way_leaves_nothing(deduped, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Classifier, "at_once", 2)
    read = PatchFile.read

    def broken(file, indices):
        if "mouse" in file.path.name and 2 in (chosen := list(indices)):
            raise ValueError(f"the disk gave no patch {chosen[0]}")
        return read(file, indices)

    monkeypatch.setattr(PatchFile, "read", broken)
    assert classify(deduped, tmp_path / "out", "--threshold", "0") == 1
    assert "mouse.v1.2.pkl: the disk gave no patch 2" in capsys.readouterr().err
    assert {p.name for p in (tmp_path / "out").iterdir()} >= {"fly", "fly.png"}
    assert not list((tmp_path / "out").rglob("mouse*"))
