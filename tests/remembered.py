"""A result that is remembered by its record."""

from pathlib import Path

from utils.records.fingerprints import fingerprint
from utils.records.recipes import Recipe, fingerprints, record_of, save_record


def remembered(folder: Path) -> tuple[Recipe, Path]:
    """A result of two inputs, and its recipe."""
    for name in ("a.tif", "b.tif"):
        (folder / name).write_text(name)
    inputs = {name: (folder / name,) for name in ("a.tif", "b.tif")}
    recipe = Recipe("test", inputs, {"crop-size": 224, "dedupe": True, "limit": None, "axes": (0, 1)}, folder)
    return remember(recipe, folder / "out" / "x.pkl")


def remember(recipe: Recipe, result: Path, content: str = "made") -> tuple[Recipe, Path]:
    """Write a result, and its record."""
    result.parent.mkdir(exist_ok=True)
    result.write_text(content)
    save_record(result, record_of(recipe, result, fingerprints(recipe), fingerprint([result])))
    return recipe, result


def changed(recipe: Recipe, **options: object) -> Recipe:
    """A recipe with other options."""
    return Recipe(recipe.stage, recipe.inputs, {**recipe.options, **options}, recipe.root)
