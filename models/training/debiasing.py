"""Adversarial debiasing: the model learns its task while hiding the group from an adversary.

B. H. Zhang, B. Lemoine, M. Mitchell, Mitigating unwanted biases with adversarial learning, AIES 2018,
arXiv:1801.07593. The adversary reads the model's output and the true class, so that what it cannot
tell is equalized odds. With loss L_P of the model and L_A of the adversary, the model's weights W follow

    ∇_W L_P − proj_{∇_W L_A} ∇_W L_P − α ∇_W L_A

over all weights as one vector: no step helps the adversary, whatever it costs the task. The paper's
adversary is linear in s, s·y and s·(1 − y) with s = σ((1 + |c|)·logit), c learned; for K classes it is an
affine map of softmax((1 + |c|)·logits) for each true class. It takes a step of Adam of its own on every
batch. Beyond the paper, L_A counts each true class alike, however rare, for equalized odds is asked of each.

Shapes: B a batch, K classes, G levels of the attribute; maps_KGK one map a true class, offsets_KG.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from raiaudit.models.training.augment import augmented
from raiaudit.models.training.standard import StandardStep

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.models.architectures.classifier import Classifier
    from raiaudit.models.recipe import Recipe
    from raiaudit.models.training.data import Batch

__all__ = ["AdversarialDebiasingStep", "away_from"]

_RATE = 1e-2
_BETA1, _BETA2, _STABILITY = 0.9, 0.999, 1e-8


def away_from(own: list[Tensor], theirs: list[Tensor], strength: float) -> list[Tensor]:
    """`own` without its part along `theirs`, less `strength` × `theirs`; lists are parts of one vector."""
    along = torch.stack([(p * a).sum() for p, a in zip(own, theirs, strict=True)]).sum()
    square = torch.stack([a.square().sum() for a in theirs]).sum()
    share = along / square.clamp_min(torch.finfo(square.dtype).tiny)
    return [p - (share + strength) * a for p, a in zip(own, theirs, strict=True)]


class AdversarialDebiasingStep(StandardStep):
    """A standard step that never moves along the adversary's gradient.

    `level_N` and `label_N` are the level and the class of every training example. The adversary and the
    moments of its Adam are in `state`, so that a resumed run has the same opponent.
    """

    def __init__(
        self,
        classifier: Classifier,
        recipe: Recipe,
        *,
        levels: int,
        level_N: NDArray[np.int64],
        label_N: NDArray[np.int64],
        device: torch.device,
        bf16: bool,
    ) -> None:
        super().__init__(classifier, recipe, examples=len(level_N), device=device, bf16=bf16)
        assert recipe.fairness is not None
        self.strength = recipe.fairness.strength
        self.level_N = torch.from_numpy(level_N).to(device)
        _, class_N, count_C = np.unique(label_N, return_inverse=True, return_counts=True)
        weight_N = len(label_N) / (len(count_C) * count_C[class_N])
        self.weight_N = torch.from_numpy(weight_N.astype(np.float32)).to(device)
        self.network = classifier  # two gradients of one pass, which a compiled network does not keep
        K = classifier.classes
        # From zero: an adversary that has learned nothing pulls at nothing.
        adversary = {
            "maps": torch.zeros(K, levels, K, device=device),
            "offsets": torch.zeros(K, levels, device=device),
            "sharpness": torch.ones((), device=device),
        }
        self.state |= {
            "adversary": adversary,
            "first_moments": {name: torch.zeros_like(part) for name, part in adversary.items()},
            "second_moments": {name: torch.zeros_like(part) for name, part in adversary.items()},
            "adversary_steps": 0,
        }

    def gradients(self, batch: Batch, progress: float, generator: torch.Generator) -> Tensor:
        """The gradient above, clipped, and a step of the adversary; returns the loss of the task."""
        x = augmented(batch.x, self.recipe, generator)
        logits_BK = self.logits(x)
        loss = self.cross_entropy(logits_BK, batch.y_B)
        adversary = {name: part.requires_grad_() for name, part in self.state["adversary"].items()}
        guess_BG = _guess(adversary, logits_BK, batch.y_B)
        losses_B = functional.cross_entropy(guess_BG, self.level_N[batch.index_B], reduction="none")
        adversary_loss = (self.weight_N[batch.index_B] * losses_B).mean()
        parameters = [p for p in self.classifier.parameters() if p.requires_grad]
        own = torch.autograd.grad(loss, parameters, retain_graph=True, materialize_grads=True)
        both = [*parameters, *adversary.values()]
        theirs = torch.autograd.grad(adversary_loss, both, materialize_grads=True)
        split = len(parameters)
        for parameter, gradient in zip(
            parameters, away_from(list(own), list(theirs[:split]), self.strength), strict=True
        ):
            parameter.grad = gradient
        if self.recipe.gradient_clip:
            nn.utils.clip_grad_norm_(parameters, self.recipe.gradient_clip)
        self._teach(dict(zip(adversary, theirs[split:], strict=True)))
        return loss.detach()

    @torch.no_grad()
    def _teach(self, gradients: dict[str, Tensor]) -> None:
        """One step of Adam (arXiv:1412.6980); its moments are plain tensors, as a checkpoint holds them."""
        self.state["adversary_steps"] += 1
        t = self.state["adversary_steps"]
        for name, gradient in gradients.items():
            first, second = self.state["first_moments"][name], self.state["second_moments"][name]
            first.lerp_(gradient, 1 - _BETA1)
            second.lerp_(gradient.square(), 1 - _BETA2)
            scale = (second / (1 - _BETA2**t)).sqrt_().add_(_STABILITY)
            self.state["adversary"][name] -= _RATE / (1 - _BETA1**t) * first / scale


def _guess(adversary: dict[str, Tensor], logits_BK: Tensor, y_B: Tensor) -> Tensor:
    """The adversary's logits_BG from the model's and the true classes."""
    scores_BK = ((1 + adversary["sharpness"].abs()) * logits_BK).softmax(1)
    return torch.einsum("bgk,bk->bg", adversary["maps"][y_B], scores_BK) + adversary["offsets"][y_B]
