"""Spoilt volumes keep their patches: fill values, hot and dead pixels cost real sections none of their contrast."""

import sys

from conftest import ROOT
from utils.volumes import open_volume

sys.path.insert(0, str(ROOT / "benchmarks"))
from bench_contrast import cases, count_kept

SPOILT = ("rim 65535", "5 % -9999, float", "5 % 0, offset 30000", "0.2 % hot", "rim 1e38, hot")


def test_spoilt_sections_keep_what_plain_ones_do(real_data, tmp_path):
    with open_volume(real_data / "3d" / "vnc_stack1_slices") as volume:
        raw = volume[:2]
    counted = count_kept({name: v for name, v in cases(raw) if name in ("plain", *SPOILT)}, tmp_path)
    plain = counted["plain"][0]
    assert plain > 40
    assert {name: kept for name, (kept, *_) in counted.items() if kept < 0.95 * plain} == {}
