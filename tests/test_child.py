"""The process that does the work on a cluster: answers, refusals, warnings of its own."""

import os
import pickle
import warnings
from pathlib import Path

from conftest import ROOT
from utils.cluster import child, client, keeper
from utils.settings import MAX_GB, settings


def test_a_child_answers_and_refuses(tmp_path, capfd):
    hello = {"versions": {}, "folder": str(tmp_path), "relative": True, "script": None, "settings": {}}
    order = keeper.Order("run", "key", (str(ROOT),), hello, client._pack(str.upper)[0])
    answers, _ = keeper.answer(order, [client._pack(item)[0] for item in ("a", 3)], lambda: True)
    kinds = [client.pickle.loads(answer)[0] for answer in answers if answer]
    assert kinds == [child.RETURNED, child.RAISED]
    away = keeper.Order("run", "other", (str(ROOT),), {**hello, "folder": str(tmp_path / "absent")}, order.work)
    [refused], _ = keeper.answer(away, [client._pack("a")[0]], lambda: True)
    assert refused and client.pickle.loads(refused)[0] == child.REFUSED
    (tmp_path / "script.py").write_text("def double(text):\n    print('said', text)\n    return 2 * text\n")
    own = {**hello, "script": str(tmp_path / "script.py")}
    of_script = keeper.Order("run", "third", (str(ROOT),), own, b"c__main__\ndouble\n.")
    [answered], _ = keeper.answer(of_script, [client._pack("ab")[0]], lambda: True)
    assert answered and client.pickle.loads(answered) == (child.RETURNED, "abab", ())
    told = keeper.Order("run", "fourth", (str(ROOT),), {**own, "settings": {MAX_GB: "1.5"}}, pickle.dumps(os.getenv))
    [answered], _ = keeper.answer(told, [client._pack(MAX_GB)[0]], lambda: True)
    assert answered and client.pickle.loads(answered) == (child.RETURNED, "1.5", ())
    keeper.keeper.end_run("run")
    assert capfd.readouterr() == ("", "said ab\n")  # what work prints is no answer; it goes without a word


def test_work_returns_raises_and_warns():
    def warn(item):
        for sentence in ("odd", "odd", "odder"):
            warnings.warn(sentence, stacklevel=1)
        warnings.warn("no business of users", DeprecationWarning, stacklevel=1)
        return item

    item = pickle.dumps(3)
    assert child._answer(warn, item) == (child.RETURNED, 3, ("odd", "odder"))
    kind, error, said = child._answer(lambda item: item / 0, item)
    assert (kind, type(error), said) == (child.RAISED, ZeroDivisionError, ())
    assert child._answer("sees no folder", item) == (child.REFUSED, "sees no folder", ())


def test_what_cannot_be_packed_is_told():
    assert pickle.loads(child._packed((child.RETURNED, 7, ()))) == (child.RETURNED, 7, ())
    kind, error, _ = pickle.loads(child._packed((child.RETURNED, lambda: None, ())))
    assert kind == child.RAISED and "lambda" in str(error)


def test_where_relative_paths_lead_from(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    assert child._stand({"folder": str(tmp_path / "in"), "relative": True}) == "" and Path.cwd() == tmp_path / "in"
    gone = str(tmp_path / "gone")
    said = child._stand({"folder": gone, "relative": True})
    assert said.startswith(f"does not see {gone}, from where relative paths lead")
    assert child._stand({"folder": gone, "relative": False}) == "" and Path.cwd() == Path("/")


def test_what_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hello = {"versions": {}, "folder": str(tmp_path), "relative": True, "script": None, "settings": settings()}
    assert (
        child._begin(hello, b"cno_such_room\nwork\n.") == "lacks what this suite needs: No module named 'no_such_room'"
    )


def test_a_child_whose_parent_is_gone_tidies_up_and_goes():
    orphan = keeper.Child((str(ROOT),))
    orphan._process.stdin.close()
    assert orphan._process.wait(60) == 143
    orphan.end()
