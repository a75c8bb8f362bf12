"""Montages: a page a dataset, at most so many stacks at even steps, three slices of each."""

import numpy as np
import pytest

from utils.formats.writers import write_nrrd
from utils.jobs import Job
from utils.reconstruction import montages as room
from utils.reconstruction.montages import StacksOfDataset, draw_montage, montage_jobs, three_slices
from utils.results import Scope


def stacks_in(folder, **counts):
    """Stacks of five slices, each slice its number."""
    paths = []
    for dataset, count in counts.items():
        (folder / dataset).mkdir()
        for i in range(count):
            path = folder / dataset / f"{dataset}-LOC-0_{i}-{i + 5}_0-8_0-8.nrrd"
            write_nrrd(
                path, np.arange(5, dtype=np.uint8)[:, None, None] * np.ones((1, 8, 8), np.uint8), (1.0, 1.0, 1.0)
            )
            paths.append(path)
    return paths


def test_a_page_for_each_dataset(tmp_path):
    paths = stacks_in(tmp_path, fly=2, bee=1)
    paths.append(tmp_path / "fly/gone.nrrd")
    jobs = montage_jobs(paths[::-1], Scope("montage", tmp_path, tmp_path / "out"))
    assert [(str(job.source), job.target.name) for job in jobs] == [("bee", "bee.png"), ("fly", "fly.png")]
    assert jobs[1].source.shown == tuple(paths[:2]) and jobs[1].source.count == 2
    assert jobs[1].recipe is not None and jobs[1].recipe.options == {"stacks": 2}
    assert set(jobs[1].recipe.inputs) == {path.name for path in paths[:2]}
    assert draw_montage(jobs[1], tmp_path / "s.png") == "2 stacks" and (tmp_path / "s.png").is_file()


def test_of_many_stacks_some_at_even_steps(tmp_path):
    paths = [tmp_path / f"{i}.nrrd" for i in range(95)]
    for path in paths:
        path.touch()
    (job,) = montage_jobs(paths, Scope("montage", tmp_path, tmp_path / "out"))
    assert job.source.shown == tuple(paths[::2]) and job.source.count == 95
    (few,) = montage_jobs(paths[:48], Scope("montage", tmp_path, tmp_path / "out"))
    assert few.source.shown == tuple(paths[:48])


def test_heading(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(room, "save_sheet", lambda path, sections: seen.extend(sections))
    paths = stacks_in(tmp_path, fly=1)
    draw_montage(Job(StacksOfDataset("fly", tuple(paths), 9), tmp_path / "fly.png"), tmp_path / "s.png")
    assert seen[0].heading == "fly: 1 of 9 stacks; first, middle and last slice" and len(seen[0].tiles) == 3


def test_first_middle_and_last(tmp_path):
    (path,) = stacks_in(tmp_path, fly=1)
    tiles = three_slices(path)
    assert [int(tile.patch[0, 0]) for tile in tiles] == [0, 2, 4]  # bytes stay as they are
    assert [tile.caption for tile in tiles] == ["0_0-5_0-8_0-8", "", ""]
    with pytest.raises(FileNotFoundError):
        three_slices(tmp_path / "gone.nrrd")
