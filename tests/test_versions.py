"""utils/cluster/versions.py: what must be the same on every machine of a run."""

import sys

from conftest import ROOT
from utils.cluster import versions as room
from utils.cluster.versions import disagreement, versions


def test_the_same_machine_agrees_with_itself():
    here = versions()
    assert (
        here["Python"] == f"{sys.version_info.major}.{sys.version_info.minor}"
        and len(here["the code of this suite"]) == 16
    )
    assert {"numpy", "pillow"} <= here.keys()
    assert disagreement(here) == "" and disagreement({}) == ""


def test_what_differs_is_said():
    here = versions()
    assert disagreement({"numpy": "0.1"}) == (
        f"has numpy {here['numpy']}, the machine that asks has 0.1: use the same on both"
    )
    assert disagreement({**here, "scipy": "1"}) == (
        "has scipy not at all, the machine that asks has 1: use the same on both"
    )


def test_the_code_is_told_by_names_and_content(tmp_path, monkeypatch):
    assert room.CHECKOUT == ROOT
    monkeypatch.setattr(room, "CHECKOUT", tmp_path)
    (tmp_path / "utils" / "wing").mkdir(parents=True)
    found = [room._digest()]
    for name, text in (("a.py", "1"), ("a.py", "2"), ("wing/b.py", "1"), ("c.txt", "no code")):
        (tmp_path / "utils" / name).write_text(text)
        found.append(room._digest())
    assert len(set(found)) == 4 and found[3] == found[4]
    (tmp_path / "utils" / "wing" / "b.py").rename(tmp_path / "utils" / "b.py")
    assert room._digest() not in found
