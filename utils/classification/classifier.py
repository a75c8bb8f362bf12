"""Scores of patches: a network with its weights on a CPU, CUDA or MPS device, in full or half precision."""

import copy
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from utils.classification.accounts import Account
from utils.classification.background import in_parts
from utils.classification.cascade import Cascade, Outputs, Precision
from utils.classification.decision import UNFITTED, Decision, Examined
from utils.classification.folding import GrayStem, fold_batch_norms
from utils.classification.models import SIDES, detect_arch, loaded_model, resized, standardized
from utils.classification.precisions import NAMES, pick_device, pick_dtype
from utils.classification.second_look import look_twice
from utils.classification.state_files import State
from utils.components import by_key
from utils.files import sha256_of
from utils.records.scores import DECIMALS

BATCH_SIZES = {"cpu": 32, "cuda": 256, "mps": 128}
LEAST_AT_ONCE, BATCHES_AHEAD = 256, 4
# Parts take unlike times: of several for each thread none waits long for the last one.
PARTS_AHEAD = 8
# What a thread takes at a time on a CPU: a ResNet34 holds 9 MB for each patch.
PARTS = {"resnet34": 8, "lite": 64}


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
    threshold : float, optional
        Where decisions are made, `decision`'s own by default; ``auto`` precision looks closer around it.
    decision : Decision
        How scores are made of the network's output.
    views : int, optional
        1, or 8 to average the output over all flips and quarter turns of a patch. By default 1; the lite network looks
        twice at patches that it is not sure of or that are mostly empty (`utils.classification.second_look`).
    threads : int
        On a CPU so many parts of the patches are looked at side by side.
    origin : str
        Where the weights come from, for messages.

    Attributes
    ----------
    network : str
        What its account calls it.
    weights : str, optional
        SHA-256 of the file that they come from.

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
        threshold: float | None = None,
        decision: Decision = UNFITTED,
        views: int | None = None,
        threads: int = 1,
        origin: str = "weights",
    ) -> None:
        self.network = origin
        self.weights: str | None = None
        self.arch = detect_arch(state)
        self.side = decision.side or SIDES[self.arch]
        self.device = pick_device(device)
        self.dtype = pick_dtype("auto" if precision == "int8" else precision, self.device, self.arch)
        self.batch_size = batch_size or BATCH_SIZES[self.device]
        self.threads = threads if self.device == "cpu" else 1
        self.part = batch_size or PARTS[self.arch]
        # CUDA's library compiles lite's kinds of convolutions anew for each number of patches, for seconds each.
        self.pads_batches = self.device == "cuda" and self.arch == "lite"
        self.decision, self.views = decision, views or 1
        self.looks_twice = views is None and self.arch == "lite"
        self.threshold = decision.threshold if threshold is None else threshold
        self.doubt = decision.logit_at(self.threshold)
        model = loaded_model(self.arch, state, origin)
        self.head = cast(nn.Linear, model.fc).to(self.device)
        model.fc = nn.Identity()
        windows = cast(nn.Linear | None, getattr(model, "window_fc", None))
        self.window_head = (windows.weight[0].detach().numpy(), windows.bias.item()) if windows else None
        body = fold_batch_norms(model)
        if self.arch == "resnet34":
            body.conv1 = GrayStem(cast(nn.Conv2d, body.conv1), self.side)
        self.body = body.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._bodies = {self.dtype: self.body, torch.float32: self.body}
        if self.device == "cuda" and self.dtype != torch.float32:
            # Half the weights' traffic, and no casts between layers: 26,300 patches/s where autocast gives 23,400.
            self._bodies[self.dtype] = copy.deepcopy(self.body).to(self.dtype)
        twice = precision in ("auto", "int8") and self.dtype != torch.float32
        types = [self.dtype, torch.float32] if twice else [self.dtype]
        self.cascade = Cascade([self._level(dtype) for dtype in types], self.doubt)
        if self.device == "cuda":
            # fp32 is the yardstick; TF32 would quietly be less.
            torch.backends.cudnn.allow_tf32 = False

    @property
    def at_once(self) -> int:
        """How many patches it is best given at a time: a GPU has the next batches, a CPU parts, before one is done."""
        return max(LEAST_AT_ONCE, BATCHES_AHEAD * self.batch_size, PARTS_AHEAD * self.threads * self.part)

    @property
    def is_aside(self) -> bool:
        """Whether it computes on a device of its own, while this process may do something else."""
        return self.device != "cpu"

    @property
    def changes(self) -> int:
        """How often what was decided before has come into doubt."""
        return self.cascade.changes

    @property
    def account(self) -> Account:
        """What became of the patches so far."""
        return Account(self.network, tuple(self.cascade.tallies()))

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
        return self.examine(patches).scores

    def examine(self, patches: Sequence[np.ndarray]) -> Examined:
        """Scores of patches, and how far each lies from what the network was trained on.

        Parameters
        ----------
        patches : sequence of ndarray of uint8, shape (h, w)

        Raises
        ------
        ValueError
            If the network overflows.
        """
        logits, features = self.outputs(patches)
        if lost := int(np.isnan(logits).sum()):
            raise ValueError(f"{self.network}: no score for {lost} patches, the network overflows: damaged weights?")
        known = self.decision.familiarity
        distances = np.full(len(patches), np.nan) if known is None else known.distances(features)
        return Examined(np.round(self.decision.scores(logits), DECIMALS), np.round(distances, DECIMALS))

    def add_int8(self, sample: Sequence[np.ndarray], weights: Path, threads: int) -> None:
        """Put an int8 model for this CPU before the other levels, built for the weights file on a sample if need be.

        Parameters
        ----------
        sample : sequence of ndarray of uint8, shape (h, w)
        weights : Path
        threads : int
        """
        from utils.classification.openvino_models import FLOAT, INT8, OpenVinoNetwork, built_models

        calibration = [_published_size(patch, self.side) for patch in sample]
        folder = built_models(self.body, self.head, calibration, weights, sha256_of(weights))
        models = {"int8": OpenVinoNetwork(folder / INT8, threads)}
        levels = list(self.cascade.levels)
        if len(levels) > 1:
            models["bf16"] = OpenVinoNetwork(folder / FLOAT, threads, "bf16")
        quick = [Precision(name, partial(self._outputs, batch=model)) for name, model in models.items()]
        self.cascade = Cascade([*quick, self.cascade.exact], self.doubt)

    def measure(self, sample: Sequence[np.ndarray]) -> None:
        """Measure how far quick computations may be trusted, on patches; of too few, all is computed exactly.

        Parameters
        ----------
        sample : sequence of ndarray of uint8, shape (h, w)
        """
        if not self.cascade.measure(sample):
            self.cascade = Cascade([self.cascade.exact], self.doubt)

    def outputs(self, patches: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """The network's own logits and features, averaged over the views; where it looks twice, the logits of both.

        Parameters
        ----------
        patches : sequence of ndarray of uint8, shape (h, w)

        Returns
        -------
        logits, features : ndarray, shapes (n,) and (n, f)
        """
        return self.cascade(patches)

    def _level(self, dtype: torch.dtype) -> Precision:
        run = partial(self._outputs, batch=partial(self._batch, dtype=dtype))
        look = partial(look_twice, run, window_head=self.window_head) if self.looks_twice else run
        return Precision(NAMES[dtype], in_parts(look, self.threads, self.part))

    def _outputs(self, patches: Sequence[np.ndarray], batch: Callable[[np.ndarray], Any]) -> Outputs:
        if self.arch == "resnet34":
            patches = [_published_size(patch, self.side) for patch in patches]
        begun = []
        for indices in by_key(range(len(patches)), lambda i: patches[i].shape).values():
            for start in range(0, len(indices), self.batch_size):
                part = indices[start : start + self.batch_size]
                stack = self._stacked([patches[i] for i in part])
                # A GPU may still be copying the stack, and has the next one when it is done with this.
                begun.append((part, stack, [batch(view) for view in _views(stack, self.views)]))
        logits, features = np.empty(len(patches)), np.empty((len(patches), self.head.in_features), np.float32)
        for part, _, seen in begun:
            logits[part] = np.mean([_array(logit) for logit, _ in seen], axis=0)
            features[part] = np.mean([_array(feature) for _, feature in seen], axis=0)
        return logits, features

    def _stacked(self, patches: Sequence[np.ndarray]) -> np.ndarray:
        """Patches of one shape in one array (n, h, w); for a GPU in memory that it copies from by itself."""
        buffer = torch.empty((len(patches), *patches[0].shape), dtype=torch.uint8, pin_memory=self.device == "cuda")
        return np.stack(patches, out=buffer.numpy())

    def _batch(self, stack: np.ndarray, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Logits and features of one stack (n, h, w); halves it when the device's memory is too small."""
        try:
            return self._forward(torch.from_numpy(stack), dtype)
        except torch.OutOfMemoryError:
            if len(stack) == 1:
                raise
        torch.cuda.empty_cache()
        middle = (len(stack) + 1) // 2
        self.batch_size = min(self.batch_size, middle)
        (a, b), (c, d) = (self._batch(half, dtype=dtype) for half in (stack[:middle], stack[middle:]))
        return torch.cat([a, c]), torch.cat([b, d])

    @torch.inference_mode()
    def _forward(self, stack: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        # Resizing with antialiasing is not everywhere in MPS.
        first = stack.to("cpu" if self.device == "mps" else self.device, non_blocking=True)
        x = standardized(resized(first)) if self.arch == "lite" else first.unsqueeze(1).float()
        body = self._bodies[dtype]
        x = x.to(self.device, next(body.parameters()).dtype).contiguous(memory_format=torch.channels_last)
        if self.pads_batches:
            x = nn.functional.pad(x, (0, 0) * 3 + (0, max(0, self.batch_size - len(x))))
        with torch.autocast(self.device, dtype, enabled=dtype != torch.float32 and self.device != "cuda"):
            features = body(x)[: len(stack)].float()
        return self.head(features).squeeze(1).double(), features


def _published_size(patch: np.ndarray, side: int) -> np.ndarray:
    """A patch at a ResNet34's size, by OpenCV's bilinear resizing without antialiasing: so the published was used."""
    import cv2

    return patch if patch.shape == (side, side) else cv2.resize(patch, (side, side), interpolation=cv2.INTER_LINEAR)


def _array(values: Tensor | np.ndarray) -> np.ndarray:
    return values.cpu().numpy() if isinstance(values, Tensor) else values


def _views(stack: np.ndarray, count: int) -> Iterator[np.ndarray]:
    """The stack (n, h, w), or all eight of its flips and quarter turns."""
    for seen in (stack, stack.swapaxes(1, 2)):
        for flips in ((), (1,), (2,), (1, 2)):
            yield np.ascontiguousarray(np.flip(seen, flips))
            if count == 1:
                return
