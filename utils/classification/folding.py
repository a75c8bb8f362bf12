"""Networks with less to do: batch norms folded into convolutions, three equal channels and their scaling into one."""

import copy
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from utils.classification.models import IMAGENET_MEAN, IMAGENET_STD


def fold_batch_norms(model: nn.Module) -> nn.Module:
    """A copy for inference in which every batch norm is part of the convolution before it.

    Both networks name, or list, a convolution right before its batch norm.
    """
    folded = copy.deepcopy(model).eval()
    for parent in list(folded.modules()):
        for (name, first), (norm_name, second) in pairwise(list(parent.named_children())):
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                setattr(parent, name, fuse_conv_bn_eval(first, second))
                setattr(parent, norm_name, nn.Identity())
    return folded


class GrayStem(nn.Module):
    """A first convolution over gray bytes that equals one over three equal, normalised channels.

    The three channels' weights add up. Padding stands for the normalised 0, which is another gray level in each
    channel, so what a constant image gives is added as a map that knows the border.

    Parameters
    ----------
    conv : Conv2d
        Over three channels, its batch norm folded in.
    side : int
        Of the images, shape (n, 1, side, side).
    """

    constant: Tensor

    def __init__(self, conv: nn.Conv2d, side: int) -> None:
        super().__init__()
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
        # Half precision keeps more of values around 0; what is taken away from gray levels is a whole one, so that it
        # is exact.
        self.middle = round(255 * float(mean.mean()))
        options = {"stride": conv.stride, "padding": conv.padding, "bias": False}
        self.conv = nn.Conv2d(1, conv.out_channels, conv.kernel_size, **options)  # type: ignore[arg-type]
        with torch.no_grad():
            self.conv.weight.copy_((conv.weight / (255 * std)).sum(1, keepdim=True))
            middle = ((self.middle / 255 - mean) / std).expand(1, 3, side, side)
            self.register_buffer("constant", conv(middle.to(conv.weight.dtype)))

    def forward(self, gray: Tensor) -> Tensor:
        """The first convolution.

        Parameters
        ----------
        gray : Tensor, shape (n, 1, h, w)
            From 0 to 255.

        Returns
        -------
        Tensor, shape (n, c, h / 2, w / 2)
        """
        maps: Tensor = self.conv(gray - self.middle) + self.constant
        return maps
