"""Contact sheets: for each dataset rows of kept, rejected and borderline patches with their scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.classification.decision import Decision, unfamiliar_line
from utils.contact_sheet import COLUMNS, Section, Tile, evenly, save_sheet
from utils.jobs import Job
from utils.patch_file import PatchFile
from utils.records.fingerprints import Fingerprint
from utils.records.recipes import known_record
from utils.records.scores import Score, load_distances, read_scores

SHOWN = 3 * COLUMNS
# A sheet takes a third of a second, a process's start more than one.
SHEETS_A_PROCESS = 8


@dataclass(frozen=True)
class SheetSource:
    """What a sheet shows: the tables and the dictionaries of one dataset, side by side."""

    name: str
    tables: tuple[Path, ...]
    dictionaries: tuple[Path, ...]
    is_unfamiliar: bool
    threshold: float

    def __str__(self) -> str:
        return self.name


def unfamiliar_datasets(by_dataset: Mapping[str, Sequence[Job]], decision: Decision) -> list[str]:
    """The datasets whose patches lie far from what the classifier was trained on, by the tables that are there."""
    if decision.familiarity is None:
        return []
    distances = {name: [load_distances(part.target) for part in parts] for name, parts in by_dataset.items()}
    return [name for name, its in distances.items() if decision.is_unfamiliar(np.concatenate([*its, []]))]


def decided_by(tables: Sequence[Path], threshold: float) -> float:
    """The threshold that tables were decided by: the present one, unless all of them are outdated."""
    stored = [record.options.get("threshold", threshold) for table in tables if (record := known_record(table))]
    return threshold if not stored or threshold in stored else stored[0]


def made_from(tables: Sequence[Path]) -> dict[str, Fingerprint]:
    """The dictionaries that tables were made from: of other pixels the scores may be the same, a sheet is not."""
    records = [record for table in tables if (record := known_record(table))]
    return {name: seen for record in records for name, seen in record.inputs.items()}


def draw_dataset(job: Job, scratch: Path) -> str:
    """Draw the contact sheet of one `SheetSource` over all its dictionaries.

    Kept and rejected patches are taken at even steps of their ranking, so that the sheet shows the range; borderline
    ones are those nearest to the threshold.
    """
    dataset: SheetSource = job.source
    threshold = dataset.threshold
    rows = [(i, row) for i, table in enumerate(dataset.tables) for row in read_scores(table)]
    rows.sort(key=lambda row: (row[1].score, row[1].name), reverse=True)
    kept, rejected = ([row for row in rows if row[1].kept is choice] for choice in (True, False))
    border = sorted(rows, key=lambda row: (abs(row[1].score - threshold), row[1].name))[:SHOWN]
    border.sort(key=lambda row: (row[1].score, row[1].name), reverse=True)
    groups = {
        f"{dataset}: kept {len(kept)} of {len(rows)} (score above {threshold:g})": evenly(kept, SHOWN),
        f"rejected {len(rejected)}": evenly(rejected, SHOWN),
        "borderline: nearest to the threshold": border,
    }
    pictures = _fetch(dataset.dictionaries, {(i, row.name) for group in groups.values() for i, row in group})
    sections = [
        Section(heading, [Tile(pictures[i, row.name], _caption(row)) for i, row in group if (i, row.name) in pictures])
        for heading, group in groups.items()
    ]
    if dataset.is_unfamiliar:
        sections.insert(0, Section(unfamiliar_line(dataset.name), []))
    save_sheet(scratch, sections)
    return f"{len(rows)} patches of {len(dataset.tables)} dictionaries"


def _caption(row: Score) -> str:
    return f"{row.score:.3f} {row.name.rpartition('-LOC-')[2]}"[:18]


def _fetch(dictionaries: Sequence[Path], wanted: set[tuple[int, str]]) -> dict[tuple[int, str], np.ndarray]:
    """The pixels of chosen patches."""
    found = {}
    for i in sorted({which for which, _ in wanted}):
        with PatchFile(dictionaries[i]) as file:
            chosen = [index for index, name in enumerate(file.names) if (i, name) in wanted]
            found.update({(i, file.names[k]): patch for k, patch in zip(chosen, file.read(chosen), strict=True)})
    return found
