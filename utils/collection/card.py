"""What an export says of itself: README.md, a card as dataset hubs read it; croissant.json, for search engines."""

import html
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from utils.collection.export_formats import column_kind
from utils.collection.shards import Shard, patches_by_split
from utils.redaction import one_line

LICENSES = {
    re.sub(r"[^a-z0-9]", "", name): name
    for name in (
        *("cc0-1.0", "cc-by-4.0", "cc-by-3.0", "cc-by-sa-4.0", "cc-by-sa-3.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0"),
        *("cc-by-nc-sa-3.0", "cc-by-nd-4.0", "cc-by-nc-nd-4.0", "mit", "bsd-3-clause", "apache-2.0", "gpl-3.0"),
        *("agpl-3.0", "odc-by", "odbl", "pddl"),
    )
} | {"cc0": "cc0-1.0", "publicdomain": "cc0-1.0"}
URLS = {
    "cc0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    **{
        f"cc-{kind}-{version}": f"https://creativecommons.org/licenses/{kind}/{version}/"
        for kind in ("by", "by-sa", "by-nc", "by-nc-sa", "by-nd", "by-nc-nd")
        for version in ("3.0", "4.0")
    },
}
LOADING = {
    "webdataset": 'dataset = webdataset.WebDataset("{split}-{{000000..{last:06d}}}.tar", shardshuffle=100)'
    '.shuffle(1000).decode("l").to_tuple("png", "json")',
    "parquet": 'dataset = datasets.load_dataset("parquet", data_files={{"{split}": "data/{split}-*.parquet"}})',
    "imagefolder": 'dataset = torchvision.datasets.ImageFolder("{split}")   # or datasets.load_dataset("imagefolder", '
    'data_dir=".")',
    "zarr": 'patches, names = (zarr.open_array("{split}.zarr/" + part, mode="r") for part in ("images", "names"))',
}
# Croissant's terms that have their own name, and the context of all that is said in them.
TERMS = (
    *("citeAs", "column", "extract", "field", "fileProperty", "fileObject", "fileSet", "format", "includes"),
    *("isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex"),
    *("repeated", "replace", "separator", "source", "subField", "transform"),
)
CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "sc": "https://schema.org/",
    **{term: f"cr:{term}" for term in TERMS},
}


@dataclass
class About:
    """What the card tells."""

    title: str
    kind: str
    kept: int
    rules: list[str]
    notes: list[str]
    datasets: dict[str, dict[str, str]] = field(default_factory=dict)


def known_license(text: str) -> str:
    """A license's usual name, such as ``cc-by-4.0``; empty where it is not a known one.

    >>> known_license("CC BY 4.0"), known_license("https://creativecommons.org/licenses/by/4.0/"), known_license("?")
    ('cc-by-4.0', 'cc-by-4.0', '')
    """
    for name, url in URLS.items():
        if text.rstrip("/").replace("http:", "https:").removesuffix("/deed.en") == url.rstrip("/"):
            return name
    return LICENSES.get(re.sub(r"[^a-z0-9]", "", text.lower()), "")


