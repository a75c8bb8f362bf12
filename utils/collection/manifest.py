"""manifest.parquet and manifest.csv: a row per patch with every stage's decision on it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from utils.collection.inventory import Part
from utils.collection.places import LENGTHS, WHOLE, place_columns, place_of
from utils.collection.provenance import csv_text
from utils.records.scores import Score
from utils.table_text import row_writer

# Rows that are in memory at a time.
ROWS = 10000
FIXED = {
    **dict.fromkeys(("name", "dataset", "dictionary", "source", "volume"), "string"),
    **dict.fromkeys(WHOLE, "int64"),
    **dict.fromkeys(LENGTHS, "float64"),
    **{"contrast_method": "string", "contrast_low": "float64", "contrast_high": "float64"},
    **{"hash": "string", "score": "float64"},
    **dict.fromkeys(("decision", "reason", "split", "sha256"), "string"),
}


def row_of(
    part: Part, decision: Score, *, hash_: str, sha256: str, split: str, free: Mapping[str, str]
) -> dict[str, Any]:
    """What is known of a patch, by column; None where it is not."""
    place, contrast, source = place_of(decision.name), part.meta.get("contrast"), part.meta.get("source")
    if not isinstance(contrast, Mapping):
        contrast = {"method": contrast if isinstance(contrast, str) else None}
    return {
        "name": decision.name,
        "dataset": part.dataset,
        "dictionary": part.name,
        "source": None if source is None else str(source),
        "volume": place.volume if place else None,
        **place_columns(place, part.voxel_size),
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


def _float(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _schema(free: Iterable[str]) -> Any:
    import pyarrow as pa

    names = dict.fromkeys([*FIXED, *free])
    return pa.schema([(name, getattr(pa, FIXED.get(name, "string"))()) for name in names])


class PartWriter(AbstractContextManager["PartWriter"]):
    """Writes the rows of one dataset, with its split and its free columns, as Parquet, as they come."""

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

        self._writer.write_table(pa.Table.from_pylist(self._rows, self._writer.schema))
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
        writer = row_writer(file)
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
