"""croissant.json of exported patches: what dataset search engines and mlcroissant read."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from utils.collection.card import URLS, About, known_license, without_license
from utils.collection.export_formats import column_kind


def croissant(about: About, columns: Iterable[str], files: Mapping[str, str]) -> dict[str, Any]:
    """The description in Croissant 1.0 (https://docs.mlcommons.org/croissant/docs/croissant-spec.html).

    Parameters
    ----------
    columns : iterable of str
        Of patches.csv, beside ``file``.
    files : mapping of str to str
        SHA-256 of each file of the export, patches.csv among them.
    """
    kinds = {"int64": "sc:Integer", "float64": "sc:Float", "string": "sc:Text"}
    names = ["file", *columns]
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"patches/{_id(name)}",
            "name": _id(name),
            "description": name,
            "dataType": kinds[column_kind(name)],
            "source": {"fileObject": {"@id": "patches.csv"}, "extract": {"column": name}},
        }
        for name in names
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


CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