def without_license(datasets: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Datasets of which no license is known."""
    return sorted(name for name, row in datasets.items() if not row.get("license"))


def card(about: About, shards: Sequence[Shard]) -> str:
    """README.md: a dataset card with the front matter that dataset hubs read."""
    lines = ["---", *_front_matter(about, shards), "---", "", f"# {_plain(about.title)}", ""]
    lines += ["Patches of electron-microscopy images, deduplicated and filtered.", "", "| split | datasets | patches |"]
    lines += ["|---|---|---|"]
    counts = patches_by_split(shards)
    for split, count in counts.items():
        datasets = {sample.dataset for shard in shards if shard.split == split for sample in shard.samples}
        lines.append(f"| {split} | {len(datasets)} | {count} |")
    lines += ["", f"Of {about.kept} kept patches. {' '.join(about.rules)}".rstrip(), ""]
    lines += [f"- {_plain(note)}" for note in about.notes] + ([""] if about.notes else [])
    lines += ["## Loading", "", "```python"]
    for split in counts:
        last = sum(shard.split == split for shard in shards) - 1
        lines.append(LOADING[about.kind].format(split=split, last=last))
    lines += [
        "```",
        "",
        "`patches.csv` has a row per patch: where it was cut (voxels and nm, z, y, x), its score and source.",
    ]
    lines += ["`sha256sum -c SHA256SUMS` checks the files.", "", *_licenses(about), *_datasets(about, shards)]
    return "\n".join(lines) + "\n"


def _front_matter(about: About, shards: Sequence[Shard]) -> list[str]:
    lines = [f"pretty_name: {json.dumps(about.title, ensure_ascii=False)}", *_license_lines(about)]
    lines += ["tags:", "- electron-microscopy", "task_categories:", "- feature-extraction"]
    if patterns := {
        "parquet": "data/{split}-*.parquet", "webdataset": "{split}-*.tar", "imagefolder": "{split}/**"
    }.get(about.kind):  # fmt: skip
        lines += ["configs:", "- config_name: default", "  data_files:"]
        for split in patches_by_split(shards):
            lines += [f"  - split: {split}", f"    path: {json.dumps(patterns.format(split=split))}"]
    return lines


def _license_lines(about: About) -> list[str]:
    names = {known_license(row.get("license", "")) for row in about.datasets.values()}
    if names and "" not in names:
        return ["license:", *(f"- {name}" for name in sorted(names))]
    return ["license: other", "license_name: see-the-table-of-datasets", "license_link: README.md"]


def _licenses(about: About) -> list[str]:
    counts = Counter(row.get("license", "") for row in about.datasets.values())
    lines = ["## Licenses", ""]
    lines += [f"- {_plain(name)}: {_number(n, 'dataset')}" for name, n in sorted(counts.items()) if name]
    if missing := without_license(about.datasets):
        lines.append(f"- **missing** for {_number(len(missing), 'dataset')}: {_plain(', '.join(missing))}")
    return [*lines, ""]


def _datasets(about: About, shards: Sequence[Shard]) -> list[str]:
    counts = Counter(sample.dataset for shard in shards for sample in shard.samples)
    splits = {sample.dataset: shard.split for shard in shards for sample in shard.samples}
    free = list(dict.fromkeys(name for row in about.datasets.values() for name in row))
    lines = ["## Datasets", "", f"| dataset | split | patches |{''.join(f' {_cell(name)} |' for name in free)}"]
    lines.append("|---" * (3 + len(free)) + "|")
    for name, row in sorted(about.datasets.items()):
        cells = "".join(f" {_cell(row.get(key, ''))} |" for key in free)
        lines.append(f"| {_cell(name)} | {splits[name]} | {counts[name]} |{cells}")
    return lines


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _plain(text: str) -> str:
    """Text that neither Markdown nor HTML nor a terminal reads anything into."""
    return re.sub(r"([\\`*\[\]!|])", r"\\\1", html.escape(one_line(" ".join(text.split())), quote=False))


def _cell(text: str) -> str:
    return _plain(text) or " "


def croissant(about: About, row: Mapping[str, object], files: Mapping[str, str]) -> dict[str, Any]:
    """The description in Croissant 1.0 (https://docs.mlcommons.org/croissant/docs/croissant-spec.html).

    `row` is one of patches.csv without its ``file``; `files` the SHA-256 of each file, patches.csv among them.
    """
    kinds = {"int64": "sc:Integer", "float64": "sc:Float", "string": "sc:Text"}
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"patches/{_id(name)}",
            "name": _id(name),
            "description": name,
            "dataType": kinds[column_kind(name, value)],
            "source": {"fileObject": {"@id": "patches.csv"}, "extract": {"column": name}},
        }
        for name, value in {"file": "", **row}.items()
    ]
    licenses = sorted({row["license"] for row in about.datasets.values() if row.get("license")})
    missing = without_license(about.datasets)
    sources = sorted({row[key] for row in about.datasets.values() for key in ("doi", "url") if row.get(key)})
    note = f" No license is known for: {', '.join(missing)}." if missing else ""
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": about.title,
        "description": f"Patches of {len(about.datasets)} electron-microscopy datasets.{note}",
        "license": [URLS.get(known_license(text), text) for text in licenses] or ["unknown"],
        **({"isBasedOn": sources} if sources else {}),
        "distribution": [*_shards(about, files), _file("patches.csv", "text/csv", files["patches.csv"])],
        "recordSet": [{"@type": "cr:RecordSet", "@id": "patches", "name": "patches", "field": fields}],
    }


def _shards(about: About, files: Mapping[str, str]) -> list[dict[str, Any]]:
    """Shards file by file with their checksums; pictures and chunks, of which there are very many, as a set."""
    if about.kind in ("imagefolder", "zarr"):
        kind, glob = ("image/png", "*.png") if about.kind == "imagefolder" else ("application/octet-stream", "*/c/*")
        return [{"@type": "cr:FileSet", "@id": "images", "name": "images", "encodingFormat": kind, "includes": glob}]
    kind, end = ("application/x-tar", ".tar") if about.kind == "webdataset" else ("application/x-parquet", ".parquet")
    return [_file(name, kind, sha) for name, sha in files.items() if name.endswith(end)]


def _file(name: str, kind: str, sha: str) -> dict[str, str]:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "encodingFormat": kind,
        "sha256": sha,
    }


def _id(name: str) -> str:
    return re.sub(r"[^\w.-]", "_", name)
