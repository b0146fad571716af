"""The one training loop; what an update is, the step decides (standard, adversarial, private, fair).

Every random draw comes from a generator keyed by (seed, purpose, epoch), and the learning rate is a
function of the step number, so the state after an epoch is weights, optimiser moments and the epoch:
a run killed at any moment resumes to the same weights, bit for bit on one CPU.

`average` keeps an exponential moving average of the weights (Polyak; arXiv:2204.13650 for private
training, where it costs no privacy) and returns it in the end. A step that scores the weights after each
epoch gets those of its best epoch back, and training ends when the score collapses.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from raiaudit.errors import RaiauditError
from raiaudit.models.training import checkpoint as checkpoints
from raiaudit.models.training.data import Batch, Examples, accuracy
from raiaudit.models.training.seeding import derived, generator

if TYPE_CHECKING:
    from raiaudit.models.architectures.classifier import Classifier
    from raiaudit.models.recipe import Recipe

__all__ = [
    "Fitted",
    "Step",
    "TrainingProgress",
    "fit",
    "follow",
    "one_cycle",
    "optimizer_for",
    "optimizer_of",
    "rate_at",
]

_WATCHED = 1000  # validation examples looked at after each epoch
_SCORED = 512  # of them, what a step scores the weights on
_WARM_UP = 0.25
_FIRST = 1 / 25
_COLLAPSE = 0.5  # of the best score: below it, training has failed and ends, if it had ever begun


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """Where training stands after `epoch` of `epochs`; `loss` is the epoch's mean.

    `validation_accuracy` is that of the current weights (not their average) over at most 1,000
    validation examples, `score` what the step chooses its epoch by (None: the last epoch is kept);
    `seconds` counts earlier, resumed parts of the run too.
    """

    epoch: int
    epochs: int
    loss: float
    validation_accuracy: float
    seconds: float
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Fitted:
    """How training went: seconds in all, the epoch whose weights were kept, its score if it has one, and
    whether a collapse of the score ended training before the last epoch.
    """

    seconds: float
    epoch: int
    score: float | None
    collapsed: bool


class Step(Protocol):
    """One way to train: which examples make a batch, and what gradient they leave.

    `state` is numbers and tensors that must survive a resume.
    """

    steps_per_epoch: int
    state: dict[str, Any]

    def batches(self, generator: torch.Generator) -> Iterator[Tensor]:
        """The index tensors of one epoch, `steps_per_epoch` of them."""
        ...

    def gradients(self, batch: Batch, progress: float, generator: torch.Generator) -> Tensor:
        """Fill `.grad` of every parameter; the batch's mean loss, detached. `progress` is in [0, 1)."""
        ...

    def score(self, held_out: Examples, generator: torch.Generator) -> float | None:
        """An accuracy of the weights on the held-out examples, or None to keep the last epoch."""
        ...


def one_cycle(progress: float) -> float:
    """Learning-rate factor at `progress` in [0, 1] (arXiv:1708.07120): 1/25 → 1 → 0 along cosines."""
    if progress < _WARM_UP:
        return _FIRST + (1 - _FIRST) * (1 - math.cos(math.pi * progress / _WARM_UP)) / 2
    return (1 + math.cos(math.pi * (progress - _WARM_UP) / (1 - _WARM_UP))) / 2


def rate_at(recipe: Recipe, progress: float) -> float:
    """The learning rate at `progress` in [0, 1]."""
    return recipe.learning_rate * (one_cycle(progress) if recipe.schedule == "onecycle" else 1)


def optimizer_of(classifier: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser of a classifier's trainable parameters."""
    return optimizer_for([p for p in classifier.parameters() if p.requires_grad], recipe)


def optimizer_for(
    parameters: Sequence[Tensor], recipe: Recipe, *, vector_dim: int = 1
) -> torch.optim.Optimizer:
    """AdamW or SGD with momentum; matrices and kernels decay, biases and norms do not.

    What has at most `vector_dim` dimensions does not decay: 2 where parameters of several models are stacked.
    """
    groups = [
        {"params": [p for p in parameters if p.dim() > vector_dim], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.dim() <= vector_dim], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            groups,
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            nesterov=recipe.momentum > 0,
            fused=True,
        )
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)


@torch.no_grad()
def follow(average: dict[str, Tensor], classifier: nn.Module, decay: float) -> None:
    """Move each averaged parameter a share 1 − decay towards the current one."""
    for name, parameter in classifier.named_parameters():
        if name in average:
            average[name].lerp_(parameter, 1 - decay)


