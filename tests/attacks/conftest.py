"""Models whose answers are known: a linear one with closed-form minimal perturbations, a counting one."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from raiaudit.attacks.evasion.texts.tokens import Tokens
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


class Pieces(nn.Module):
    """A `TokenModel` whose answer is a function of the tokens' vectors; longest piece first, words by blanks.

    `margin(embedded_BLD)` is logit 1 less logit 0. The first token writes nothing and stands before every
    text. Counts the texts asked, and the rows that pass forward and backward through the vectors.
    """

    def __init__(
        self, pieces: list[str], vectors: list[list[float]], margin: Callable[[Tensor], Tensor]
    ) -> None:
        super().__init__()
        self.pieces = ["", "", *pieces]  # padding, the start of a text
        width = len(vectors[0])
        self.vectors = nn.Parameter(torch.tensor([[0.0] * width, [0.0] * width, *vectors]))
        self.margin = margin
        self.asked: list[str] = []
        self.forwards = 0
        self.backwards = 0

    def tokens(self, texts: Sequence[str]) -> Tokens:
        read = [self._read(text) for text in texts]
        length = max(len(row) for row in read)
        ids_BL = torch.tensor([[token for token, _ in row] + [0] * (length - len(row)) for row in read])
        return Tokens(ids_BL, ids_BL != 0, [[span for _, span in row] for row in read])

    def _read(self, text: str) -> list[tuple[int, tuple[int, int]]]:
        found = [(1, (0, 0))]
        for word in re.finditer(r"\S+", text):
            start = word.start()
            while start < word.end():
                before = " " if start == word.start() else ""
                end = next(
                    end
                    for end in range(word.end(), start, -1)
                    if before + text[start:end].lower() in self.pieces
                )
                found.append((self.pieces.index(before + text[start:end].lower()), (start, end)))
                start = end
        return found

    def logits_from(self, embedded_BLD: Tensor, mask_BL: Tensor) -> Tensor:
        self.forwards += len(embedded_BLD)
        logits_BK = self._logits(embedded_BLD * mask_BL[..., None])
        if logits_BK.requires_grad:
            torch.Tensor.register_hook(logits_BK, self._count)  # type: ignore[no-untyped-call]  # torch's own gap
        return logits_BK

    def forward(self, texts: list[str]) -> Tensor:
        self.asked += texts
        read = self.tokens(texts)
        return self._logits(self.vectors[read.ids_BL] * read.mask_BL[..., None])

    def _logits(self, embedded_BLD: Tensor) -> Tensor:
        margin_B = self.margin(embedded_BLD)
        return torch.stack([torch.zeros_like(margin_B), margin_B], dim=1)

    def _count(self, grad: Tensor) -> None:
        self.backwards += len(grad)


@pytest.fixture
def pieces() -> type[Pieces]:
    """The planted model of texts."""
    return Pieces
