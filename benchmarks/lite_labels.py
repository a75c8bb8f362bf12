"""Write the table that the bundled lite weights were fitted to: tables of labelled patches, and tiles of photographs.

Photographs are matter without cells: each tile is bad, its source is ``photographs``.

Example:
    python benchmarks/lite_labels.py labelled labelled/labels.csv labelled_more/labels.csv
"""

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from utils.argument_types import existing_file, output_dir
from utils.cli import make_parser, run_script


def main(argv: Sequence[str] | None = None) -> int:
    """Write labels.csv and the tiles."""
    parser = make_parser(__doc__)
    parser.add_argument("folder", type=output_dir, help="folder to write to")
    parser.add_argument("tables", nargs="+", type=existing_file, help="CSVs with the columns path, label, source")
    return run_script(write, parser, argv)


def write(args: argparse.Namespace) -> int:
    """Gather, cut, write."""
    import cv2
    from photographs import photographs, tiles

    rows = []
    for table in args.tables:
        with table.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                rows.append(((table.parent / row["path"]).resolve(), row["label"], row["source"]))
    args.folder.mkdir(parents=True, exist_ok=True)
    for name, picture in photographs().items():
        for place, tile in tiles(picture).items():
            path = args.folder / f"{name}-{place}.png"
            cv2.imwrite(str(path), tile)
            rows.append((path.resolve(), "bad", "photographs"))
    with (args.folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "label", "source"), *rows])
    print(f"{len(rows)} patches")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
