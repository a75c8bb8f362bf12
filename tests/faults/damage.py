"""A process that damages files and reads each in a child of its own: whatever a reader does, it is seen.

python damage.py FOLDER: a line of JSON asks for (sample, seed, first number, last + 1); the answer says what is wrong.
"""

import gc
import importlib
import json
import os
import random
import select
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parents[1])]

from mutations import mutate  # noqa: E402
from samples import SAMPLES, read  # noqa: E402

MODULES = (
    *("utils.volumes", "utils.images", "utils.dictionaries", "utils.dataset_table", "utils.ngff.multiscale"),
    *("utils.records.kept_patch", "utils.records.duplicates", "utils.records.scores", "utils.formats.video"),
    *("tifffile", "PIL.Image", "PIL.PngImagePlugin", "imagecodecs", "h5py", "cv2", "tensorstore", "zarr", "SimpleITK"),
)
SECONDS = 60.0
# Damages that one child looks at, one after another.
BATCH = 50
LIMIT_GB = 0.25
# Above what this process takes itself: what may be decoded, libraries that a child imports, and copies.
MOST_BYTES = 900 << 20
LONGEST_SENTENCE = 2000


def rounds(name: str, seed: str, numbers: range, folder: Path) -> dict:
    """Damage a sample in numbered ways; how often it was refused, and what is wrong."""
    sound = make(name, folder)
    files = sorted(path for path in folder.rglob(SAMPLES[name].parts or sound.name) if path.is_file())
    contents = {path: path.read_bytes() for path in files}
    refused, wrong = 0, []
    for answer in batches(name, sound, contents, seed, numbers):
        refused += "refused" in answer.get("found", {})
        if answer["wrong"]:
            wrong.append(f"{name}, seed {seed}, {answer['said']}: {answer['wrong']}")
    return {"refused": refused, "wrong": wrong}


def make(name: str, folder: Path) -> Path:
    """Make a sample, in a child: libraries with threads of their own work in one process only, not in its children."""
    place = folder / ".place"
    if (child := os.fork()) == 0:
        place.write_text(str(SAMPLES[name].make(folder)))
        os._exit(0)
    os.waitpid(child, 0)
    sound = Path(place.read_text())
    place.unlink()
    return sound


def batches(name: str, sound: Path, contents: dict[Path, bytes], seed: str, numbers: range) -> Iterator[dict]:
    """The outcome of every damage; a child does as many as it survives."""
    done = numbers.start
    while done < numbers.stop:
        for answer in in_a_child(name, sound, contents, seed, range(done, min(done + BATCH, numbers.stop))):
            yield answer
            done += 1
        for path, content in contents.items():
            path.write_bytes(content)


def in_a_child(name: str, sound: Path, contents: dict[Path, bytes], seed: str, numbers: range) -> Iterator[dict]:
    """The outcomes of some damages, done in a child; the last one is that which ended it."""
    receive, send = os.pipe()
    if (child := os.fork()) == 0:
        os.close(receive)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # decoders' own complaints
        damage(name, sound, contents, seed, numbers, send)
        os._exit(0)
    os.close(send)
    answered = 0
    with os.fdopen(receive) as lines:
        while select.select([lines], [], [], SECONDS)[0] and (line := lines.readline()):
            yield json.loads(line)
            answered += 1
    os.kill(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    ended = os.waitstatus_to_exitcode(status)
    if answered < len(numbers):
        reason = f"longer than {SECONDS} s" if ended == -signal.SIGKILL else f"ended by {ended}"
        yield {"said": f"number {numbers[answered]}", "wrong": reason}
    elif usage.ru_maxrss << 10 > MOST_BYTES + own_bytes():
        print(f"{name}, seed {seed}, numbers {numbers}: took {usage.ru_maxrss >> 10} MB", file=sys.stderr)


def damage(name: str, sound: Path, contents: dict[Path, bytes], seed: str, numbers: range, send: int) -> None:
    """Read the sound file, then damaged ones; write what came of each."""
    wanted = outcome(name, sound)
    for number in numbers:
        chance = random.Random(f"{seed} {name} {number}")
        path = chance.choice(list(contents))
        kind, damaged = mutate(contents[path], chance)
        path.write_bytes(damaged)
        found = outcome(name, sound)
        path.write_bytes(contents[path])
        answer = {
            "said": f"number {number}, {path.name}, {kind}", "found": found,
            "wrong": found.pop("wrong", "") or judged(name, kind, found, wanted),
        }  # fmt: skip
        os.write(send, json.dumps(answer).encode() + b"\n")


def judged(name: str, kind: str, found: dict, wanted: dict) -> str:
    """What is wrong with the outcome of a damage; ``""`` when nothing is."""
    if "read" not in wanted:
        return f"the sound file is {wanted}"
    sample = SAMPLES[name]
    if "read" in found and found != wanted and (sample.checked or (kind == "cut" and sample.whole)):
        return "other voxels were read without a word"
    return ""


def outcome(name: str, path: Path) -> dict:
    """Read a file: what it holds or the sentence, and what is no sentence."""
    try:
        return {"read": read(name, path)}
    except (ValueError, OSError) as error:
        sentence = str(error)
        plain = 0 < len(sentence) < LONGEST_SENTENCE and "Traceback" not in sentence
        return {"refused": sentence, "wrong": "" if plain else f"is no sentence: {sentence[:300]!r}"}
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is what this looks for
        import traceback

        return {"wrong": "".join(traceback.format_exception(error))[-1500:]}


def own_bytes() -> int:
    """What this process takes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def load() -> None:
    """Import what readers import, so that children need not."""
    for name in MODULES:
        importlib.import_module(name)
    gc.freeze()


def serve(folder: Path) -> None:
    """Answer requests until there are no more."""
    os.environ["TMPDIR"] = str(folder)
    from utils.settings import MAX_GB, choose

    choose(MAX_GB, str(LIMIT_GB))
    load()
    for turn, line in enumerate(sys.stdin):
        name, seed, first, stop = json.loads(line)
        (place := folder / str(turn)).mkdir()
        print(json.dumps(rounds(name, seed, range(first, stop), place)), flush=True)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
