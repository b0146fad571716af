"""Same question, same answer? What a classifier's answers show before it is attacked at all.

Randomised, adapting and softmax-ing models defeat gradient attacks that take them for fixed functions
(Athalye et al., arXiv:1802.00420; Croce et al., arXiv:2202.13711 for adaptation at test time).
Inputs are a batch of any modality; B examples, K classes, P passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from raiaudit.attacks.evasion.base import LogitsOf, prepared

__all__ = ["Answers", "answers"]

_SAME = 1e-4  # of the largest logit: float32 sums in another order stay well below
_ALIKE = 1e-3  # the same, between batches, where kernels differ too
_PROBABILITY = 1e-4


@dataclass(frozen=True, slots=True)
class Answers:
    """`probabilities_B`: the outputs lie in [0, 1] and sum to 1. `differ_B`: the same batch, asked again,
    is answered otherwise. `neighbours_B`: the answer depends on the other rows of the batch (False where
    it is random anyway). `changes`: parameters or buffers are not what they were. `optimises`: gradients
    are computed inside the forward. `forwards`: passes spent on each example.
    """

    probabilities_B: Tensor
    differ_B: Tensor
    neighbours_B: Tensor
    changes: bool
    optimises: bool
    forwards: int


def answers(classifier: LogitsOf, x: Any, *, module: nn.Module | None, passes: int = 5) -> Answers:
    """Ask `passes` times about the whole batch, and once in batches of other company.

    `module` is the network behind the classifier, whose state is watched; None where it cannot be seen.
    """
    with prepared(module or classifier), torch.no_grad():
        before = _state(module)
        with _counted() as calls:
            first_BK = classifier(x).float()
        rest_PBK = torch.stack([classifier(x).float() for _ in range(passes - 1)])
        stride = max(1, len(x) // 8)
        mixed_BK = torch.empty_like(first_BK)
        for start in range(stride):
            mixed_BK[start::stride] = classifier(x[start::stride]).float()
        after = _state(module)
    size_B = first_BK.abs().amax(1)
    differ_B = (rest_PBK - first_BK).abs().amax((0, 2)) > _SAME * size_B
    depends_B = (mixed_BK - first_BK).abs().amax(1) > _ALIKE * size_B
    in_range_B = ((first_BK >= 0) & (first_BK <= 1)).all(1)
    return Answers(
        probabilities_B=in_range_B & ((first_BK.sum(1) - 1).abs() < _PROBABILITY),
        differ_B=differ_B,
        neighbours_B=depends_B & ~differ_B,
        changes=any(not torch.equal(before[name], after[name]) for name in before),
        optimises=calls[0] > 0,
        forwards=passes + 1,
    )


def _state(module: nn.Module | None) -> dict[str, Tensor]:
    return {} if module is None else {name: value.clone() for name, value in module.state_dict().items()}


@contextmanager
def _counted() -> Iterator[list[int]]:
    """Counts the calls of autograd within the context, in the one item of the list."""
    calls, grad, backward = [0], torch.autograd.grad, torch.autograd.backward

    def counting(function: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            calls[0] += 1
            return function(*arguments, **options)

        return call

    # `Tensor.backward` goes through `torch.autograd.backward`.
    with (
        patch.object(torch.autograd, "grad", counting(grad)),
        patch.object(torch.autograd, "backward", counting(backward)),
    ):
        yield calls
