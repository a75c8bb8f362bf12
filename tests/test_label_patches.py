"""collection/label_patches.py in a real browser: keys, undo, reload, two tabs, a kill; and who may ask for what."""

import csv
import http.client
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

import label_patches
from browser import browser, complaints, needs_browser, wait_for
from conftest import ROOT, wrong_defaults
from made_collection import add_dataset, image_names, pixels, small_collection, volume_names
from utils.training.labels import read_labelled


@contextmanager
def opened(*arguments: object) -> Iterator[str]:
    """Run the script in a thread; yields the page's address."""
    servers: SimpleQueue = SimpleQueue()

    def serve(server, show: bool) -> None:
        servers.put(server)
        server.serve_forever(poll_interval=0.01)

    args = label_patches.parse_options().parse_args(list(map(str, arguments)))
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(1) as pool:
        patch.setattr(label_patches, "serve", serve)
        running = pool.submit(label_patches.label_command, args)
        server = servers.get(timeout=60)
        try:
            yield server.address
        finally:
            server.shutdown()
    assert running.result() == 0


@contextmanager
def served(*arguments: object) -> Iterator[tuple[str, subprocess.Popen]]:
    """Run the script in a process of its own; yields the page's address."""
    command = [sys.executable, str(ROOT / "collection" / "label_patches.py"), *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().rsplit(" ", 1)[1].strip(), process
    finally:
        process.terminate()
        process.wait()
        if process.stdout:
            process.stdout.close()


def rows(table: Path) -> list[dict[str, str]]:
    if not table.exists():
        return []
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def ask(address: str, method: str = "GET", path: str = "", body: object = None, **headers: str):
    """One request; returns status and content."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    content = None if body is None else json.dumps(body)
    connection.request(method, parts.path + path, content, {"Host": parts.netloc, **headers})
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


@pytest.fixture(scope="module")
def collection(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("collection")
    small_collection(root)
    return root


@pytest.fixture
def page(collection, tmp_path):
    """A server over the dictionaries with their scores, and a browser that shows its page."""
    table = tmp_path / "labels.csv"
    with opened(collection / "patches", table, "--scores", collection / "filtered") as address, browser() as driver:
        driver.get(address)
        wait_for(driver, "document.body.dataset.ready")
        yield driver, table, address


def press(driver, *keys: str) -> None:
    """Press keys one after another, as fast as they come, and wait until all have been dealt with."""
    from selenium.webdriver import ActionChains

    ActionChains(driver, duration=0).send_keys(*keys).perform()
    driver.execute_async_script("later(() => 0).then(arguments[0])")


@needs_browser
def test_keys_label_and_advance_and_undo_takes_all_back(page):
    driver, table, _ = page
    press(driver, "g", "b", "n", "1", "2")
    assert [row["label"] for row in rows(table)] == ["good", "bad", "none", "good", "bad"]
    assert driver.execute_script("return here") == 5
    shown = driver.execute_script("return items.slice(0, 5).map((item) => item[0])")
    assert [Path(row["path"]).stem for row in rows(table)] == shown
    for row in rows(table):
        picture = np.asarray(Image.open(table.parent / row["path"]))
        np.testing.assert_array_equal(picture, pixels(Path(row["path"]).stem))
    press(driver, "u", "u")
    assert [row["label"] for row in rows(table)] == ["good", "bad", "none"]
    driver.refresh()
    wait_for(driver, "document.body.dataset.ready")
    assert driver.execute_script("return [here, labels.filter(Boolean).length]") == [3, 3]
    press(driver, *"uuuuu")
    assert rows(table) == [] and "Nothing is left" in driver.find_element("id", "trouble").text
    press(driver, "g")
    assert len(rows(table)) == 1 and not driver.find_element("id", "trouble").is_displayed()
    assert complaints(driver) == []


@needs_browser
def test_arrows_selections_and_dragging(page):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    driver, table, _ = page
    press(driver, Keys.ARROW_RIGHT, "x", Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, "x", "b")
    names = driver.execute_script("return items.map((item) => item[0])")
    assert {Path(row["path"]).stem: row["label"] for row in rows(table)} == {names[1]: "bad", names[3]: "bad"}
    press(driver, "u")
    assert rows(table) == []
    press(driver, Keys.HOME, "v", Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, "g")
    assert {Path(row["path"]).stem for row in rows(table)} == set(names[:3])
    middles = "const b = cells.get(i).getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2];"
    cells = driver.execute_script(f"return [4, 6].map((i) => {{ {middles} }})")
    (x0, y0), (x1, y1) = cells
    drag = ActionChains(driver, duration=0)
    drag.w3c_actions.pointer_action.move_to_location(int(x0), int(y0))
    drag.w3c_actions.pointer_action.pointer_down()
    drag.w3c_actions.pointer_action.move_to_location(int(x1), int(y1))
    drag.w3c_actions.pointer_action.pointer_up()
    drag.perform()
    wait_for(driver, "chosen.size === 3")
    press(driver, "n")
    assert {Path(row["path"]).stem for row in rows(table) if row["label"] == "none"} == set(names[4:7])
    assert complaints(driver) == []


@needs_browser
def test_two_tabs_share_what_is_labelled(page):
    driver, table, address = page
    first = driver.current_window_handle
    press(driver, "g", "b")
    driver.switch_to.new_window("tab")
    driver.get(address)
    wait_for(driver, "document.body.dataset.ready")
    assert driver.execute_script("return labels.slice(0, 3)") == ["good", "bad", ""]
    press(driver, "n")
    driver.switch_to.window(first)
    wait_for(driver, "labels[2] === 'none'")
    assert driver.execute_script("return here") == 2  # what others do never moves the frame under one's fingers
    press(driver, "j", "g")
    assert [row["label"] for row in rows(table)] == ["good", "bad", "none", "good"]


@needs_browser
def test_a_kill_loses_nothing_and_the_page_says_so(collection, tmp_path):
    table = tmp_path / "labels.csv"
    command = (collection / "patches", table, "--scores", collection / "filtered")
    with served(*command) as (address, process), browser() as driver:
        driver.get(address)
        wait_for(driver, "document.body.dataset.ready")
        press(driver, *"gbgbg")
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert [row["label"] for row in rows(table)] == ["good", "bad", "good", "bad", "good"]
        press(driver, "g")
        assert "not saved" in driver.find_element("id", "trouble").text
        assert driver.execute_script("return labels.filter(Boolean).length") == 5
        with opened(*command) as address:
            driver.get(address)
            wait_for(driver, "document.body.dataset.ready")
            press(driver, "u")
            assert [row["label"] for row in rows(table)] == ["good", "bad", "good", "bad"]


@needs_browser
def test_ten_thousand_patches_scroll(tmp_path):
    add_dataset(tmp_path, "many", image_names([f"i{n:04d}" for n in range(2500)]), kept=0.002)
    with opened(tmp_path / "patches", tmp_path / "l.csv", "--order", "random") as address, browser() as driver:
        driver.get(address)
        wait_for(driver, "document.body.dataset.ready")
        assert driver.execute_script("return items.length") == 10000
        most = driver.execute_async_script(
            """const end = arguments[0]; let most = 0, n = 0;
            (function down() { grid.scrollTop += 700; draw(); most = Math.max(most, cells.size);
              n++ < 12 ? requestAnimationFrame(down) : end(most); })()"""
        )
        assert most < 250  # cells in the page, however many patches there are
        driver.execute_script("go(9999)")
        assert driver.execute_script(
            "return cells.has(9999) && cells.get(9999).offsetTop < grid.scrollTop + grid.clientHeight"
        )
        assert complaints(driver) == []


@needs_browser
def test_the_zoom_shows_the_slices_around(tmp_path):
    import tifffile

    volume = np.random.default_rng(0).integers(0, 255, (8, 32, 32)).astype(np.uint8)
    (tmp_path / "volumes").mkdir()
    tifffile.imwrite(tmp_path / "volumes" / "fly.tif", volume, photometric="minisblack")
    add_dataset(tmp_path, "fly", volume_names("fly", grid=1), contrast={"method": "none", "low": 0.0, "high": 255.0})
    options = ("--scores", tmp_path / "filtered", "--volumes", tmp_path / "volumes")
    with opened(tmp_path / "patches", tmp_path / "labels.csv", *options) as address, browser(500, 700) as driver:
        driver.get(address)
        wait_for(driver, "document.body.dataset.ready")
        at = driver.execute_script("return items.findIndex((item) => item[0].includes('-LOC-0_4_'))")
        driver.execute_script(f"go({at})")
        press(driver, "\ue007", "]")
        wait_for(driver, "[...document.querySelectorAll('#pictures img')].every((p) => p.complete)")
        assert driver.execute_script("return document.querySelector('#pictures .middle').src").endswith(f"slice/{at}/1")
        assert "1 slice after" in driver.find_element("id", "caption").text
        status, content = ask(address, path=f"slice/{at}/1")
        assert status == 200
        import io

        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), volume[5])
        assert ask(address, path=f"slice/{at}/4")[0] == 404
        press(driver, "b")
        assert [row["label"] for row in rows(tmp_path / "labels.csv")] == ["bad"]


@needs_browser
def test_hostile_names_stay_text(tmp_path):
    name = "<img src=x onerror=document.title='owned'>\"'&"
    add_dataset(tmp_path, name, image_names([name]))
    with opened(tmp_path / "patches", tmp_path / "l.csv") as address, browser() as driver:
        driver.get(address)
        wait_for(driver, "document.body.dataset.ready")
        press(driver, "\ue007", "g")
        assert driver.title != "owned" and name in driver.find_element("id", "caption").text
        assert [row["source"] for row in rows(tmp_path / "l.csv")] == [name]


def test_only_who_has_the_address_is_answered(collection, tmp_path):
    with opened(collection / "patches", tmp_path / "labels.csv") as address:
        port = urlsplit(address).port
        assert urlsplit(address).hostname == "127.0.0.1"
        assert ask(address)[0] == 200
        assert ask(address, Host=f"localhost:{port}")[0] == 200
        for host in ("evil.example", f"evil.example:{port}", f"127.0.0.1:{port + 1}", "127.0.0.1"):
            assert ask(address, Host=host)[0] == 403
        for path in ("/", "/items.json", "/guess/items.json", "/../../etc/passwd"):
            assert ask(f"http://127.0.0.1:{port}{path}")[0] == 403
        for path in ("../label.html", "pages/label.js", "patch/100000", "patch/x", "slice/0/1", "label"):
            assert ask(address, path=path)[0] in (403, 404)
        body = {"items": [0], "label": "good"}
        assert ask(address, "POST", "label", body, Origin="http://evil.example")[0] == 403
        for bad in (
            {"items": [10**9], "label": "good"},
            {"items": [0], "label": "x"},
            {},
            [1],
            {"items": 5, "label": "good"},
        ):
            assert ask(address, "POST", "label", bad)[0] == 400
        assert rows(tmp_path / "labels.csv") == []
        assert ask(address, "POST", "label", body, Origin=f"http://127.0.0.1:{port}")[0] == 200
        assert len(rows(tmp_path / "labels.csv")) == 1


def test_ctrl_c_ends_it_with_a_summary(collection, tmp_path):
    with served(collection / "filtered", tmp_path / "labels.csv", "--order", "random") as (address, process):
        ask(address, "POST", "label", {"items": [0, 1], "label": "good"})
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert process.stdout.read().strip().endswith("labels.csv: 2 good, 0 bad, 0 none")


def test_two_servers_fill_one_table_at_once(collection, tmp_path):
    table, label = tmp_path / "labels.csv", {"anna": "good", "ben": "bad"}
    common = (collection / "patches", table, "--order", "random", "--who")
    with served(*common, "anna") as (anna, _), served(*common, "ben") as (ben, _), ThreadPoolExecutor(2) as pool:

        def work(who: str, address: str) -> None:
            for i in range(who == "ben", 60, 2):  # every other patch, each in its own request
                assert ask(address, "POST", "label", {"items": [i], "label": label[who]})[0] == 200

        list(pool.map(work, ("anna", "ben"), (anna, ben)))
        told = [dict(json.loads(ask(address, path="news?since=0")[1])["changes"]) for address in (anna, ben)]
        assert told[0] == told[1] == {i: ("good", "bad")[i % 2] for i in range(60)}
        assert json.loads(ask(anna, "POST", "undo", {})[1])["undone"] == [58]
        assert json.loads(ask(ben, "POST", "undo", {})[1])["undone"] == [59]
    found = rows(table)
    assert len(found) == 58 and all(row["label"] == label[row["who"]] for row in found)
    assert len({row["path"] for row in found}) == 58


def test_training_reads_what_was_labelled(collection, tmp_path):
    with opened(collection / "patches", tmp_path / "labels.csv") as address:
        for i in range(80):
            ask(address, "POST", "label", {"items": [i], "label": ("good", "bad")[i % 2]})
    data = read_labelled(tmp_path / "labels.csv")
    assert len(data) == 80 and set(data.sources) <= {"fly", "mouse.v1", "tem"}
    np.testing.assert_array_equal(data.patches[0], pixels(data.paths[0].stem))


@pytest.mark.parametrize(
    ("options", "said"),
    [(["--order", "uncertain"], "goes by scores"), (["--dataset", "fly", "--dataset", "no"], "no patches of no")],
)
def test_bad_usage(options, said, collection, tmp_path, capsys):
    assert label_patches.main([str(collection / "patches"), str(tmp_path / "l.csv"), *options]) == 2
    assert said in capsys.readouterr().err
    assert wrong_defaults(label_patches.parse_options()) == {}


def test_a_damaged_dictionary_costs_itself_and_the_exit_code(tmp_path, monkeypatch, capsys):
    add_dataset(tmp_path, "fly", image_names(["a"]))
    (tmp_path / "patches" / "bad.pkl").write_bytes(b"no")
    monkeypatch.setattr(label_patches, "serve", lambda server, show: None)
    assert label_patches.main([str(tmp_path / "patches"), str(tmp_path / "l.csv"), "--verbose"]) == 1
    out, err = capsys.readouterr()
    assert "4 of 4 patches, random first" in out and err.startswith(f"{tmp_path}/patches/bad.pkl: ")


@pytest.mark.parametrize("show", [True, False])
def test_the_page_is_opened_where_it_is_asked_for(monkeypatch, show):
    opened, known = [], threading.Event()

    def until_interrupted(poll_interval):
        known.wait(5 if show else 0)
        raise KeyboardInterrupt

    monkeypatch.setattr("webbrowser.open", lambda address: (opened.append(address), known.set()))
    label_patches.serve(SimpleNamespace(address="http://here/", serve_forever=until_interrupted), show)
    assert opened == (["http://here/"] if show else [])
