"""Weights files: a plain state_dict, read without running anything that is in it."""

import hashlib
import pickle
import re
import zlib
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import torch
from torch import Tensor

from utils.classification.models import detect_arch, loaded_model
from utils.memory import require
from utils.reading import DAMAGE

State = dict[str, Tensor]
# What layers may hold: other types (quantized, 8-bit floats) compute in ways of their own.
NUMBERS = {torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64, torch.int32, torch.uint8}


def load_weights(path: Path) -> State:
    """Read a state_dict, see `read_state`, and check that it fits one of the networks.

    Raises
    ------
    ValueError
        If its layers or shapes are not a network's, or its values are not finite.
    """
    state = read_state(path)
    loaded_model(detect_arch(state, str(path)), state, str(path))
    if spoilt := [name for name, values in state.items() if not torch.isfinite(values).all()]:
        raise ValueError(f"{path}: {len(spoilt)} layers hold values that are not finite, the first is {spoilt[0]}")
    return state


def digest_of(state: State) -> str:
    """What tells whether two states are the same, by the names and values of their layers."""
    found = hashlib.sha256()
    for name in sorted(state):
        found.update(f"{name} {state[name].dtype} {list(state[name].shape)}\n".encode())
        found.update(state[name].cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def read_state(path: Path) -> State:
    """Read a state_dict without running anything that is in the file.

    Raises
    ------
    ValueError
        If the file holds anything else, or is damaged.
    """
    require(_unpacked_bytes(path), "the weights file")
    if part := _damaged_part(path):
        raise ValueError(f"{path}: damaged: the content of {part} is not what its checksum says")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(f"{path}: refused, it holds more than plain weights or is damaged: {_gist(error)}") from error
    except (OSError, RuntimeError, EOFError, LookupError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a readable weights file: {_gist(error) or type(error).__name__}") from error
    if not isinstance(state, dict) or not state or not all(isinstance(v, Tensor) for v in state.values()):
        raise ValueError(f"{path}: not a state_dict: expected a plain dict of tensors, found {type(state).__name__}")
    if odd := [f"{name} ({v.dtype}, {v.layout})" for name, v in state.items() if not _is_plain(v)]:
        raise ValueError(f"{path}: {len(odd)} layers hold no plain real numbers, the first is {odd[0]}")
    return {name: values.detach() for name, values in state.items()}


def _is_plain(values: Tensor) -> bool:
    return not values.is_meta and values.layout == torch.strided and values.dtype in NUMBERS


def _unpacked_bytes(path: Path) -> int:
    """What a file takes once it is unpacked: weights are an archive, whose parts may be compressed."""
    size = path.stat().st_size
    try:
        with ZipFile(path) as archive:
            return max(size, sum(part.file_size for part in archive.infolist()))
    except (BadZipFile, OSError, *DAMAGE):
        return size  # older weights are a pickle; what is neither, torch says


def _damaged_part(path: Path) -> str | None:
    """The first part of an archive that has changed since it was written: torch does not look."""
    try:
        with ZipFile(path) as archive:
            return archive.testzip()
    except (BadZipFile, OSError, zlib.error, *DAMAGE):
        return None  # torch says what it is


def _gist(error: Exception) -> str:
    """What torch found, by name, without its advice to load unsafely."""
    text = " ".join(str(error).split())
    if found := re.search(r"GLOBAL (\S+)", text):
        return f"it asks for {found[1]}"
    return text.rpartition("WeightsUnpickler error: ")[2].split(" Please ")[0].split(" Check the doc")[0][:200]
