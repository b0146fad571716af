"""A substitute: a small smooth network trained on the model's own answers, and what transfers from it.

Papernot et al., arXiv:1602.02697. Its gradients are honest whatever those of the model are, so adversarial
inputs that transfer where the model's own gradients failed betray a masked gradient.
Shapes: x_N… images N×C×H×W or vectors N×W, y int64, K classes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from raiaudit.attacks.evasion.base import LogitsOf, prepared
from raiaudit.attacks.evasion.engine.region import region_of
from raiaudit.attacks.evasion.engine.rules import errs
from raiaudit.attacks.evasion.images.pgd import PGD, perturb
from raiaudit.attacks.spaces import ImageBox
from raiaudit.attacks.threats import ThreatModel

__all__ = ["substitute", "transferred"]

_BATCH = 64
_UPDATES = 150


def substitute(classifier: LogitsOf, x_N: Tensor, *, seed: int) -> nn.Module:
    """A network that answers like the classifier on inputs such as `x_N`; one forward of each is spent."""
    with prepared(classifier), torch.no_grad():
        answers = [classifier(batch).float() for batch in torch.split(x_N, 256)]
    answers_NK = torch.cat(answers)
    label_N = answers_NK.argmax(1)
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _network(x_N.shape[1:], answers_NK.shape[1]).to(x_N.device)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    for _ in range(_UPDATES):
        index = torch.randint(len(x_N), (_BATCH,), generator=generator).to(x_N.device)
        optimizer.zero_grad()
        functional.cross_entropy(network(x_N[index]), label_N[index]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return network.eval().requires_grad_(False)


def _network(shape: torch.Size, classes: int) -> nn.Sequential:
    if len(shape) == 1:
        return nn.Sequential(nn.Linear(shape[0], 128), nn.ReLU(), nn.Linear(128, classes))
    height, width = (math.ceil(math.ceil(side / 2) / 2) for side in shape[1:])
    return nn.Sequential(
        nn.Conv2d(shape[0], 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * height * width, classes),
    )


def transferred(
    classifier: LogitsOf,
    source: nn.Module,
    x: Tensor,
    y_B: Tensor,
    threat: ThreatModel,
    *,
    space: ImageBox,
    seed: int,
    steps: int,
) -> Tensor:
    """Whether the classifier errs on what breaks the source hardest (bool B, clean errors included).

    The ascent on the source goes on after its first success: stronger inputs transfer better.
    """
    region = region_of(PGD(), x, y_B, threat, space)
    generator = torch.Generator(x.device).manual_seed(seed)
    moved = perturb(
        source,
        x,
        y_B,
        norm=threat.norm,
        eps=threat.eps,
        step_size=2.5 * threat.eps / steps,
        steps=steps,
        low=space.low,
        high=space.high,
        generator=generator,
    )
    with prepared(classifier), torch.no_grad():
        return errs(classifier(x), y_B) | errs(classifier(region.project(moved, x)), y_B)
