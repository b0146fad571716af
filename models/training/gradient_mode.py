"""Which way to compute per-example gradients: correct first, then the faster one.

A way is correct if on a few examples of the first batch it agrees with each example's gradient taken alone.
That is looked at in every run, so that a layer that does not do what its rule says is found before a step
is taken. `auto` then times three steps of each on the batch.

Nothing here draws from torch's global generators: training goes on as if it had not been timed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from raiaudit.errors import UsageError
from raiaudit.models.training.hooks import BookKeeping
from raiaudit.models.training.per_example import Clipped, PerExample, Vmap, clip_factors, losses_of, trainable

if TYPE_CHECKING:
    from torch import nn

__all__ = ["alone", "chosen"]

_CHECKED = 3  # examples
_TOLERANCE = 1e-2  # relative: a wrong rule is wrong by a multiple, TF32 on a GPU by thousandths
_TIMED, _ROUNDS = 512, 3  # examples at most, times each
_CLEARLY = 0.9  # of the time of `hooks`, below which `vmap` replaces it

_MODES: dict[str, Callable[..., PerExample]] = {"hooks": BookKeeping, "vmap": Vmap}


def chosen(
    asked: Literal["auto", "vmap", "hooks"],
    model: nn.Module,
    x_BV: Tensor,
    y_B: Tensor,
    clip: float,
    *,
    label_smoothing: float,
    timed: bool = True,
) -> PerExample:
    """The mode asked for, or of those that are correct the fastest on this batch of B ≥ 1 examples.

    Without `timed`, `auto` is the first that is correct. Raises `UsageError` where none is.
    """
    correct, reasons = [], []
    for name in _MODES if asked == "auto" else [asked]:
        try:
            mode = _MODES[name](model, label_smoothing=label_smoothing)
            reason = _disagreement(mode, model, x_BV, y_B, clip, label_smoothing=label_smoothing)
        except (NotImplementedError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
        if reason:
            reasons.append(f"{name}: {reason}")
        else:
            correct.append(mode)
    if not correct:
        raise UsageError(
            f"no per-example gradients of this model ({'; '.join(reasons)})",
            where="recipe.privacy.gradients",
            remedy="set gradients: auto" if asked != "auto" else "choose another architecture",
        )
    if len(correct) == 1 or not timed:
        return correct[0]
    quick, other = correct
    with _undrawn(x_BV.device):
        seconds = _seconds([quick, other], x_BV[:_TIMED], y_B[:_TIMED], clip)
    return other if seconds[1] < _CLEARLY * seconds[0] else quick


def alone(model: nn.Module, x_BV: Tensor, y_B: Tensor, clip: float, *, label_smoothing: float) -> Clipped:
    """One forward and one backward for each example: slow, and right for any model."""
    named = trainable(model)
    sums = {name: torch.zeros_like(parameter) for name, parameter in named.items()}
    norms, losses = [], []
    for views_V, label in zip(x_BV, y_B, strict=True):
        loss = losses_of(model(views_V), label[None], label_smoothing=label_smoothing)[0]
        gradients = torch.autograd.grad(loss, list(named.values()), materialize_grads=True)
        norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
        norms.append(norm)
        losses.append(loss.detach())
        for total, gradient in zip(sums.values(), gradients, strict=True):
            total += clip_factors(norm, clip) * gradient
    return Clipped(sums, torch.stack(norms), torch.stack(losses))


def _disagreement(
    mode: PerExample, model: nn.Module, x_BV: Tensor, y_B: Tensor, clip: float, *, label_smoothing: float
) -> str:
    """How a mode differs from `alone`, or "". In evaluation mode, where dropout draws nothing."""
    x_BV, y_B = x_BV[:_CHECKED], y_B[:_CHECKED]
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            classes = model(x_BV[0]).shape[1]
        # One more, so that a mode that mixes examples shows even on a batch of one.
        other = x_BV[:1] / 2 if x_BV.is_floating_point() else x_BV[:1]
        x_BV, y_B = torch.cat([x_BV, other]), torch.cat([y_B, (y_B[:1] + 1) % classes])
        found = mode.clipped(x_BV, y_B, clip)
        right = alone(model, x_BV, y_B, clip, label_smoothing=label_smoothing)
    finally:
        model.train(training)
    if not right.norms_B.isfinite().all():
        return ""  # nothing to compare with; training stops at such a loss by itself
    if not torch.allclose(found.norms_B, right.norms_B, rtol=_TOLERANCE, atol=1e-6):
        return f"norms {found.norms_B.tolist()} where examples taken alone have {right.norms_B.tolist()}"
    size = torch.stack([total.norm() for total in right.sums.values()]).norm()
    for name, total in right.sums.items():
        if (found.sums[name] - total).norm() > _TOLERANCE * size:
            return f"the gradient of {name} is not that of the examples taken alone"
    return ""


def _seconds(modes: list[PerExample], x_BV: Tensor, y_B: Tensor, clip: float) -> list[float]:
    """The best of a few rounds, after one to warm up."""
    best = [float("inf")] * len(modes)
    for turn in range(_ROUNDS + 1):
        for place, mode in enumerate(modes):
            began = _now(x_BV.device)
            mode.clipped(x_BV, y_B, clip)
            if turn:
                best[place] = min(best[place], _now(x_BV.device) - began)
    return best


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


@contextmanager
def _undrawn(device: torch.device) -> Iterator[None]:
    """Within, whatever is drawn leaves the global generators as they were."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield
