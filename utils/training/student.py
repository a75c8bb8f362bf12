"""A network in training, and beside it a guess of what a teacher sees in the same patches."""

from typing import cast

import torch
from torch import Tensor, nn

from utils.training.bank import Bank

# A target that lies farther off than so many deviations says nothing more.
FARTHEST = 6.0


class Student(nn.Module):
    """A network whose features, besides its own output, shall tell a teacher's.

    Parameters
    ----------
    network : Module
        Its last layer is called ``fc``.
    bank : Bank, optional
        Whose targets to guess; without it the network learns from labels alone.
    """

    def __init__(self, network: nn.Module, bank: Bank | None) -> None:
        super().__init__()
        self.network = network
        head = cast(nn.Linear, network.fc)
        self.guess = nn.Linear(head.in_features, bank.targets.shape[1]) if bank else None
        mean, spread = (torch.from_numpy(values) for values in bank.spread()) if bank else (torch.zeros(1),) * 2
        self.mean, self.deviation = mean, spread
        self._features = torch.empty(0)
        head.register_forward_pre_hook(self._keep)

    def _keep(self, _head: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._features = inputs[0]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits (n,) of prepared patches, and the guess (n, f) in deviations from the mean."""
        logits = self.network(x).squeeze(1)
        return logits, None if self.guess is None else self.guess(self._features)

    def distance(self, guess: Tensor, targets: Tensor) -> Tensor:
        """Mean squared distance of a guess from the teacher's features, in deviations; 1 is no better than the mean."""
        device = guess.device
        aims = ((targets.to(device).float() - self.mean.to(device)) / self.deviation.to(device)).clamp(
            -FARTHEST, FARTHEST
        )
        return (guess - aims).square().mean()
