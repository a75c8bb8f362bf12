"""A first result: generated sample data through every stage, on this machine alone.

Generates a collection in OUT/input, serves its OME-Zarr over HTTP on this machine and samples it like a remote dataset,
then curates everything into OUT/results with the small classifier that comes along. Run again it finds everything done.

Example:
    python examples/demo.py demo
"""

import argparse
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from utils.argument_types import output_dir, positive_int
from utils.cli import make_parser, run_script
from utils.files import list_entries, list_files

# Files of a folder that the tree shows before it only counts.
SHOWN = 3
# What examples/curate.sh is told through the environment.
DEMO = {"WEIGHTS": "lite", "LIMIT": "8", "EXPORT": "webdataset", "SPLIT": "train=.8,val=.2"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; see the module's docstring."""
    parser = make_parser(__doc__)
    parser.add_argument("out", type=output_dir, metavar="OUT", help="folder to write to")
    parser.add_argument("--size", type=positive_int, default=384, metavar="PX", help="of the sample data (default 384)")
    parser.add_argument("--verbose", action="store_true", help="tracebacks for failures")
    return run_script(demonstrate, parser, argv)


def demonstrate(args: argparse.Namespace) -> int:
    """Generate, sample, curate, show."""
    data, results = args.out / "input", args.out / "results"
    cores = str(os.cpu_count() or 1)
    codes = [run("examples/make_sample_data.py", data, "--size", args.size, "-p", cores)]
    cube = args.size // 3
    record = data / "3d" / "sample.json"
    with served(data / "remote", recorded_port(record)) as address:
        sampled = f"{address}/sample.zarr", data / "3d", "-gb", 4 * cube**3 / 1e9, "-cs", cube
        codes.append(run("scraping/ngff_download.py", *sampled))
    print("The classifier of this demo is the bundled one, --weights lite; `make curate` takes the published ResNet34.")
    curated = subprocess.run(
        ["bash", ROOT / "examples" / "curate.sh", data, results],
        env={**DEMO, "PYTHON": sys.executable, "PROCESSES": cores, **os.environ},
        check=False,
    )
    codes.append(curated.returncode)
    print(f"\n{results}", *tree(results), sep="\n")
    print(f"\nKept, rejected and borderline patches with their scores: {results}/filtered/3d/neuropil_fib.png")
    print(
        f"What several datasets show, and is kept once: {results}/duplicates.csv, the pairs: {results}/duplicates.png"
    )
    print(f"Click through the collection, every dataset and every patch: {results}/report/index.html")
    print(f"Ready to train on, with a card: {results}/export")
    print(f"Stacks around kept patches, as small films: {results}/flipbooks")
    return max(codes)


def run(script: str, *arguments: object) -> int:
    """Show a command, run it, return its exit code."""
    words = [str(argument) for argument in arguments]
    print("==", script, *words, flush=True)
    return subprocess.run([sys.executable, ROOT / script, *words], check=False).returncode


def recorded_port(record: Path) -> int:
    """The port of the run before: a dataset's address is part of its record, and a new one would be another dataset."""
    return urlsplit(json.loads(record.read_text())["url"]).port or 0 if record.is_file() else 0


@contextmanager
def served(folder: Path, port: int = 0) -> Iterator[str]:
    """Serve a folder over HTTP, reachable from this machine only; yield its address."""
    with Server(("127.0.0.1", port), partial(Silent, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


class Server(ThreadingHTTPServer):
    """A server that several chunks are asked of at once."""

    request_queue_size = 64  # of the default of 5 the others wait for seconds


class Silent(SimpleHTTPRequestHandler):
    """Serves without a line for every request."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def tree(folder: Path, indent: str = "  ") -> Iterator[str]:
    """Lines that show a folder: everything small, the first files of what is large and how many more there are."""
    for inner in list_entries(folder).folders:
        yield f"{indent}{inner.name}/"
        yield from tree(inner, indent + "  ")
    files = list_files(folder)
    shown = files if len(files) <= 2 * SHOWN else files[:SHOWN]
    yield from (f"{indent}{file.name}" for file in shown)
    if len(shown) < len(files):
        yield f"{indent}... and {len(files) - len(shown)} more"


if __name__ == "__main__":
    raise SystemExit(main())
