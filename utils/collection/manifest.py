"""manifest.parquet and manifest.csv: a row per patch with every stage's decision on it."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from utils.collection.inventory import Part
from utils.collection.places import Location, place_of
from utils.collection.provenance import csv_text
from utils.collection.samples import AXES
from utils.records.scores import Score

# Rows that are in memory at a time.
ROWS = 10000
FIXED = {
    **dict.fromkeys(("name", "dataset", "dictionary", "source", "volume"), "string"),
    **dict.fromkeys(("axis", "slice", "z0", "z1", "y0", "y1", "x0", "x1"), "int64"),
    **dict.fromkeys((f"{axis}{end}_nm" for axis in AXES for end in (0, 1)), "float64"),
    **dict.fromkeys((f"voxel_{axis}" for axis in AXES), "float64"),
    **{"contrast_method": "string", "contrast_low": "float64", "contrast_high": "float64"},
    **{
        "hash": "string",
        "score": "float64",
        "decision": "string",
        "reason": "string",
        "split": "string",
        "sha256": "string",
    },
}


def row_of(
    part: Part, decision: Score, *, hash_: str, sha256: str, split: str, free: Mapping[str, str]
) -> dict[str, Any]:
    """What is known of a patch, by column; None where it is not."""
    place, meta, voxel_size = place_of(decision.name), part.meta, part.voxel_size
    contrast = meta.get("contrast")
    contrast = (
        contrast if isinstance(contrast, Mapping) else {"method": contrast if isinstance(contrast, str) else None}
    )
    source = meta.get("source")
    return {
        "name": decision.name,
        "dataset": part.dataset,
        "dictionary": part.name,
        "source": None if source is None else str(source),
        **_where(place, voxel_size),
        **{f"voxel_{axis}": voxel_size[i] if voxel_size else None for i, axis in enumerate(AXES)},
        "contrast_method": contrast.get("method"),
        "contrast_low": _float(contrast.get("low")),
        "contrast_high": _float(contrast.get("high")),
        "hash": hash_ or None,
        "score": decision.score,
        "decision": "kept" if decision.kept else "dropped",
        "reason": decision.reason,
        "split": split or None,
        "sha256": sha256 or None,
        **{name: value for name, value in free.items() if name not in FIXED},
    }


def _where(place: Location | None, voxel_size: tuple[float, float, float] | None) -> dict[str, Any]:
    nm = place.nm(voxel_size) if place else None
    found: dict[str, Any] = {
        "volume": place.volume if place else None,
        "axis": place.axis if place else None,
        "slice": place.index if place and place.axis is not None else None,
    }
    for i, axis in enumerate(AXES):
        there = place is not None and (i > 0 or place.axis is not None)  # of an image no z
        for end in (0, 1):
            found[f"{axis}{end}"] = place.box[i][end] if place and there else None
            found[f"{axis}{end}_nm"] = round(nm[i][end], 4) if nm and there else None
    return found


def _float(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _schema(free: Iterable[str]) -> Any:
    import pyarrow as pa

    names = dict.fromkeys([*FIXED, *free])
    return pa.schema([(name, getattr(pa, FIXED.get(name, "string"))()) for name in names])


class PartWriter(AbstractContextManager["PartWriter"]):
    """Writes the rows of one dataset as Parquet, as they come.

    Parameters
    ----------
    path : Path
    split : str
        Of the dataset; empty where none is known.
    free : mapping of str to str
        What is known of the dataset besides.
    """

    def __init__(self, path: Path, split: str, free: Mapping[str, str]) -> None:
        import pyarrow.parquet as pq

        self._split, self._free = split, free
        self._rows: list[dict[str, Any]] = []
        self._writer = pq.ParquetWriter(path, _schema(free), compression="zstd")

    def add(self, part: Part, decision: Score, *, hash_: str, sha256: str) -> None:
        """Write what is known of a patch."""
        self._rows.append(row_of(part, decision, hash_=hash_, sha256=sha256, split=self._split, free=self._free))
        if len(self._rows) >= ROWS:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        schema = self._writer.schema
        columns = [pa.array([row.get(field.name) for row in self._rows], field.type) for field in schema]
        self._writer.write_table(pa.table(columns, schema=schema))
        self._rows.clear()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._flush()
        self._writer.close()


def join_parts(parts: Iterable[Path], free: Sequence[str], parquet: Path, table: Path) -> int:
    """Join the datasets' rows, some in memory at a time; returns how many rows there are."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema, count = _schema(free), 0
    with (
        pq.ParquetWriter(parquet, schema, compression="zstd") as out,
        table.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(map(csv_text, schema.names))
        for found in (batch for path in parts for batch in _batches(path)):
            count += len(found)
            columns = [
                found[field.name] if field.name in found.schema.names else pa.nulls(len(found), field.type)
                for field in schema
            ]
            out.write_batch(pa.record_batch(columns, schema=schema))
            lines = zip(*(column.to_pylist() for column in columns), strict=True)
            writer.writerows(map(csv_text, line) for line in lines)
    return count


def _batches(path: Path) -> Iterator[Any]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        yield from file.iter_batches(ROWS)
