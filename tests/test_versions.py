"""utils/cluster/versions.py: what must be the same on every machine of a run."""

import sys

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
