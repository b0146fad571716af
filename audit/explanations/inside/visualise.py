"""Activation maximisation: an image that a channel, or a direction of a layer, responds to most.

Olah, Mordvintsev, Schubert 2017 (doi:10.23915/distill.00007) for the parametrisation; directions by the dot
product times a power of the cosine, as in the activation atlas (Carter et al. 2019,
doi:10.23915/distill.00015): the dot product alone finds what excites the layer in general.

Shapes: B pictures C×H×W, K channels of the layer; pooled_BK as in `layers`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from raiaudit.audit.explanations.inside.fourier import coefficient_shape, image_of, moved, moves
from raiaudit.audit.explanations.inside.layers import captured, pooled

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor, nn

    from raiaudit.attacks.spaces import ImageBox

__all__ = ["Objective", "along", "maximise", "of_channels"]

Objective = Callable[["Tensor"], "Tensor"]
"""pooled_BK → what to raise, B; picture b is judged by row b alone."""

_RATE = 0.05
_START = 0.1  # of the coefficients: close to even grey
_FEWEST_COSINE = 0.1
_COSINE_POWER = 2


def of_channels(channels: Sequence[int]) -> Objective:
    """Picture b raises channel b of the list."""
    import torch

    index = torch.tensor(list(channels))

    def objective(pooled_BK: Tensor) -> Tensor:
        return pooled_BK.gather(1, index.to(pooled_BK.device)[:, None])[:, 0]

    return objective


def along(direction_BK: Tensor, centre_K: Tensor) -> Objective:
    """Picture b moves from the centre along direction b, and little elsewhere."""
    from torch.nn import functional

    unit_BK = functional.normalize(direction_BK, dim=1)

    def objective(pooled_BK: Tensor) -> Tensor:
        offset_BK = pooled_BK - centre_K
        dot_B = (offset_BK * unit_BK).sum(1)
        cosine_B = functional.cosine_similarity(offset_BK, unit_BK, dim=1)
        return dot_B * cosine_B.clamp_min(_FEWEST_COSINE) ** _COSINE_POWER

    return objective


def maximise(
    network: nn.Module,
    layer: nn.Module,
    objective: Objective,
    *,
    box: ImageBox,
    rngs: Sequence[np.random.Generator],
    steps: int,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Pictures x_BCHW in the box, and pooled_BK of each as it stands (not moved).

    One generator a picture: which others are made beside it changes nothing but rounding. Parameters of the
    network must not require gradients.
    """
    import torch

    height, width = box.shape[1:]
    shape = coefficient_shape(box.shape)

    def drawn(draw: Callable[[np.random.Generator], np.ndarray]) -> Tensor:
        return torch.stack([torch.from_numpy(draw(rng)).float() for rng in rngs]).to(device)

    start = drawn(lambda rng: _START * rng.standard_normal(shape))
    unit_BT4 = drawn(lambda rng: rng.uniform(-1, 1, (steps, 4)))

    def picture(coefficients: Tensor) -> Tensor:
        return box.low + (box.high - box.low) * torch.sigmoid(image_of(coefficients, width))

    coefficients = start.requires_grad_()
    optimiser = torch.optim.Adam([coefficients], lr=_RATE)
    with captured(layer) as given:
        for step in range(steps):
            given.clear()
            network(moved(picture(coefficients), moves(unit_BT4[:, step], height, width)))
            optimiser.zero_grad()
            (-objective(pooled(given[-1])).sum()).backward()  # type: ignore[no-untyped-call]  # torch has no types here
            optimiser.step()
        given.clear()
        with torch.no_grad():
            final = picture(coefficients)
            network(final)
    return final, pooled(given[-1])
