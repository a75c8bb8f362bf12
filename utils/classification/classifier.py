"""Scores of patches: weights read safely, batches on a CPU, CUDA or MPS device, in full or half precision."""

import pickle
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from utils.classification.models import build_model, detect_arch, load_state, prepare
from utils.cli import UsageError

BATCH_SIZES = {"cpu": 32, "cuda": 256, "mps": 128}
DECIMALS = 4
# A half-precision logit nearer to the threshold than this is computed again in fp32 (--precision auto): more than bf16
# moved any logit of a ResNet34 in benchmarks/bench_classify.py.
MARGIN = 1.5

State = dict[str, Tensor]


class Classifier:
    """A network with its weights on a device.

    Parameters
    ----------
    state : state_dict
        Of either network; which one is told by its layers.
    device : str
        ``auto`` takes CUDA, then MPS, then the CPU.
    precision : str
        ``auto`` takes half precision where it is faster, and computes doubtful patches again in fp32.
    batch_size : int, optional
    threshold : float
        Where decisions are made; ``auto`` precision looks closer around it.
    origin : str
        Where the weights come from, for messages.

    Raises
    ------
    ValueError
        If the weights fit neither network.
    UsageError
        If the device is not there.
    """

    def __init__(
        self,
        state: State,
        *,
        device: str = "auto",
        precision: str = "auto",
        batch_size: int | None = None,
        threshold: float = 0.5,
        origin: str = "weights",
    ) -> None:
        self.arch = detect_arch(state)
        self.device = pick_device(device)
        self.dtype = pick_dtype(precision, self.device, self.arch)
        self.looks_twice = precision == "auto" and self.dtype != torch.float32
        self.batch_size = batch_size or BATCH_SIZES[self.device]
        self.doubt = float(np.log(threshold) - np.log1p(-threshold)) if 0 < threshold < 1 else np.inf
        model = build_model(self.arch)
        load_state(model, state, origin)
        self.model = model.eval().to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.device == "cuda":
            # fp32 is the yardstick; TF32 would quietly be less.
            torch.backends.cudnn.allow_tf32 = False

    def scores(self, patches: Sequence[np.ndarray]) -> np.ndarray:
        """Probability that each patch is informative.

        Parameters
        ----------
        patches : sequence of (h, w) uint8 arrays, of any sizes

        Returns
        -------
        ndarray of float64, shape (n,)
            Rounded to `DECIMALS`, so that batch size and machine do not show.
        """
        logits = self._logits(patches, self.dtype)
        if self.looks_twice and len(patches):
            doubtful = [int(i) for i in np.flatnonzero(np.abs(logits - self.doubt) < MARGIN)]
            logits[doubtful] = self._logits([patches[i] for i in doubtful], torch.float32)
        return np.round(1 / (1 + np.exp(-np.clip(logits, -60, 60))), DECIMALS)

    def _logits(self, patches: Sequence[np.ndarray], dtype: torch.dtype) -> np.ndarray:
        by_shape = defaultdict(list)
        for i, patch in enumerate(patches):
            by_shape[patch.shape].append(i)
        logits = np.empty(len(patches))
        for indices in by_shape.values():
            for start in range(0, len(indices), self.batch_size):
                part = indices[start : start + self.batch_size]
                logits[part] = self._batch(np.stack([patches[i] for i in part]), dtype)
        return logits

    def _batch(self, stack: np.ndarray, dtype: torch.dtype) -> np.ndarray:
        """Logits of one stack (n, h, w); halves it when the device's memory is too small."""
        try:
            return self._forward(torch.from_numpy(stack), dtype)
        except torch.OutOfMemoryError:
            if len(stack) == 1:
                raise
        torch.cuda.empty_cache()
        middle = (len(stack) + 1) // 2
        self.batch_size = min(self.batch_size, middle)
        return np.concatenate([self._batch(half, dtype) for half in (stack[:middle], stack[middle:])])

    @torch.inference_mode()
    def _forward(self, stack: Tensor, dtype: torch.dtype) -> np.ndarray:
        if self.device == "cuda":
            stack = stack.pin_memory()
        # Resizing with antialiasing is not everywhere in MPS.
        first = "cpu" if self.device == "mps" else self.device
        x = prepare(stack.to(first, non_blocking=True), self.arch).to(self.device)
        x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device, dtype, enabled=dtype != torch.float32):
            return self.model(x).squeeze(1).float().cpu().numpy().astype(np.float64)


def load_weights(path: Path) -> State:
    """Read a state_dict without running anything that is in the file, and check that it fits one of the networks.

    Raises
    ------
    ValueError
        If the file holds anything else, is damaged, or its layers or shapes are not a network's.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(f"{path}: refused, it holds more than plain weights or is damaged: {_gist(error)}") from error
    except (RuntimeError, EOFError, KeyError, IndexError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a readable weights file: {_gist(error) or type(error).__name__}") from error
    if not isinstance(state, dict) or not state or not all(isinstance(v, Tensor) for v in state.values()):
        raise ValueError(f"{path}: not a state_dict: expected a plain dict of tensors, found {type(state).__name__}")
    load_state(build_model(detect_arch(state)), state, str(path))
    if spoilt := [name for name, values in state.items() if not torch.isfinite(values).all()]:
        raise ValueError(f"{path}: {len(spoilt)} layers hold values that are not finite, the first is {spoilt[0]}")
    return state


def pick_device(name: str) -> str:
    """Choose where to compute.

    Raises
    ------
    UsageError
        If the device asked for is not there.
    """
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return next(device for device in ("cuda", "mps", "cpu") if there[device])
    if not there[name]:
        raise UsageError(f"--device {name}: this machine, or this build of torch, has none; use --device cpu")
    return name


def pick_dtype(precision: str, device: str, arch: str) -> torch.dtype:
    """Choose the precision; ``auto`` takes a smaller one only where it was measured or is known to be faster.

    On a CPU that is bf16 with instructions for it, and only for the large network. MPS stays at fp32.
    """
    named = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    if precision != "auto":
        return named[precision]
    if device == "cuda":
        return torch.float16
    if device == "cpu" and arch == "resnet34" and _cpu_has_bf16():
        return torch.bfloat16
    return torch.float32


def _cpu_has_bf16() -> bool:
    features = torch.cpu.get_capabilities()
    return bool(features.get("avx512_bf16") or features.get("amx_bf16"))


def _gist(error: Exception) -> str:
    """What torch found, by name, without its advice to load unsafely."""
    text = " ".join(str(error).split())
    if found := re.search(r"GLOBAL (\S+)", text):
        return f"it asks for {found[1]}"
    return text.rpartition("WeightsUnpickler error: ")[2].split(" Please ")[0].split(" Check the doc")[0][:200]