def fit(
    classifier: Classifier,
    train: Examples,
    validation: Examples,
    recipe: Recipe,
    step: Step,
    *,
    seed: int,
    device: torch.device,
    run: str,
    path: Path | None,
    progress: Callable[[TrainingProgress], None] | None,
) -> Fitted:
    """Train in place, from the checkpoint at `path` if it is of this `run`.

    Leaves torch's global generator wherever the epoch left it: the caller forks it. Raises
    `RaiauditError` when the loss or a weight is no longer a number; the checkpoint of the last good
    epoch stays where it is.
    """
    optimizer = optimizer_of(classifier, recipe)
    watched, scored = validation.spread(_WATCHED), validation.spread(_SCORED)
    learnt_nothing = float(scored.labels_N.bincount().max()) / len(scored)
    done, before = 0, 0.0
    best: dict[str, Any] = {}
    saved = checkpoints.read(path, run, device) if path is not None else None
    average = (
        {name: p.detach().clone() for name, p in classifier.named_parameters()} if recipe.average else {}
    )
    if saved is not None:
        classifier.load_state_dict(saved.weights)
        optimizer.load_state_dict(saved.optimizer)
        step.state.update(saved.step)
        average, best = saved.average, saved.best
        done, before = saved.epoch, saved.seconds
    total = recipe.epochs * step.steps_per_epoch
    started = time.perf_counter()
    collapsed = bool(best) and best["collapsed"]

    for epoch in range(done, recipe.epochs):
        if collapsed:
            break
        torch.manual_seed(derived(seed, "dropout", epoch))
        order = generator(device, seed, "order", epoch)
        draws = generator(device, seed, "draws", epoch)
        classifier.train()
        losses_S = torch.zeros(step.steps_per_epoch, device=device)
        for place, batch in enumerate(train.batches(step.batches(order))):
            number = epoch * step.steps_per_epoch + place
            for group in optimizer.param_groups:
                group["lr"] = rate_at(recipe, number / total)
            losses_S[place] = step.gradients(batch, number / total, draws)
            optimizer.step()
            follow(average, classifier, min(recipe.average, (number + 1) / (number + 10)))
        _refuse_divergence(classifier, losses_S, recipe, epoch, path)
        score = _scored(classifier, step, average, scored, generator(device, seed, "score", epoch))
        if score is not None:
            # What always gives the commonest answer has yet to learn, and may lose that much on the way.
            fell = bool(best) and score < _COLLAPSE * best["score"]
            collapsed = fell and best["score"] > learnt_nothing
            if not best or score >= best["score"]:
                best = {
                    "score": score,
                    "epoch": epoch + 1,
                    "weights": _clone(classifier.state_dict()),
                    "average": _clone(average),
                }
            best["collapsed"] = collapsed
        seconds = before + time.perf_counter() - started
        if path is not None:
            state = (classifier.state_dict(), average, best, optimizer.state_dict(), dict(step.state))
            checkpoints.write(path, checkpoints.Checkpoint(run, epoch + 1, *state, seconds))
        if progress is not None:
            right = accuracy(classifier, watched)
            mean = float(losses_S.mean())
            progress(TrainingProgress(epoch + 1, recipe.epochs, mean, right, seconds, score))
    if best:
        classifier.load_state_dict(best["weights"])
        average = best["average"]
    classifier.load_state_dict(average, strict=False)
    classifier.eval()
    kept = best.get("epoch", recipe.epochs)
    return Fitted(before + time.perf_counter() - started, kept, best.get("score"), collapsed)


def _clone(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def _scored(
    classifier: Classifier,
    step: Step,
    average: dict[str, Tensor],
    held_out: Examples,
    draws: torch.Generator,
) -> float | None:
    """The score of the weights that would be kept: their average, where there is one."""
    current = {name: p.detach().clone() for name, p in classifier.named_parameters()} if average else {}
    classifier.load_state_dict(average, strict=False)
    score = step.score(held_out, draws)
    classifier.load_state_dict(current, strict=False)
    return score


def _refuse_divergence(
    classifier: Classifier, losses_S: Tensor, recipe: Recipe, epoch: int, path: Path | None
) -> None:
    bad = (~losses_S.isfinite()).nonzero().flatten().tolist()
    if bad:
        what = f"the loss of step {bad[0] + 1} of {len(losses_S)} in epoch {epoch + 1} is {losses_S[bad[0]]}"
    elif not all(bool(p.isfinite().all()) for p in classifier.parameters()):
        what = f"a weight is no longer a number after epoch {epoch + 1}"
    else:
        return
    kept = f"; the state after epoch {epoch} is kept in {path}" if path is not None and epoch else ""
    raise RaiauditError(
        f"training diverged: {what}{kept}",
        where=f"recipe {recipe.architecture}/{recipe.kind}",
        remedy=f"lower learning_rate (now {recipe.learning_rate:g}), set gradient_clip or raise batch_size",
    )
