"""int8 on CPUs, by OpenVINO: a model that is calibrated once on patches of the collection, and kept beside the weights.

Optional (requirements-openvino.txt). Patches are inferred one at a time, as many at once as there are threads, so that
no score depends on which others it was computed with.
"""

import contextlib
import hashlib
import importlib.util
import io
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from utils.classification.cascade import Outputs
from utils.cli import UsageError
from utils.files import atomic_path, expanded
from utils.locks import locked
from utils.parallel import ordered_map

# Patches that the int8 model's ranges are measured on.
CALIBRATION = 300
INT8, FLOAT = "int8.xml", "float.xml"
# Instructions for products of bytes; and those that any CPU of the last ten years has: by them it is twice as fast.
_FAST_X86 = ("avx512_vnni", "avx_vnni", "avx_vnni_int8", "amx_int8", "avx2")


def is_installed(*, builder: bool = False) -> bool:
    """Whether OpenVINO is there, and with `builder` also what makes int8 models."""
    return all(importlib.util.find_spec(name) for name in ("openvino", *(["nncf"] if builder else [])))


def has_fast_int8() -> bool:
    """Whether int8 is faster than fp32 on this CPU: by VNNI, AMX or AVX2, or ARM's dot products."""
    if platform.machine().lower() in ("arm64", "aarch64"):
        cpuinfo = Path("/proc/cpuinfo")
        return platform.system() == "Darwin" or (cpuinfo.is_file() and "asimddp" in cpuinfo.read_text())
    there = torch.cpu.get_capabilities()
    return any(there.get(name) for name in _FAST_X86)


def built_models(body: nn.Module, head: nn.Module, calibration: Sequence[np.ndarray], weights: Path, sha: str) -> Path:
    """The folder of the models for these weights and calibration patches, built unless it is there.

    Parameters
    ----------
    body, head : Module
        Features of gray images (n, 1, h, w), and the logit of features.
    calibration : sequence of (h, w) uint8 arrays
        All of one size, the network's.
    weights : Path
        The folder lies beside this file, or in the user's cache where that folder is read-only.
    sha : str
        The weights file's SHA-256.

    Raises
    ------
    UsageError
        If it is to be built, and what builds it is not installed.
    """
    digest = hashlib.sha256(b"".join(patch.tobytes() for patch in calibration)).hexdigest()
    name = f"{weights.name}.{sha[:16]}.{digest[:16]}.openvino"
    places = [weights.parent / name, _user_cache() / name]
    if there := next((place for place in places if (place / INT8).is_file()), None):
        return there
    if not is_installed(builder=True):
        raise UsageError("building the int8 model needs nncf: pip install -r requirements-openvino.txt")
    target = places[0] if os.access(weights.parent, os.W_OK) else places[1]
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(target):
        if not (target / INT8).is_file():
            with atomic_path(target) as scratch:
                scratch.mkdir()
                _build(body, head, calibration, scratch)
    return target


class OpenVinoNetwork:
    """A model file on this CPU; `precision`, ``bf16`` or ``f32``, is that of what is not int8."""

    def __init__(self, path: Path, threads: int, precision: str = "f32") -> None:
        import openvino as ov

        options = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": threads, "INFERENCE_PRECISION_HINT": precision}
        model = ov.Core().compile_model(path, "CPU", options)
        self._threads, self._idle = threads, SimpleQueue[Any]()
        for _ in range(threads):
            self._idle.put(model.create_infer_request())

    def __call__(self, stack: np.ndarray) -> Outputs:
        """Logits (n,) and features (n, f) of patches (n, h, w) uint8."""
        logits, features = zip(*ordered_map(self._seen, stack, self._threads), strict=True)
        return np.array(logits), np.stack(features)

    def _seen(self, patch: np.ndarray) -> tuple[float, np.ndarray]:
        """The logit and the features (f,) of one patch, by a request that no other thread has."""
        request = self._idle.get()
        request.infer({0: np.ascontiguousarray(patch)[None, None]})
        logit, features = (request.get_output_tensor(k).data for k in (0, 1))
        seen = float(logit.item()), features[0].copy()
        self._idle.put(request)
        return seen


class _Whole(nn.Module):
    """From gray bytes to logits and features."""

    def __init__(self, body: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.body, self.head = body, head

    def forward(self, gray: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (n, 1) and features (n, f) of gray (n, 1, h, w) uint8."""
        features = self.body(gray.float())
        return self.head(features), features


def _build(body: nn.Module, head: nn.Module, calibration: Sequence[np.ndarray], folder: Path) -> None:
    with _silent():
        import nncf
        import openvino as ov

        images = [np.ascontiguousarray(patch)[None, None] for patch in calibration]
        model = ov.convert_model(_Whole(body, head).eval(), example_input=torch.from_numpy(images[0]))
        model.reshape(list(images[0].shape))
        ov.save_model(model, folder / FLOAT, compress_to_fp16=False)
        # The last layer sums up all the others: it stays as it is.
        last = nncf.IgnoredScope(types=["MatMul"])
        small = nncf.quantize(model, nncf.Dataset(images), subset_size=len(images), ignored_scope=last)
        ov.save_model(small, folder / INT8, compress_to_fp16=False)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """No progress bars and warnings of the builder, and no reports to its makers."""
    import warnings

    said = {name: os.environ.get(name) for name in ("NNCF_CI", "CI")}
    os.environ.update(NNCF_CI="1", CI="true")
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, value in said.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _user_cache() -> Path:
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return expanded(base) / "em-patch-classifier"
