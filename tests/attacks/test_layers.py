"""Quicker pooling: what the library answers, and its gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from raiaudit.attacks.evasion.engine.layers import rewritten


def answers(forward: nn.Module | object, x: Tensor) -> tuple[Tensor, Tensor]:
    """What comes out, and the gradient of a weighted sum of it."""
    assert callable(forward)
    leaf = x.clone(memory_format=torch.preserve_format).requires_grad_()
    out = forward(leaf)
    weights = torch.linspace(-1, 1, out.numel()).view(out.shape)
    return out.detach(), torch.autograd.grad((out * weights).sum(), leaf)[0]


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", [(3, 4, 8, 8), (2, 5, 7, 9), (1, 1, 2, 3)])
@pytest.mark.parametrize(
    "pool", [nn.MaxPool2d(2), nn.MaxPool2d((2, 2), stride=2), nn.AdaptiveAvgPool2d((2, 1))], ids=str
)
def test_it_answers_as_the_library_does(
    pool: nn.Module, shape: tuple[int, ...], order: torch.memory_format
) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(3)).contiguous(memory_format=order)
    forward = rewritten(pool, x)
    assert forward is not None
    for ours, library in zip(answers(forward, x), answers(pool, x), strict=True):
        torch.testing.assert_close(ours, library, rtol=1e-6, atol=1e-6)


def test_windows_of_three_and_a_value_that_is_not_a_number() -> None:
    x = torch.randn(2, 3, 9, 6, generator=torch.Generator().manual_seed(5))
    pool = nn.MaxPool2d(3)
    forward = rewritten(pool, x)
    assert forward is not None
    for ours, library in zip(answers(forward, x), answers(pool, x), strict=True):
        assert torch.equal(ours, library)
    x[0, 0, 0, 0] = torch.nan
    torch.testing.assert_close(forward(x), pool(x), equal_nan=True)


def test_of_equal_values_one_alone_gets_the_gradient() -> None:
    x = torch.zeros(1, 1, 4, 4)
    forward = rewritten(nn.MaxPool2d(2), x)
    assert forward is not None
    _, gradient = answers(forward, x)
    assert (gradient != 0).sum() == 4
    torch.testing.assert_close(gradient.view(2, 2, 2, 2).sum((1, 3)).flatten(), torch.linspace(-1, 1, 4))


@pytest.mark.parametrize(
    "layer",
    [
        nn.MaxPool2d(3, stride=2),
        nn.MaxPool2d(2, padding=1),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.MaxPool2d(2, dilation=2),
        nn.AdaptiveAvgPool2d(1),
        nn.AvgPool2d(2),
    ],
    ids=str,
)
def test_other_layers_are_left_to_the_library(layer: nn.Module) -> None:
    assert rewritten(layer, torch.zeros(1, 1, 8, 8)) is None
