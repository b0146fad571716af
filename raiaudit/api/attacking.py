"""Attack a model of your own: any `torch.nn.Module` or callable from inputs to logits.

```python
import torch
from torch import nn

import raiaudit

torch.manual_seed(0)
net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))  # yours; normalisation belongs into it
images, labels = torch.rand(50, 1, 8, 8), torch.randint(10, (50,))

found = raiaudit.attack(net, images, labels, "pgd", norm="linf", eps=8 / 255, steps=20)
right = int((~found.broken_B).sum())
low, high = raiaudit.wilson(right, len(labels))
print(f"robust accuracy {right / len(labels):.2f} [{low:.2f}, {high:.2f}]")
assert (found.adversarial - images).abs().max() <= 8 / 255 + 1e-6
```

`broken_B` holds whatever the model gets wrong, clean errors included. What such a number means:
[robustness](../robustness.md); the names of the attacks: [attacks](attacks.md).
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike
    from torch import Tensor

    from raiaudit.attacks.evasion import AttackResult
    from raiaudit.attacks.evasion.base import LogitsOf
    from raiaudit.attacks.spaces import InputSpace
    from raiaudit.attacks.threats import Norm

__all__ = ["attack", "with_options"]


def attack(
    model: LogitsOf,
    x: Tensor,
    y: Tensor | ArrayLike,
    name: str = "apgd",
    *,
    norm: Norm,
    eps: float,
    low: float = 0.0,
    high: float = 1.0,
    space: InputSpace | None = None,
    budget: int | None = None,
    seed: int = 0,
    ids: Sequence[int] | Tensor | None = None,
    **options: Any,
) -> AttackResult:
    """Attack every example within a ball of radius `eps`; one row an example comes back.

    `x` are images B×C×H×W, or vectors B×W, within [`low`, `high`], on the model's device; `y` the B true
    classes from 0. For tables `space` is their `TableSchema`, and `x` their encoded rows. `name` is an
    attack of the catalogue and `options` are its own (`steps=100`, `restarts=5`); `budget` is the most
    queries an example. `ids` name the examples: with them, batches give what one call would. The model is
    put into evaluation mode and left as it was.

    Raises `UnknownNameError` for an attack that there is not, `UsageError` for an option or a norm it does
    not have, for inputs out of bounds and labels that do not fit, `CapabilityError` for a model without
    the gradients that it needs.
    """
    import torch

    from raiaudit.attacks.evasion import EVASION
    from raiaudit.attacks.spaces import ImageBox
    from raiaudit.attacks.threats import ThreatModel
    from raiaudit.errors import UnknownNameError, UsageError

    if name not in EVASION:
        raise UnknownNameError("attack", name, EVASION)
    made = with_options(EVASION[name], "attack", name, options)
    if made.modality == "text":
        raise UsageError(
            f"{name} changes texts, and these are tensors",
            remedy="audit a text model with a spec: `raiaudit init reviews.tsv`",
        )
    if made.modality == "tabular" and space is None:
        raise UsageError(f"{name} must know the columns", remedy="give `space`, a TableSchema")
    y_B = torch.as_tensor(y, device=x.device).long()
    if y_B.shape != x.shape[:1]:
        raise UsageError(f"{len(x)} inputs need as many labels, got shape {tuple(y_B.shape)}")
    found: AttackResult = made(
        model,
        x,
        y_B,
        ThreatModel(norm, eps, made.knowledge, budget),
        space=space or ImageBox(tuple(x.shape[1:]), low, high),
        seed=seed,
        ids=ids,
    )
    return found


def with_options(make: Any, kind: str, name: str, options: dict[str, Any]) -> Any:
    """`make(**options)`; raises `UsageError` that lists its options for one it does not have."""
    from raiaudit.errors import UnknownNameError

    known = inspect.signature(make).parameters
    for option in options:
        if option not in known:
            raise UnknownNameError("option", option, known, where=f"{kind} {name!r}")
    return make(**options)
