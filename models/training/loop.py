"""The one training loop; what an update is, the step decides (standard, adversarial, private).

Every random draw comes from a generator keyed by (seed, purpose, epoch), and the learning rate is a
function of the step number, so the state after an epoch is weights, optimiser moments and the epoch:
a run killed at any moment resumes to the same weights, bit for bit on one CPU.

`average` keeps an exponential moving average of the weights (Polyak; arXiv:2204.13650 for private
training, where it costs no privacy) and returns it in the end.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from raiaudit.errors import RaiauditError
from raiaudit.models.training import checkpoint as checkpoints
from raiaudit.models.training.data import Examples, accuracy, augmented
from raiaudit.models.training.seeding import derived, generator

if TYPE_CHECKING:
    from raiaudit.models.architectures.classifier import Classifier
    from raiaudit.models.recipe import Recipe

__all__ = ["Step", "TrainingProgress", "fit", "follow", "one_cycle", "optimizer_of"]

_WATCHED = 1000  # validation examples scored after each epoch
_WARM_UP = 0.25
_FIRST = 1 / 25


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """Where training stands after `epoch` of `epochs`; `loss` is the epoch's mean.

    `validation_accuracy` is that of the current weights (not their average) over at most 1,000
    validation examples; `seconds` counts earlier, resumed parts of the run too.
    """

    epoch: int
    epochs: int
    loss: float
    validation_accuracy: float
    seconds: float


class Step(Protocol):
    """One way to train: which examples make a batch, and what gradient they leave.

    `state` is plain numbers that must survive a resume.
    """

    steps_per_epoch: int
    state: dict[str, float]

    def batches(self, generator: torch.Generator) -> Iterator[Tensor]:
        """The index tensors of one epoch, `steps_per_epoch` of them."""
        ...

    def gradients(self, x: Tensor, y_B: Tensor, generator: torch.Generator) -> Tensor:
        """Fill `.grad` of every parameter; the batch's mean loss, detached."""
        ...


def one_cycle(progress: float) -> float:
    """Learning-rate factor at `progress` in [0, 1] (arXiv:1708.07120): 1/25 → 1 → 0 along cosines."""
    if progress < _WARM_UP:
        return _FIRST + (1 - _FIRST) * (1 - math.cos(math.pi * progress / _WARM_UP)) / 2
    return (1 + math.cos(math.pi * (progress - _WARM_UP) / (1 - _WARM_UP))) / 2


def optimizer_of(classifier: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW or SGD with momentum; matrices and kernels decay, biases and norms do not."""
    parameters = [parameter for parameter in classifier.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=0.9, fused=True)
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
) -> float:
    """Train in place, from the checkpoint at `path` if it is of this `run`; the seconds it took in all.

    Leaves torch's global generator wherever the epoch left it: the caller forks it. Raises
    `RaiauditError` when the loss is no longer a number.
    """
    optimizer = optimizer_of(classifier, recipe)
    watched = validation.spread(_WATCHED)
    done, before = 0, 0.0
    saved = checkpoints.read(path, run, device) if path is not None else None
    average = (
        {name: p.detach().clone() for name, p in classifier.named_parameters()} if recipe.average else {}
    )
    if saved is not None:
        classifier.load_state_dict(saved.weights)
        optimizer.load_state_dict(saved.optimizer)
        step.state.update(saved.step)
        average = saved.average
        done, before = saved.epoch, saved.seconds
    total = recipe.epochs * step.steps_per_epoch
    started = time.perf_counter()

    for epoch in range(done, recipe.epochs):
        torch.manual_seed(derived(seed, "dropout", epoch))
        order = generator(device, seed, "order", epoch)
        draws = generator(device, seed, "draws", epoch)
        classifier.train()
        losses = torch.zeros((), device=device)
        for number, index_B in enumerate(step.batches(order), start=epoch * step.steps_per_epoch):
            rate = recipe.learning_rate * (one_cycle(number / total) if recipe.schedule == "onecycle" else 1)
            for group in optimizer.param_groups:
                group["lr"] = rate
            x, y_B = train.batch(index_B)
            losses += step.gradients(augmented(x, recipe.augment, draws), y_B, draws)
            optimizer.step()
            follow(average, classifier, min(recipe.average, (number + 1) / (number + 10)))
        loss = float(losses) / step.steps_per_epoch
        if not math.isfinite(loss):
            raise RaiauditError(
                f"training diverged: the mean loss of epoch {epoch + 1} is {loss}",
                where=f"recipe {recipe.architecture}/{recipe.kind}",
                remedy=f"lower learning_rate (now {recipe.learning_rate:g}) or raise batch_size",
            )
        seconds = before + time.perf_counter() - started
        if path is not None:
            state = (classifier.state_dict(), average, optimizer.state_dict(), dict(step.state))
            checkpoints.write(path, checkpoints.Checkpoint(run, epoch + 1, *state, seconds))
        if progress is not None:
            right = accuracy(classifier, watched)
            progress(TrainingProgress(epoch + 1, recipe.epochs, loss, right, seconds))
    classifier.load_state_dict(average, strict=False)
    classifier.eval()
    return before + time.perf_counter() - started
