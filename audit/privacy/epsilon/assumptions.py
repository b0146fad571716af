"""What the accountant takes for granted about DP-SGD (arXiv:1607.00133), looked at.

From the training record: how many steps were taken, how large the batches were, what clipping left, what
the sum was divided by. From the step itself, rebuilt on a few training rows with the weights scaled up
until an example of an unlikely class has a gradient far beyond C: what that outlier moves the sum by,
whether anything of a batch is left in the next, what doubling a batch does, how much noise there is, and how
batches are drawn. Tolerances are those of rounding, or 5 standard errors (one honest run in two million).

Augmentation, dropout and an adversary are left out of the rebuilt step: they draw per batch, and two batches
could not be compared. Clipping comes after all of them.

Legend: C the clipping norm, N training examples, q the sample rate, T steps, P parameters.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import gammainc, gammaincc

from raiaudit.errors import RaiauditError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.audit.subject import Subject
    from raiaudit.models.recipe import Recipe
    from raiaudit.models.training.data import Batch
    from raiaudit.models.training.private import PrivateStep
    from raiaudit.models.version import PrivacyRecord

__all__ = ["Assumption", "from_record", "from_step"]

_ERRORS, _TAIL = 5.0, 3e-7  # standard errors, and the normal's tail beyond so many
_WHOLE = 1 / 12  # variance of rounding
_ROUNDING = 1e-3  # relative, of sums in float32
_ROWS = 8
_BATCHES, _MOST_COINS = 400, 2 * 10**7
_FAR = 10.0  # times C: how large the outlier's gradient should be
_ATTEMPTS, _GROWTH = 12, 1.5


@dataclass(frozen=True, slots=True)
class Assumption:
    """`holds` is None where it could not be looked at; `found` and `expected` are numbers behind `text`."""

    name: str
    source: str
    holds: bool | None
    text: str
    found: float | None = None
    expected: float | None = None


def from_record(record: PrivacyRecord, recipe: Recipe) -> list[Assumption]:
    """What the run wrote down, against its recipe and against Poisson sampling."""

    def said(name: str, holds: bool | None, text: str, found: float | None, expected: float) -> Assumption:
        return Assumption(name, "training record", holds, text, found, expected)

    planned = recipe.epochs * max(1, round(1 / record.sample_rate))
    taken, clipped = record.steps_taken, record.max_clipped_norm
    steps = f"{record.steps:,} steps accounted for, the recipe plans {planned:,}, "
    steps += "how many were taken was not counted" if taken is None else f"{taken:,} were taken"
    return [
        said(
            "logical batches",
            False if record.steps != planned else None if taken is None else taken == record.steps,
            steps,
            taken,
            record.steps,
        ),
        _sampling_of(record),
        said(
            "public divisor",
            record.public_divisor == recipe.batch_size,
            f"sums were divided by {record.public_divisor:g}; the recipe's batch size is {recipe.batch_size}",
            record.public_divisor,
            recipe.batch_size,
        ),
        said(
            "clipping",
            clipped <= record.clip * (1 + _ROUNDING),
            f"the largest clipped gradient had norm {clipped:.6g}; C is {record.clip:g}",
            clipped,
            record.clip,
        ),
    ]


def _sampling_of(record: PrivacyRecord) -> Assumption:
    name, source = "Poisson sampling", "training record"
    if not record.poisson_sampling:
        return Assumption(name, source, False, "batches were not drawn by Poisson sampling")
    if record.steps_taken is None or record.batch_mean is None or record.batch_variance is None:
        return Assumption(name, source, None, "the sizes of the batches were not recorded")
    N = round(record.public_divisor / record.sample_rate)
    return _binomial(
        name, source, record.steps_taken, record.batch_mean, record.batch_variance, N, record.sample_rate
    )


def _binomial(name: str, source: str, T: int, mean: float, variance: float, N: int, q: float) -> Assumption:
    """Whether T batch sizes have the mean and the variance of Binomial(N, q)."""
    expected, spread = N * q, N * q * (1 - q)
    around = variance + (mean - expected) ** 2  # mean square about the known expectation
    fourth = 2 * spread**2 + spread * (1 - 6 * q * (1 - q))  # variance of one square
    text = (
        f"{T:,} batches of {mean:.4g} ± {max(variance, 0) ** 0.5:.3g} examples; independent coins of {q:.3g} "
        f"for each of {N:,} give {expected:.4g} ± {spread**0.5:.3g}"
    )
    off_mean = abs(mean - expected) > _ERRORS * (spread / T) ** 0.5 + 1e-9 * N
    if spread < 1e-9:
        off_spread = around > 1e-9 * N
    else:
        # A mean of T squares is nearly gamma; sizes are whole numbers, so a little is added below.
        shape = T * spread**2 / fourth
        too_small = gammainc(shape, shape * (around + _WHOLE) / spread)
        off_spread = min(too_small, gammaincc(shape, shape * around / spread)) < _TAIL
    return Assumption(name, source, not (off_mean or off_spread), text, variance, spread)


def from_step(subject: Subject) -> list[Assumption]:
    """The step of this recipe on a few of its rows, through the code that trains."""
    import torch

    from raiaudit.audit.privacy.epsilon.canary_data import training_rows
    from raiaudit.models.training.data import Examples
    from raiaudit.models.training.private import PrivateStep

    recipe, record = subject.record.recipe, subject.record.privacy
    assert recipe is not None
    assert recipe.privacy is not None
    assert record is not None
    budget = recipe.privacy.model_copy(update={"augmentations": 1, "gradients": record.gradients})
    plain = {"augment": "none", "cutout": 0.0, "adversary": None, "privacy": budget}
    rows = training_rows(subject)
    classifier = copy.deepcopy(subject.classifier)
    step = PrivateStep(
        classifier,
        recipe.model_copy(update=plain),
        examples=len(rows),
        space=subject.dataset.space,
        device=subject.device,
    )
    classifier.eval()
    batch = Examples.of(rows.take(slice(0, _ROWS)), classifier, subject.device).batch(
        torch.arange(min(_ROWS, len(rows)), device=subject.device)
    )
    outlier, raw = _outlier_of(batch, step, recipe.label_smoothing)
    try:
        return [
            _outlier(step, batch, outlier, raw),
            _left_over(step, outlier),
            _divisor(step, outlier),
            _noise(step, batch),
            _drawn(step, len(rows)),
        ]
    except RaiauditError as error:
        return [Assumption("clipping", "rebuilt step", False, f"the step cannot be taken: {error}")]


def _outlier_of(batch: Batch, step: PrivateStep, label_smoothing: float) -> tuple[Batch, float]:
    """The first row with its least likely class, after scaling the weights until its own gradient is `_FAR`
    times C, and the norm of that gradient.
    """
    import torch

    from raiaudit.models.training.data import Batch
    from raiaudit.models.training.gradient_mode import alone

    x, C = batch.x[:1], step.budget.clip
    for attempt in range(_ATTEMPTS):
        with torch.no_grad():
            for parameter in step.classifier.parameters() if attempt else ():
                parameter.mul_(_GROWTH)
            unlikely = step.classifier(x).argmin(1)
        one = alone(step.classifier, x[:, None], unlikely, C, label_smoothing=label_smoothing)
        norm = float(one.norms_B[0])
        if not norm < _FAR * C:
            break
    return Batch(x, unlikely, batch.index_B[:1]), norm


def _released(step: PrivateStep, batch: Batch, *, noise_seed: int | None = None) -> NDArray[np.float64]:
    """What the step leaves in `.grad`, times the divisor; without noise unless there is a seed for it."""
    import torch

    sigma = step.sigma
    generator = torch.Generator(step.device).manual_seed(noise_seed or 0)
    try:
        step.sigma = 0.0 if noise_seed is None else sigma
        step.gradients(batch, 0.0, generator)
    finally:
        step.sigma = sigma
    gradients = [p.grad.flatten() for p in step.classifier.parameters() if p.grad is not None]
    released: NDArray[np.float64] = torch.cat(gradients).double().cpu().numpy() * step.divisor
    return released


def _together(first: Batch, second: Batch) -> Batch:
    import torch

    from raiaudit.models.training.data import Batch

    return Batch(
        torch.cat([first.x, second.x]),
        torch.cat([first.y_B, second.y_B]),
        torch.cat([first.index_B, second.index_B]),
    )


def _outlier(step: PrivateStep, batch: Batch, outlier: Batch, raw: float) -> Assumption:
    C = step.budget.clip
    if not math.isfinite(raw) or raw < 2 * C:
        text = f"no example with a gradient far beyond C = {C:g} was found: the largest had norm {raw:.3g}"
        return Assumption("clipping", "rebuilt step", None, text, raw, C)
    without = _released(step, batch)
    moved = float(np.linalg.norm(_released(step, _together(batch, outlier)) - without))
    text = f"an outlier with a gradient of norm {raw:.4g} moved the sum by {moved:.5g}; C is {C:g}"
    return Assumption("clipping", "rebuilt step", moved <= C * (1 + _ROUNDING), text, moved, C)


def _left_over(step: PrivateStep, outlier: Batch) -> Assumption:
    from raiaudit.models.training.data import Batch

    _released(step, outlier)
    empty = Batch(outlier.x[:0], outlier.y_B[:0], outlier.index_B[:0])
    left = float(np.linalg.norm(_released(step, empty)))
    text = f"an empty batch after one with the outlier released a sum of norm {left:.4g}"
    return Assumption(
        "logical batches", "rebuilt step", left <= _ROUNDING * step.budget.clip, text, left, 0.0
    )


def _divisor(step: PrivateStep, outlier: Batch) -> Assumption:
    once = float(np.linalg.norm(_released(step, outlier)))
    twice = float(np.linalg.norm(_released(step, _together(outlier, outlier))))
    if not once:
        return Assumption("public divisor", "rebuilt step", None, "an example moved nothing")
    text = f"the same example twice in a batch moved the model {twice / once:.4g} times as far"
    holds = math.isclose(twice / once, 2.0, rel_tol=_ROUNDING)
    return Assumption("public divisor", "rebuilt step", holds, text, twice / once, 2.0)


def _noise(step: PrivateStep, batch: Batch) -> Assumption:
    clean, scale = _released(step, batch), step.sigma * step.budget.clip
    first, second = (_released(step, batch, noise_seed=seed) - clean for seed in (1, 2))
    P = len(clean)
    size = float(np.sqrt((first**2).mean()))
    shared = float((first * second).mean()) / scale**2
    text = f"the noise has standard deviation {size:.4g}; σ·C is {scale:.4g}"
    holds = abs(size / scale - 1) < _ERRORS / (2 * P) ** 0.5 + _ROUNDING and abs(shared) < _ERRORS / P**0.5
    return Assumption("noise", "rebuilt step", holds, text, size, scale)


def _drawn(step: PrivateStep, N: int) -> Assumption:
    import torch

    generator = torch.Generator(step.device).manual_seed(0)
    wanted = max(1, min(_BATCHES, _MOST_COINS // N))
    sizes: list[int] = []
    while len(sizes) < wanted:
        sizes += [len(index_B) for index_B in step.batches(generator)]
    mean, variance = float(np.mean(sizes)), float(np.var(sizes))
    return _binomial("Poisson sampling", "rebuilt step", len(sizes), mean, variance, N, step.sample_rate)
