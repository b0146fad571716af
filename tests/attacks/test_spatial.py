"""Rotation and shift: against exact turns and shifts of whole pixels, and models that err at one place."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from raiaudit.attacks.evasion.images.spatial import Spatial, moved
from raiaudit.attacks.spaces import ImageBox
from raiaudit.attacks.threats import ThreatModel
from raiaudit.errors import UsageError


def some_images(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def test_whole_turns_and_shifts() -> None:
    x = some_images(3, 2, 10, 10)
    quarter = moved(x, 3.0, 0.0, 0.0, low=0.0)  # three times 30°, clockwise
    torch.testing.assert_close(quarter, x.rot90(-1, (2, 3)))
    right = torch.full_like(x, -1.0)
    right[..., 1:] = x[..., :-1]
    torch.testing.assert_close(moved(x, 0.0, 1.0, 0.0, low=-1.0), right)
    up = torch.zeros_like(x)
    up[..., :-2, :] = x[..., 2:, :]
    torch.testing.assert_close(moved(x, 0.0, 0.0, -2.0, low=0.0), up)
    wide = some_images(2, 1, 6, 20)
    torch.testing.assert_close(moved(wide, 6.0, 0.0, 0.0, low=0.0), wide.flip(2, 3))
    # First the turn, then the shift: a quarter and one pixel to the right.
    both = torch.zeros_like(x)
    both[..., 1:] = x.rot90(-1, (2, 3))[..., :-1]
    torch.testing.assert_close(moved(x, 3.0, 1.0, 0.0, low=0.0), both)


class Spot(nn.Module):
    """Errs where the pixel (row, column) is lit."""

    def __init__(self, row: int, column: int) -> None:
        super().__init__()
        self.row, self.column = row, column

    def forward(self, x: Tensor) -> Tensor:
        lit_B = x[:, 0, self.row, self.column]
        return torch.stack([0.9 - lit_B, lit_B - 0.9], dim=1)


def test_the_smallest_move_is_found_and_told(counting: Any) -> None:
    x = torch.zeros(2, 1, 10, 10)
    x[0, 0, 5, 5] = 1  # two pixels left of, and one above, where it would be seen
    x[1, 0, 6, 6] = 1  # one pixel to the left
    model = counting(Spot(6, 7))
    space = ImageBox((1, 10, 10))
    y = torch.zeros(2, dtype=torch.int64)
    result = Spatial(steps=1)(model, x, y, ThreatModel("spatial", 2.0), space=space, seed=0)
    assert result.broken_B.tolist() == [True, True]
    assert result.norm_B.tolist() == [2.0, 1.0]
    torch.testing.assert_close(result.details["right"], torch.tensor([2.0, 1.0], dtype=torch.float64))
    torch.testing.assert_close(result.details["down"], torch.tensor([1.0, 0.0], dtype=torch.float64))
    assert result.details["rotation"].tolist() == [0.0, 0.0]
    assert model.forwards == int(result.forwards_B.sum())
    assert bool((model.model(result.adversarial).argmax(1) == 1).all())
    near = Spatial(steps=1)(model, x, y, ThreatModel("spatial", 1.0), space=space, seed=0)
    assert near.broken_B.tolist() == [False, True]
    assert torch.equal(near.adversarial[0], x[0])
    assert int(near.forwards_B[0]) == 27  # the whole grid


def test_success_is_nested_in_eps_and_the_box_is_kept(small_net: nn.Sequential, images: Tensor) -> None:
    small_net.eval()
    x = 3 + images
    y = small_net(x).argmax(1)
    y[:3] = (y[:3] + 1) % 5
    space = ImageBox((1, 8, 8), 3.0, 4.0)
    broken = torch.zeros(len(x), dtype=torch.bool)
    for eps in (0.0, 0.3, 0.5, 1.0):
        result = Spatial()(small_net, x, y, ThreatModel("spatial", eps), space=space, seed=0)
        assert not bool((broken & ~result.broken_B).any())
        assert float(result.norm_B.max()) <= eps
        assert result.forwards_B[:3].tolist() == [1, 1, 1]
        assert 3 <= float(result.adversarial.min()) <= float(result.adversarial.max()) <= 4
        broken = result.broken_B
    assert int(broken.sum()) > 3
    shard = Spatial(batch_size=7)(
        small_net, x[10:20], y[10:20], ThreatModel("spatial", 1.0), space=space, seed=1
    )
    assert torch.equal(shard.broken_B, broken[10:20])


def test_budget(small_net: nn.Sequential, images: Tensor, box: ImageBox) -> None:
    y = small_net.eval()(images).argmax(1)
    result = Spatial()(small_net, images, y, ThreatModel("spatial", 1.0, budget=20), space=box, seed=0)
    assert int(result.forwards_B.max()) <= 20


def test_bad_input_is_named(images: Tensor, box: ImageBox) -> None:
    y = torch.zeros(len(images), dtype=torch.int64)
    for threat, message in [
        (ThreatModel("linf", 0.1), "no norm 'linf'"),
        (ThreatModel("spatial", math.inf), "left its frame"),
        (ThreatModel("spatial", 30.0), "not in degrees"),
        (ThreatModel("spatial", 0.1), "first step of the grid"),
    ]:
        with pytest.raises(UsageError, match=message):
            Spatial()(Spot(0, 0), images, y, threat, space=box, seed=0)
    with pytest.raises(UsageError, match="B×C×H×W"):
        Spatial()(
            nn.Linear(4, 2), images[:, 0, 0, :4], y, ThreatModel("spatial", 1.0), space=ImageBox((4,)), seed=0
        )
    with pytest.raises(ValueError, match="steps"):
        Spatial(steps=0)
