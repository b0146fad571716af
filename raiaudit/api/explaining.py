"""Explain a model of your own: which pixels or columns speak for a class, by any of the twelve methods.

```python
import torch
from torch import nn

import raiaudit

net = nn.Linear(4, 3)  # yours: images B×C×H×W or rows B×W in, logits out
rows = torch.randn(5, 4)

found = raiaudit.explain(net, rows, "integrated_gradients")
print(found.scores_BF)                    # B×F: how much each column speaks for the predicted class
assert found.error_B.max() < 0.01         # they add up to logit − logit of the baseline
```

Of images a feature is a pixel: `found.scores_BF.view(B, H, W)` is the map. A map is a claim about the model
that can be wrong: the checks `explanations.faithfulness` and `.randomisation` of an audit say whether it
beats a random map. What maps mean: [explanations](../explanations.md).
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from torch import Tensor

    from raiaudit.attacks.evasion.base import LogitsOf
    from raiaudit.audit.explanations.methods.method import Maps

__all__ = ["explain"]


def explain(
    model: LogitsOf,
    x: Tensor,
    method: str = "integrated_gradients",
    *,
    target: Tensor | ArrayLike | None = None,
    baseline: Tensor | None = None,
    background: Tensor | None = None,
    seed: int = 0,
    **options: Any,
) -> Maps:
    """How much each feature of each input speaks for a class: `scores_BF`, float64, and more (`Maps`).

    `x` are images B×C×H×W (a feature is a pixel) or rows B×W (a feature is a column), on the model's device.
    `method` is one of `saliency`, `input_x_gradient`, `smoothgrad`, `integrated_gradients`,
    `expected_gradients`, `grad_cam`, `layer_cam`, `occlusion`, `kernel_shap`, `shapley`, `attention_rollout`,
    `gradient_rollout`; `options` are its own (`samples=50`, `layer="3"`). `target` are the B classes to
    explain, by default what the model predicts. `baseline` is what counts as absent, of the shape of one
    input (default: zeros); `background` are training inputs, which `expected_gradients` draws from. The
    same call gives the same maps. The model is put into evaluation mode and left as it was.

    Raises `UnknownNameError` for a method or an option that there is not, `UsageError` for shapes that do not
    fit, `CapabilityError` for a model that lacks what the method reads.
    """
    import torch

    from raiaudit.api.attacking import with_options
    from raiaudit.attacks.evasion.base import prepared
    from raiaudit.audit.explanations.methods import METHODS
    from raiaudit.audit.explanations.methods.views import View
    from raiaudit.audit.statistics.keyed import keyed_rng
    from raiaudit.errors import UnknownNameError, UsageError

    if method not in METHODS:
        raise UnknownNameError("attribution method", method, METHODS)
    made = with_options(METHODS[method], "method", method, options)
    if x.dim() not in (2, 4) or not x.is_floating_point():
        raise UsageError(f"inputs are floats B×C×H×W or B×W, got {x.dtype} {tuple(x.shape)}")
    channels, features = (x.shape[1], math.prod(x.shape[2:])) if x.dim() == 4 else (1, x.shape[1])
    start = torch.zeros_like(x[:1]) if baseline is None else baseline.reshape(1, *x.shape[1:]).to(x)
    view = View(
        x=x,
        baseline=start.expand_as(x),
        feature_E=torch.arange(features, device=x.device).repeat(channels),
        present_BF=torch.ones(len(x), features, dtype=torch.bool, device=x.device),
        logits=lambda points, _rows: model(points),
        names=None,
        network=model if isinstance(model, torch.nn.Module) else None,
        background=None if background is None else partial(background.to, x),
    )
    with prepared(model):
        if target is None:
            with torch.no_grad():
                target_B = model(x).argmax(1)
        else:
            target_B = torch.as_tensor(target, device=x.device).long()
        if target_B.shape != x.shape[:1]:
            raise UsageError(f"{len(x)} inputs need as many classes, got shape {tuple(target_B.shape)}")
        rngs = [keyed_rng(seed, method, row) for row in range(len(x))]
        maps: Maps = made.explain(view, target_B, rngs=rngs)
    return maps
