"""Label, train, look again: the README's loop, twice, in an empty folder; labels are typed as the page types them."""

import http.client
import json
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

import classify_patches
import train_patch_classifier
from conftest import ROOT
from tissue import cut, dictionary, texture
from utils.records.scores import read_scores

SIDE = 96


@pytest.fixture
def patches(tmp_path, monkeypatch):
    """Two datasets, half tissue and half resin, and no table yet."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for seed, name in enumerate(("fly", "mouse")):
        image = texture(seed, (SIDE * 4, SIDE * 6))
        tissue = {f"{name}-good{i}": cut(image, i // 6 * SIDE, i % 6 * SIDE, SIDE) for i in range(24)}
        resin = {f"{name}-bad{i}": rng.normal(120, 3, (SIDE, SIDE)).astype(np.uint8) for i in range(24)}
        dictionary(tmp_path / "patches" / f"{name}.pkl", tissue | resin)
    return Path("patches")


def label(*arguments: object, count: int) -> int:
    """Type the labels of the first patches that have none; how many had one before."""
    command = [sys.executable, str(ROOT / "collection" / "label_patches.py"), *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        page = urlsplit(process.stdout.readline().rsplit(" ", 1)[1].strip())
        connection = http.client.HTTPConnection(page.hostname or "", page.port, timeout=60)

        def ask(method: str, path: str, body: object = None) -> dict:
            content = None if body is None else json.dumps(body)
            connection.request(method, page.path + path, content, {"Origin": f"http://{page.netloc}"})
            answer = connection.getresponse()
            assert answer.status == 200
            return json.loads(answer.read())

        try:
            shown = ask("GET", "items.json")
            known = {i for i, said in shown["changes"] if said}
            for i in [i for i in range(len(shown["items"])) if i not in known][:count]:
                said = "good" if "good" in shown["items"][i][0] else "bad"
                ask("POST", "label", {"items": [i], "label": said, "since": shown["revision"]})
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
        finally:
            connection.close()
            process.kill()
    return len(known)


def test_the_loop_goes_round(patches, capsys):
    weights = "trained/patch_quality_classifier_nn.pth"
    assert label(patches, "labels.csv", count=70) == 0
    stored = []
    for count in (70, 82):
        train = "labels.csv trained --arch lite --bank 64 --side 96 --validation 0 --update"
        assert train_patch_classifier.main(train.split()) == 0, capsys.readouterr().err
        assert classify_patches.main([str(patches), "again", "--weights", weights, "--update", "-p", "1"]) == 0
        stored.append((Path(weights).read_bytes(), Path("again/fly.csv").read_bytes()))
        assert label(patches, "labels.csv", "--scores", "again", count=12) == count
    assert stored[0][0] != stored[1][0] and stored[0][1] != stored[1][1]
    scores = {score.name: score.kept for name in ("fly", "mouse") for score in read_scores(Path(f"again/{name}.csv"))}
    assert np.mean([("good" in name) == kept for name, kept in scores.items()]) > 0.9
