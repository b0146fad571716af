"""Models whose answers are known: a linear one with closed-form minimal perturbations, a counting one."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from raiaudit.attacks.spaces import ImageBox

SHAPE = (1, 4, 4)


class Linear(nn.Module):
    """logits = W·x + b, on images."""

    def __init__(self, classes: int, seed: int, scale: float = 1.0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.layer = nn.Linear(16, classes)
        self.layer.weight.data = scale * torch.randn(classes, 16, generator=generator)
        self.layer.bias.data = scale * torch.randn(classes, generator=generator) * 0.1

    def forward(self, x: Tensor) -> Tensor:
        logits_BK: Tensor = self.layer(x.flatten(1))
        return logits_BK


@dataclass(frozen=True)
class LinearWorld:
    """Inputs so far inside a wide box that the box never binds, each labelled by the model itself."""

    model: Linear
    x: Tensor
    y: Tensor
    space: ImageBox

    def minimal(self, norm: str) -> Tensor:
        """min over k of (f_y − f_k) / ‖w_y − w_k‖ in the dual norm: the distance to the boundary."""
        logits = self.model(self.x).detach()
        weight = self.model.layer.weight.detach()
        gap = logits.gather(1, self.y[:, None]) - logits
        difference = weight[self.y][:, None] - weight[None]
        dual = difference.abs().sum(2) if norm == "linf" else difference.norm(dim=2)
        minimal_B: Tensor = (gap / dual).masked_fill(dual == 0, torch.inf).amin(1)
        return minimal_B


@pytest.fixture(params=[2, 5], ids=["2 classes", "5 classes"])
def linear_world(request: pytest.FixtureRequest) -> LinearWorld:
    model = Linear(request.param, seed=request.param)
    x = torch.rand(24, *SHAPE, generator=torch.Generator().manual_seed(1))
    y = model(x).argmax(1)
    return LinearWorld(model, x, y, ImageBox(SHAPE, -20.0, 20.0))


class Counting(nn.Module):
    """Counts the rows that pass forward and the rows whose input gradient is asked for."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.forwards = 0
        self.backwards = 0
        self.batches: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.forwards += len(x)
        self.batches.append(len(x))
        logits: Tensor = self.model(x)
        if logits.requires_grad:
            torch.Tensor.register_hook(logits, self._count)  # type: ignore[no-untyped-call]  # torch's own gap
        return logits

    def _count(self, grad: Tensor) -> None:
        self.backwards += len(grad)


@pytest.fixture
def small_net() -> nn.Sequential:
    """A convolutional net with dropout and batch norm, left in training mode, with random weights."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Conv2d(8, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 16, 5),
    )


@pytest.fixture
def images() -> Tensor:
    return torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(4))


@pytest.fixture
def box() -> ImageBox:
    return ImageBox((1, 8, 8))


@pytest.fixture
def counting() -> type[Counting]:
    """The counting wrapper; test files cannot import from here."""
    return Counting


@pytest.fixture
def linear() -> type[Linear]:
    """The linear model."""
    return Linear
