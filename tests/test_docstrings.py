"""Docstrings tell what a caller needs: where arrays go in or out their shapes, and what is raised.

Sections are read by numpydoc's validator. What is public counts: functions and methods without a leading underscore,
in rooms and scripts. `make check` runs this file.
"""

import ast
import doctest
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from numpydoc.hooks.validate_docstrings import AstValidator
from numpydoc.validate import validate

from conftest import ROOT, SCRIPT_FOLDERS

FILES = [*(path for folder in SCRIPT_FOLDERS for path in (ROOT / folder).glob("*.py")), *(ROOT / "utils").rglob("*.py")]
ARRAY = re.compile(r"\b(ndarray|NDArray|Tensor)\b")
SHAPE = re.compile(r"\bshapes?\b|\(\w+,[\w ,*+]*\)")
# Of numpydoc: unknown sections, and their order; parameters that are missing, unknown, or in another order; no Returns
# or Yields; no type, no space before its colon.
WANTED = {"GL06", "GL07", "PR01", "PR02", "PR03", "PR04", "PR10", "RT01", "YD01"}


WITH_EXAMPLES = sorted(path for path in FILES if ">>>" in path.read_text())


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_true(path):
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@cache
def public_functions() -> list[tuple[str, ast.FunctionDef, AstValidator]]:
    """Every public function: where it stands, its code, and its docstring as numpydoc reads it."""
    found = []

    def visit(path: Path, parent: ast.Module | ast.ClassDef) -> None:
        for node in parent.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                visit(path, node)
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                where = f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
                found.append(
                    (where, node, AstValidator(ast_node=node, filename=path, obj_name=where, ancestry=[parent]))
                )

    for path in sorted(FILES):
        visit(path, ast.parse(path.read_text()))
    return found


def takes_arrays(node: ast.FunctionDef) -> list[str]:
    """The parameters whose types name an array."""
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return [a.arg for a in arguments if a.annotation and ARRAY.search(ast.unparse(a.annotation))]


def gives_arrays(node: ast.FunctionDef) -> bool:
    """Whether the type of what comes back names an array."""
    return node.returns is not None and ARRAY.search(ast.unparse(node.returns)) is not None


def is_property(node: ast.FunctionDef) -> bool:
    """Whether it is read like an attribute: one line says enough."""
    return any("property" in ast.unparse(decorator) for decorator in node.decorator_list)


def raised(node: ast.FunctionDef) -> Iterator[str]:
    """The names of the exceptions that a function raises itself."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Raise) and isinstance(inner.exc, ast.Call | ast.Name):
            name = ast.unparse(inner.exc.func if isinstance(inner.exc, ast.Call) else inner.exc)
            if name.rsplit(".", 1)[-1][:1].isupper():
                yield name.rsplit(".", 1)[-1]


def array_functions() -> list[tuple[str, ast.FunctionDef, AstValidator]]:
    """The functions that take or return arrays."""
    return [each for each in public_functions() if takes_arrays(each[1]) or gives_arrays(each[1])]


def test_sections_of_functions_with_arrays_are_complete():
    missing = []
    for where, node, docs in array_functions():
        unasked = {"PR01"} if not takes_arrays(node) else set()
        unasked |= {"RT01", "YD01"} if is_property(node) or not gives_arrays(node) else set()
        errors = validate(where, lambda *_, docs=docs, **__: docs)["errors"]
        missing += [f"{where}: {text}" for code, text in errors if code in WANTED - unasked]
    assert not missing, "\n".join(missing)


def test_shapes_are_stated():
    missing = []
    for where, node, docs in array_functions():
        of = {p.name: f"{p.type} {' '.join(p.desc)}" for p in docs.doc["Parameters"]}
        wanted = [text for name, text in of.items() for one in takes_arrays(node) if one in name.split(", ")]
        if gives_arrays(node):
            parts = [*docs.doc["Returns"], *docs.doc["Yields"]]
            said = " ".join(f"{p.type} {' '.join(p.desc)}" for p in parts)
            wanted.append(docs.raw_doc if is_property(node) else said)
        missing += [f"{where}: no shape in {text!r}" for text in wanted if not SHAPE.search(text)]
    assert not missing, "\n".join(missing)


def test_what_is_raised_is_said():
    missing = []
    for where, node, docs in public_functions():
        said = " ".join(p.type for p in docs.doc["Raises"])
        missing += [f"{where}: raises {name}" for name in sorted(set(raised(node))) if name not in said]
    assert not missing, "\n".join(missing)
