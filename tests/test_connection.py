"""utils/cluster/connection.py: to a scheduler, or why not; what must be the same on every machine of a run."""

import logging
import socket
import sys

import pytest

from conftest import ROOT
from utils.cli import UsageError
from utils.cluster import connection
from utils.cluster.connection import disagreement, versions


def test_other_versions_are_a_sentence(monkeypatch):
    wanted = versions() | {"numpy": "0.1"}
    assert disagreement(versions()) == ""
    assert "has numpy" in disagreement(wanted) and "has 0.1" in disagreement(wanted)
    found = {"host": {"python": "3.9.1.final.0"}, "packages": {"distributed": "1.0"}}
    assert connection._dask_versions(found) == "Python 3.9 with distributed 1.0"


def test_who_can_be_reached():
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert connection.reaches(f"tcp://127.0.0.1:{server.getsockname()[1]}")
    assert not connection.reaches("tcp://127.0.0.1:9")
    assert not connection.reaches("inproc://1/2/3")


def test_nobody_answers(monkeypatch):
    loggers = [logging.getLogger(name) for name in ("distributed.comm", "tornado")]
    for logger in loggers:
        monkeypatch.setattr(logger, "level", logging.NOTSET)
    with pytest.raises(UsageError, match=r"^no Dask scheduler answers at tcp://127\.0\.0\.1:9: "):
        connection.connect("tcp://127.0.0.1:9", 0.2)
    assert {logger.level for logger in loggers} == {logging.CRITICAL + 1}  # the sentence says it all


@pytest.mark.parametrize("address", ["here", "tcp://", "http://h:1", "tcp://h:port"])
def test_what_is_no_address_makes_no_client(monkeypatch, address):
    monkeypatch.setattr("distributed.Client", lambda *_, **__: pytest.fail("a client was made"))
    with pytest.raises(UsageError, match=f"^no Dask scheduler answers at {address}: "):
        connection.connect(address, 0.2)


def test_what_is_not_installed_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match="--dask needs the package 'distributed'; install"):
        connection.connect("tcp://127.0.0.1:9", 0.2)


class Client:
    """What a scheduler says of itself."""

    def __init__(self, **found):
        self.found, self.closed = found, False

    def get_versions(self, check):
        assert not check  # distributed's own check only warns
        return self.found

    def close(self, timeout):
        self.closed = True


def said(python="3.11.7.final.0", distributed="2026.1"):
    return {"host": {"python": python}, "packages": {"distributed": distributed}}


def test_versions_that_agree_but_for_the_last_number():
    client = Client(client=said(), scheduler=said("3.11.2.final.0"), workers={"w": said()})
    connection._refuse_other_versions(client, "at")
    assert not client.closed


@pytest.mark.parametrize(
    ("scheduler", "worker", "where", "runs"),
    [
        (said("3.12.1"), said(), "at", "Python 3.12 with distributed 2026.1"),
        (said(), said(distributed="2025.9"), "w", "Python 3.11 with distributed 2025.9"),
    ],
)
def test_versions_that_do_not(scheduler, worker, where, runs):
    client = Client(client=said(), scheduler=scheduler, workers={"w": worker})
    with pytest.raises(
        UsageError, match=f"^{where} runs {runs}, this process Python 3.11 with distributed 2026.1: use"
    ):
        connection._refuse_other_versions(client, "at")
    assert client.closed


def test_a_run_s_client_is_nobody_else_s(monkeypatch):
    asked = []

    def client(address, **options):
        asked.append((address, options))
        return Client(client=said(), scheduler=said(), workers={})

    monkeypatch.setattr("distributed.Client", client)
    assert isinstance(connection.connect("tcp://at:1", 3.0), Client)
    assert asked == [("tcp://at:1", {"timeout": 3.0, "set_as_default": False})]
    other = Client(client=said(), scheduler=said("3.12.1"), workers={})
    monkeypatch.setattr("distributed.Client", lambda *_, **__: other)
    with pytest.raises(UsageError, match=r"Python 3\.12"):
        connection.connect("tcp://at:1", 3.0)


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
    assert connection.CHECKOUT == ROOT
    monkeypatch.setattr(connection, "CHECKOUT", tmp_path)
    (tmp_path / "utils" / "wing").mkdir(parents=True)
    found = [connection._digest()]
    for name, text in (("a.py", "1"), ("a.py", "2"), ("wing/b.py", "1"), ("c.txt", "no code")):
        (tmp_path / "utils" / name).write_text(text)
        found.append(connection._digest())
    assert len(set(found)) == 4 and found[3] == found[4]
    (tmp_path / "utils" / "wing" / "b.py").rename(tmp_path / "utils" / "b.py")
    assert connection._digest() not in found
