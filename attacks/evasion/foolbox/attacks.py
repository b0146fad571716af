"""What of foolbox is worth having beside our own attacks, each as a few lines over the adapter.

Nearest errors: Elastic-net (arXiv:1709.04114), Boundary (arXiv:1712.04248), Brendel & Bethge
(arXiv:1907.01003), NewtonFool (doi:10.1145/3134600.3134635); and, as floors that any attack must beat, salt
and pepper, blended uniform noise, contrast reduction and inversion (arXiv:1607.02533).
Errors within eps: GenAttack (arXiv:1805.11090), virtual adversarial direction (arXiv:1507.00677).

`steps` are foolbox's own unless said; norms in the units of the images.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from torch import Tensor, nn

from raiaudit.attacks.evasion.foolbox.adapter import FoolboxAttack, Job
from raiaudit.attacks.threats import Knowledge, Norm

__all__ = [
    "EAD",
    "BlendedNoise",
    "Boundary",
    "BrendelBethge",
    "ContrastReduction",
    "GenAttack",
    "Inversion",
    "NewtonFool",
    "SaltAndPepper",
    "VirtualAdversarial",
]

_ANY: frozenset[Norm] = frozenset({"linf", "l2", "l1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class EAD(FoolboxAttack):
    """Carlini & Wagner with an L1 term, by iterative shrinkage; 1,000 steps, not foolbox's 10,000."""

    name: ClassVar[str] = "ead"
    norms: ClassVar[frozenset[Norm]] = frozenset({"l1"})
    knowledge: ClassVar[Knowledge] = "white"

    steps: int = 1000
    binary_search_steps: int = 9
    step_size: float = 1e-2
    regularization: float = 1e-2

    def build(self, norm: Norm) -> Any:
        """Foolbox's EAD that decides by L1."""
        import foolbox

        return foolbox.attacks.EADAttack(
            binary_search_steps=self.binary_search_steps,
            steps=self.steps,
            initial_stepsize=self.step_size,
            regularization=self.regularization,
            decision_rule="L1",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Boundary(FoolboxAttack):
    """A random walk along the boundary that needs labels only."""

    name: ClassVar[str] = "boundary"
    norms: ClassVar[frozenset[Norm]] = frozenset({"l2"})
    knowledge: ClassVar[Knowledge] = "label"
    needs_start: ClassVar[bool] = True

    steps: int = 25000

    def build(self, norm: Norm) -> Any:
        """Foolbox's Boundary attack."""
        import foolbox

        return foolbox.attacks.BoundaryAttack(steps=self.steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class BrendelBethge(FoolboxAttack):
    """Gradient steps along the boundary from an error far away, each solved in a trust region (numba).

    The solver has loops without an exit, hence a process of its own, in which compiling it takes a minute.
    """

    name: ClassVar[str] = "brendel_bethge"
    norms: ClassVar[frozenset[Norm]] = _ANY | {"l0"}
    knowledge: ClassVar[Knowledge] = "white"
    needs_start: ClassVar[bool] = True
    apart: ClassVar[bool] = True

    steps: int = 1000

    def build(self, norm: Norm) -> Any:
        """Foolbox's attack in `norm`."""
        import foolbox

        table = {
            "linf": foolbox.attacks.LinfinityBrendelBethgeAttack,
            "l2": foolbox.attacks.L2BrendelBethgeAttack,
            "l1": foolbox.attacks.L1BrendelBethgeAttack,
            "l0": foolbox.attacks.L0BrendelBethgeAttack,
        }
        return table[norm](steps=self.steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewtonFool(FoolboxAttack):
    """Newton steps that lower the probability of the true class."""

    name: ClassVar[str] = "newton_fool"
    norms: ClassVar[frozenset[Norm]] = frozenset({"l2"})
    knowledge: ClassVar[Knowledge] = "white"

    steps: int = 100
    step_size: float = 1e-2

    def build(self, norm: Norm) -> Any:
        """Foolbox's NewtonFool."""
        import foolbox

        return foolbox.attacks.NewtonFoolAttack(steps=self.steps, stepsize=self.step_size)


@dataclass(frozen=True, slots=True, kw_only=True)
class GenAttack(FoolboxAttack):
    """A genetic search towards the runner-up class, on scores alone: `steps`·10 queries an example.

    Foolbox clips to [0, 1] whatever the bounds, so it is shown every box as that one.
    """

    name: ClassVar[str] = "gen_attack"
    norms: ClassVar[frozenset[Norm]] = frozenset({"linf"})
    knowledge: ClassVar[Knowledge] = "score"
    within_eps: ClassVar[bool] = True

    steps: int = 1000

    def build(self, norm: Norm) -> Any:
        """Foolbox's GenAttack."""
        import foolbox

        return foolbox.attacks.GenAttack(steps=self.steps)

    def criterion(self, job: Job) -> Any:
        """The runner-up class: foolbox's search has to have a target."""
        import foolbox

        return foolbox.criteria.TargetedMisclassification(job.runner_up_A)

    def run_foolbox(self, model: nn.Module, job: Job) -> Tensor:
        """As the others, in the units of the box."""
        if (job.low, job.high) == (0.0, 1.0):
            return FoolboxAttack.run_foolbox(self, model, job)
        side = job.high - job.low
        unit = replace(job, x=(job.x - job.low) / side, low=0.0, high=1.0, eps=job.eps / side)
        reach = job.eps

        def back(u: Tensor) -> Tensor:
            moved = (u * side + job.low).clamp(job.low, job.high)
            return (moved - job.x).clamp(-reach, reach).add(job.x).clamp(job.low, job.high)

        return back(FoolboxAttack.run_foolbox(self, _Shown(model, back), unit))


class _Shown(nn.Module):
    """A model that is shown `back(u)` for u."""

    def __init__(self, model: nn.Module, back: Any) -> None:
        super().__init__()
        self.model, self.back = model, back
        self.eval()

    def forward(self, u: Tensor) -> Tensor:
        logits_BK: Tensor = self.model(self.back(u))
        return logits_BK


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualAdversarial(FoolboxAttack):
    """One move along the direction of largest divergence, found by power iteration without the label.

    Its first proposals are `xi` long; foolbox's 1e-6 drowns in float32.
    """

    name: ClassVar[str] = "virtual_adversarial"
    norms: ClassVar[frozenset[Norm]] = frozenset({"l2"})
    knowledge: ClassVar[Knowledge] = "white"
    within_eps: ClassVar[bool] = True

    steps: int = 10
    xi: float = 1e-2

    def build(self, norm: Norm) -> Any:
        """Foolbox's attack."""
        import foolbox

        return foolbox.attacks.VirtualAdversarialAttack(steps=self.steps, xi=self.xi)


@dataclass(frozen=True, slots=True, kw_only=True)
class SaltAndPepper(FoolboxAttack):
    """Ever less of it, at random, until the model is right."""

    name: ClassVar[str] = "salt_and_pepper"
    norms: ClassVar[frozenset[Norm]] = frozenset({"l2", "l1", "l0"})
    knowledge: ClassVar[Knowledge] = "label"

    steps: int = 1000

    def build(self, norm: Norm) -> Any:
        """Foolbox's attack, the same noise in all channels."""
        import foolbox

        return foolbox.attacks.SaltAndPepperNoiseAttack(steps=self.steps, channel_axis=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlendedNoise(FoolboxAttack):
    """The line from the image to uniform noise on which the model errs."""

    name: ClassVar[str] = "blended_noise"
    norms: ClassVar[frozenset[Norm]] = _ANY
    knowledge: ClassVar[Knowledge] = "label"

    steps: int = 1000
    directions: int = 1000

    def build(self, norm: Norm) -> Any:
        """Foolbox's linear search."""
        import foolbox

        return foolbox.attacks.LinearSearchBlendedUniformNoiseAttack(
            distance=None, directions=self.directions, steps=self.steps
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ContrastReduction(FoolboxAttack):
    """The line from the image to mid-grey."""

    name: ClassVar[str] = "contrast_reduction"
    norms: ClassVar[frozenset[Norm]] = _ANY
    knowledge: ClassVar[Knowledge] = "label"

    steps: int = 15

    def build(self, norm: Norm) -> Any:
        """Foolbox's binary search."""
        import foolbox

        return foolbox.attacks.BinarySearchContrastReductionAttack(
            distance=None, binary_search_steps=self.steps
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Inversion(FoolboxAttack):
    """The negative of the image."""

    name: ClassVar[str] = "inversion"
    norms: ClassVar[frozenset[Norm]] = _ANY
    knowledge: ClassVar[Knowledge] = "label"

    def build(self, norm: Norm) -> Any:
        """Foolbox's inversion."""
        import foolbox

        return foolbox.attacks.InversionAttack(distance=None)
