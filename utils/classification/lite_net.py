"""The lite network: the first twelve blocks of EfficientNet-Lite0 (Tan & Le 2019, arXiv:1905.11946), made slimmer.

What it sees in a patch is the mean and the deviation of each channel of its last block; one linear layer decides, and
perhaps another of windows of patches that are mostly empty.
"""

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

# Of each stage: blocks, kernel, stride, and channels out.
STAGES = ((1, 3, 1, 16), (2, 3, 2, 24), (2, 5, 2, 40), (3, 3, 2, 80), (3, 5, 1, 112), (1, 5, 2, 192))
STEM = 32
# Channels inside each block: as published, and here.
PUBLISHED_WIDTHS = (32, 96, 144, 144, 240, 240, 480, 480, 480, 672, 672, 672)
WIDTHS = (32, 32, 48, 64, 96, 96, 160, 160, 240, 256, 256, 384)
FEATURES = 2 * STAGES[-1][-1]
EPSILON = 1e-3


class InvertedBottleneck(nn.Module):
    """An inverted bottleneck: expand, convolve each channel, project; its input is added where shapes allow."""

    def __init__(self, kernel: int, stride: int, inputs: int, width: int, outputs: int) -> None:
        super().__init__()
        self.expands, self.adds = width != inputs, stride == 1 and inputs == outputs
        if self.expands:
            self.expand = nn.Conv2d(inputs, width, 1, bias=False)
            self.expand_norm = nn.BatchNorm2d(width, eps=EPSILON)
        self.depth = nn.Conv2d(width, width, kernel, stride, kernel // 2, groups=width, bias=False)
        self.depth_norm = nn.BatchNorm2d(width, eps=EPSILON)
        self.project = nn.Conv2d(width, outputs, 1, bias=False)
        self.project_norm = nn.BatchNorm2d(outputs, eps=EPSILON)

    def inner(self, x: Tensor) -> Tensor:
        """What it projects.

        Parameters
        ----------
        x : Tensor, shape (n, c, h, w)

        Returns
        -------
        Tensor, shape (n, width, h / stride, w / stride)
        """
        if self.expands:
            x = nn.functional.relu6(self.expand_norm(self.expand(x)), inplace=True)
        return nn.functional.relu6(self.depth_norm(self.depth(x)), inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """One block.

        Parameters
        ----------
        x : Tensor, shape (n, c, h, w)

        Returns
        -------
        Tensor, shape (n, c', h / stride, w / stride)
        """
        y: Tensor = self.project_norm(self.project(self.inner(x)))
        return x + y if self.adds else y


class LiteNet(nn.Module):
    """The network; its layers are `stem`, `stem_norm`, `stage1` to `stage6`, `fc` and, with `windows`, `window_fc`."""

    def __init__(self, widths: Sequence[int] = WIDTHS, *, windows: bool = False) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, STEM, 3, 2, 1, bias=False)
        self.stem_norm = nn.BatchNorm2d(STEM, eps=EPSILON)
        starts = accumulate((count for count, *_ in STAGES), initial=0)
        inputs = STEM
        for k, (start, (count, kernel, stride, outputs)) in enumerate(zip(starts, STAGES, strict=False)):
            stage = nn.Sequential()
            for i in range(count):
                stage.append(InvertedBottleneck(kernel, 1 if i else stride, inputs, widths[start + i], outputs))
                inputs = outputs
            self.add_module(f"stage{k + 1}", stage)
        self.fc = nn.Linear(FEATURES, 1)
        self.window_fc = nn.Linear(FEATURES, 1) if windows else None

    def blocks(self) -> list[InvertedBottleneck]:
        """All blocks in order."""
        return [block for block in self.modules() if isinstance(block, InvertedBottleneck)]

    def begin(self, x: Tensor) -> Tensor:
        """What the first block sees.

        Parameters
        ----------
        x : Tensor, shape (n, 1, h, w)
            Prepared patches.

        Returns
        -------
        Tensor, shape (n, 32, h / 2, w / 2)
        """
        return nn.functional.relu6(self.stem_norm(self.stem(x)), inplace=True)

    def maps(self, x: Tensor) -> Tensor:
        """What the last block makes.

        Parameters
        ----------
        x : Tensor, shape (n, 1, h, w)
            Prepared patches.

        Returns
        -------
        Tensor, shape (n, 192, h / 32, w / 32)
        """
        x = self.begin(x)
        for block in self.blocks():
            x = block(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """The logits.

        Parameters
        ----------
        x : Tensor, shape (n, 1, h, w)
            Prepared patches.

        Returns
        -------
        Tensor, shape (n, 1)
        """
        logits: Tensor = self.fc(pooled(self.maps(x)))
        return logits


def pooled(maps: Tensor) -> Tensor:
    """Mean and deviation of each channel.

    Parameters
    ----------
    maps : Tensor, shape (n, c, h, w)

    Returns
    -------
    Tensor, shape (n, 2 c)
    """
    # The last term keeps the slope of the root finite.
    return torch.cat([maps.mean((2, 3)), (maps.var((2, 3), correction=0) + 1e-6).sqrt()], 1)
