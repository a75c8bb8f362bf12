"""`pip install .` gives the scripts as commands that run anywhere; the files beside the code agree with it."""

import json
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

from conftest import ROOT, SCRIPT_FOLDERS, smooth_volume
from utils.formats.writers import write_nrrd
from utils.sampling.roi_record import software


def test_every_script_is_a_command():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["script-files"]
    scripts = [path for folder in SCRIPT_FOLDERS for path in sorted((ROOT / folder).glob("*.py"))]
    assert sorted(listed) == sorted(str(path.relative_to(ROOT)) for path in scripts)
    for path in scripts:
        assert path.read_text().startswith("#!/usr/bin/env python3\n"), path
        assert os.access(path, os.X_OK), path


def test_a_wheel_holds_what_the_scripts_need(tmp_path: Path):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    copy = tmp_path / "project"
    archive = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in archive.decode().split("\0")[:-1]:
        if (ROOT / name).is_file() and not name.startswith(("tests/", "benchmarks/")):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "-w", str(tmp_path), str(copy)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as package:
        package.extractall(tmp_path / "installed")
        held = set(package.namelist())
    code = {str(path.relative_to(ROOT)) for path in (ROOT / "utils").rglob("*") if path.suffix not in {".pyc", ""}}
    assert code <= held
    (script,) = (tmp_path / "installed").glob("*.data/scripts/crop_rois_from_volume.py")
    write_nrrd(tmp_path / "volume.nrrd", smooth_volume((32, 32, 32)), (8.0, 8.0, 8.0))
    # Away from the checkout: what is imported is what the wheel holds.
    run = subprocess.run(
        [sys.executable, str(script), "volume.nrrd", "cubes", "-cs", "16"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "installed")},
        capture_output=True,
        text=True,
    )
    assert (run.returncode, run.stderr) == (0, "")
    said = json.loads((tmp_path / "cubes" / "volume.json").read_text())["software"]
    assert said == software() == f"{project['name']} {project['version']}"
