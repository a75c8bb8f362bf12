"""The page of a dataset: where it lies, what it is made from, what it shows."""

from utils.collection.dataset_report import slug


def test_names_of_folders_are_safe_and_apart():
    names = ["fly", "Fly", "FLY", "a/b", "a_b", "..", "b ü", "x" * 300, "x" * 301]
    slugs = [slug(name) for name in names]
    assert len({s.lower() for s in slugs}) == len(names)
    assert all(s and s.isascii() and "/" not in s and "." not in s and len(s) < 80 for s in slugs)
