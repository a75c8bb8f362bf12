"""A page of each script, made from its docstring and its --help, and one of all rooms of utils: a hook of mkdocs."""

import ast
import os
import subprocess
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
COLLECTION = ("dedupe_collection", "report", "label_patches", "export")
STAGES = (
    ("2D images", ("preprocess/cleanup2d.py", "patchify2d.py")),
    ("Videos, MRC, binning", ("preprocess/vid2stack.py", "preprocess/mrc2byte.py", "preprocess/binvol.py")),
    ("Sampling", ("scraping/ngff_download.py", "scraping/crop_rois_from_volume.py")),
    ("Volumes", ("patchify3d.py", "3d/reconstruct3d.py")),
    ("Filtering", ("classify_patches.py", "train_patch_classifier.py")),
    ("Collection", tuple(f"collection/{name}.py" for name in COLLECTION)),
)


def docstring(path: Path) -> str:
    """The docstring of a file; '' where there is none."""
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def script_page(script: str) -> str:
    """What a script says of itself, as Markdown.

    Raises
    ------
    subprocess.CalledProcessError
        The script's --help fails.
    """
    about, _, example = docstring(ROOT / script).partition("Example:")
    told = subprocess.run(
        [sys.executable, str(ROOT / script), "--help"],
        env={**os.environ, "COLUMNS": "110"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    usage, _, options = told.partition("\n\n")
    _, _, options = options.partition("positional arguments:")
    lines = [f"# {Path(script).stem}", about.strip(), "```\n" + usage + "\n```", "## Arguments and options"]
    lines += ["```\npositional arguments:" + options.rstrip() + "\n```"]
    if example:
        lines.insert(2, "```\n" + "\n".join(line.strip() for line in example.strip().splitlines()) + "\n```")
    return "\n\n".join(lines) + "\n"


def rooms_page() -> str:
    """Each room of utils with the first line of what it says of itself."""
    lines = ["# The rooms of utils", "What may import what stands in ARCHITECTURE.md."]
    for folder in sorted({path.parent for path in (ROOT / "utils").rglob("*.py")}):
        lines += [f"## {folder.relative_to(ROOT)}", "| room | what it is |\n|---|---|"]
        rooms = (path for path in sorted(folder.glob("*.py")) if path.name != "__init__.py")
        lines[-1] += "".join(f"\n| `{path.stem}` | {docstring(path).partition(chr(10))[0]} |" for path in rooms)
    return "\n\n".join(lines) + "\n"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Adds the pages that are made here to the menu."""
    menu = [{title: [f"scripts/{Path(script).stem}.md" for script in scripts]} for title, scripts in STAGES]
    config.nav = [*(config.nav or []), {"Scripts": menu}, {"Code": "rooms.md"}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds a page per script, and that of the rooms."""
    for script in (script for _, scripts in STAGES for script in scripts):
        files.append(File.generated(config, f"scripts/{Path(script).stem}.md", content=script_page(script)))
    files.append(File.generated(config, "rooms.md", content=rooms_page()))
    return files
