"""After any history, --update --prune leaves what a fresh run leaves, byte for byte."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from PIL import Image

import classify_patches
import cleanup2d
import dedupe_collection
import mrc2byte
import patchify2d
import patchify3d
import reconstruct3d
from conftest import results, smooth_volume
from stacks import write_mrc
from utils.formats.writers import write_nrrd

NAMES = ("a", "b.v2", "c")
KINDS = st.sampled_from(("image", "volume", "tomogram"))


class Killed(BaseException):
    """Stands for a kill: nothing of ours may catch it."""


class Histories(RuleBasedStateMachine):
    """Inputs come, go, change, are renamed and touched; options change; runs are cut off; then both are compared."""

    @initialize(seed=st.integers(0, 99))
    def begin(self, seed: int) -> None:
        import tempfile

        self.base = Path(tempfile.mkdtemp(prefix="histories"))
        self.rng = np.random.default_rng(seed)
        self.crop, self.threshold = 32, 0.0
        self.ran = False
        for place in ("2d/g", "2d/h", "3d"):
            (self.base / "in" / place).mkdir(parents=True)
        self.add("image", 0)
        self.add("volume", 1)

    @rule(kind=KINDS, number=st.integers(0, 2))
    def add(self, kind: str, number: int) -> None:
        """Add an input, or replace the one of that name."""
        path, seed = self.path(kind, number), int(self.rng.integers(1 << 30))
        if kind == "image":
            pixels = smooth_volume((1, 70, 70), seed)[0]
            if number == 1:
                tifffile.imwrite(path, pixels.astype(np.uint16) * 9)
            else:
                Image.fromarray(pixels).save(path)
        elif kind == "volume":
            write_nrrd(path, smooth_volume((34, 40, 36), seed), (8.0, 8.0, 8.0))
        else:
            path.unlink(missing_ok=True)
            write_mrc(path, smooth_volume((33, 36, 35), seed).astype(np.int16) * 7)

    def path(self, kind: str, number: int) -> Path:
        end = {"image": ".tif" if number == 1 else ".png", "volume": ".nrrd", "tomogram": ".mrc"}[kind]
        folder = {"image": f"2d/{'gh'[number % 2]}", "volume": "3d", "tomogram": "3d"}[kind]
        return self.base / "in" / folder / f"{kind[0]}{NAMES[number]}{end}"

    @rule(kind=KINDS, number=st.integers(0, 2))
    def remove(self, kind: str, number: int) -> None:
        self.path(kind, number).unlink(missing_ok=True)

    @rule(kind=KINDS, number=st.integers(0, 2))
    def touch(self, kind: str, number: int) -> None:
        if self.path(kind, number).exists():
            os.utime(self.path(kind, number), ns=(int(self.rng.integers(1 << 50)),) * 2)

    @rule(kind=KINDS, number=st.integers(0, 2), new=st.integers(0, 2))
    def rename(self, kind: str, number: int, new: int) -> None:
        one, other = self.path(kind, number), self.path(kind, new)
        if one.exists() and one.suffix == other.suffix:
            one.replace(other)

    @rule(crop=st.sampled_from((24, 32)), threshold=st.sampled_from((0.0, 0.02, 1.0)))
    def choose(self, crop: int, threshold: float) -> None:
        self.crop, self.threshold = crop, threshold

    @precondition(lambda self: self.ran)
    @rule()
    def copy(self) -> None:
        """The results move to another disk, by a copy that keeps no dates."""
        shutil.copytree(self.base / "out", self.base / "copy", copy_function=shutil.copyfile)
        shutil.rmtree(self.base / "out")
        (self.base / "copy").rename(self.base / "out")

    @rule()
    def run(self) -> None:
        self.curate("out")

    @rule(after=st.integers(1, 40))
    def run_that_is_killed(self, after: int) -> None:
        """A run in which the process is gone at one of the moments when a file takes its name."""
        replace, moments = os.replace, iter(range(after))

        def deadly(source, target, **options):
            if next(moments, None) is None:
                raise Killed
            replace(source, target, **options)

        with pytest.MonkeyPatch.context() as patch, suppress(Killed):
            patch.setattr(os, "replace", deadly)
            self.curate("out")

    def curate(self, out: str) -> None:
        """The chain of examples/curate.sh, in this process."""
        self.ran = True
        base, place = self.base / "in", self.base / out
        (place / "volumes").mkdir(parents=True, exist_ok=True)
        always = ["--update", "--prune", "--quiet", "-p", "1"]
        crop = ["-cs", str(self.crop)]
        lite = ["--weights", "lite", "--threshold", str(self.threshold)]
        clean, volumes = place / "clean2d", place / "volumes"
        cleanup2d.main([str(base / "2d"), "-o", str(clean), *always])
        patchify2d.main([str(clean), str(place / "patches/2d"), *crop, "--dedupe", *always])
        for link in volumes.glob("*.nrrd"):
            link.unlink()
        for volume in (base / "3d").glob("*.nrrd"):
            (volumes / volume.name).symlink_to(volume)
        mrc2byte.main([str(base / "3d"), "-o", str(volumes), *always])
        patchify3d.main([str(volumes), str(place / "patches/3d"), *crop, "--spacing", "6", *always])
        cut = [str(folder) for folder in (place / "patches/2d", place / "patches/3d") if folder.is_dir()]
        table = place / "duplicates.csv"
        if cut:
            dedupe_collection.main([*cut, "-o", str(table), *always])
        without = ["--without", str(table)] if table.is_file() else []
        for kind in ("2d", "3d"):
            folders = [str(place / "patches" / kind), str(place / "filtered" / kind)]
            classify_patches.main([*folders, *lite, *without, *always])
        stacks = [str(place / "filtered/3d"), "-vd", str(volumes), "-sd", str(place / "flipbooks")]
        reconstruct3d.main([*stacks, "--limit", "2", "--flipbook", "gif", "--montage", *always])

    def teardown(self) -> None:
        if not hasattr(self, "base"):
            return
        self.curate("out")
        self.curate("fresh")
        ours, fresh = results(self.base / "out"), results(self.base / "fresh")
        assert sorted(ours) == sorted(fresh)
        assert [name for name in fresh if ours[name] != fresh[name]] == []
        hidden = [path for path in (self.base / "out").rglob(".*") if path.name != ".recipes"]
        assert [path for path in hidden if path.suffix == ".lock" or ".part" in path.name] == []
        shutil.rmtree(self.base)


Histories.TestCase.settings = settings(
    max_examples=(settings.default or settings()).max_examples // 16,
    stateful_step_count=7,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestHistories = Histories.TestCase
