"""Minimum-norm attacks of foolbox 3.3.4 behind guards.

DeepFool (arXiv:1511.04599), Carlini & Wagner (arXiv:1608.04644), Boundary (arXiv:1712.04248) and
Brendel & Bethge (arXiv:1907.01003). Every forward goes through a watch of ours that counts it, re-tests
the label, recomputes norm and box, and keeps the closest error seen for each example. Hence no verdict
rests on foolbox's word, a last iterate worse than an earlier one costs nothing, and an attack that is
stopped (query budget, `seconds`) or falls over still hands in what it had. An attack that raises is run
again on each half of its batch, so that a failing example takes down only itself.

With a finite `eps` the result is still the closest error found, with its norm; `broken_B` says whether
that norm is at most `eps`.

Starting points are keyed by (seed, attack, id). Boundary's own noise is one stream for a batch: it
repeats for the same batch, but is not independent of how examples were put into batches.

Shapes: x images B×C×H×W, y_B int64, norms in the units of x.
"""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from raiaudit.attacks import randomness
from raiaudit.attacks.evasion.balls import per_row
from raiaudit.attacks.evasion.base import AttackResult, LogitsOf, Modality, prepared
from raiaudit.attacks.evasion.engine import errs, example_ids
from raiaudit.attacks.evasion.region import Region, region_of
from raiaudit.attacks.spaces import InputSpace
from raiaudit.attacks.threats import Knowledge, Norm, ThreatModel

__all__ = ["Boundary", "BrendelBethge", "CarliniWagner", "DeepFool", "FoolboxAttack"]

_log = logging.getLogger(__name__)

_START_DRAWS = 50
_START_HALVINGS = 10


class _StoppedError(Exception):
    """The query budget or the time is spent."""


@dataclass(slots=True)
class _Tally:
    """The closest error found for each example (norm inf: none), and what it cost."""

    x: Tensor
    y_B: Tensor
    ids_B: Tensor
    region: Region
    best: Tensor
    norm_B: Tensor
    forwards_B: Tensor
    backwards_B: Tensor

    def consider(self, rows: Tensor, x: Tensor, logits_AK: Tensor) -> Tensor:
        """Keep what errs closer than before; returns which rows err (bool A)."""
        wrong_A = errs(logits_AK, self.y_B[rows])
        norm_A = self.region.distance(x, self.x[rows])
        inside_A = ((x >= self.region.low) & (x <= self.region.high)).flatten(1).all(1)
        closer_A = wrong_A & inside_A & (norm_A < self.norm_B[rows])
        self.norm_B[rows] = torch.where(closer_A, norm_A, self.norm_B[rows])
        self.best[rows] = torch.where(per_row(closer_A, x), x, self.best[rows])
        return wrong_A


class _Watch(nn.Module):
    """The classifier as foolbox sees it; row i of every batch is an attempt on example `rows[i]`.

    The classifier hides in a closure, so that foolbox cannot move it to another device.
    """

    def __init__(
        self, classifier: LogitsOf, tally: _Tally, rows: Tensor, budget: int | None, deadline: float
    ) -> None:
        super().__init__()
        self._logits_of: LogitsOf = lambda x: classifier(x)
        self.tally, self.rows, self.budget, self.deadline = tally, rows, budget, deadline
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        assert len(x) == len(self.rows), "foolbox keeps a batch whole"
        spent = int(self.tally.forwards_B[self.rows[0]])
        if time.monotonic() > self.deadline or (self.budget is not None and spent >= self.budget):
            raise _StoppedError
        self.tally.forwards_B[self.rows] += 1
        logits_AK: Tensor = self._logits_of(x)
        if logits_AK.requires_grad:
            Tensor.register_hook(logits_AK, self._count)  # type: ignore[no-untyped-call]  # torch's own gap
        self.tally.consider(self.rows, x.detach(), logits_AK.detach())
        return logits_AK

    def _count(self, grad: Tensor) -> None:
        self.tally.backwards_B[self.rows] += 1

    def narrowed(self, keep_A: Tensor) -> _Watch:
        """A watch over some of the rows, on the same tally, budget and clock."""
        return _Watch(self._logits_of, self.tally, self.rows[keep_A], self.budget, self.deadline)


def _find_starts(watch: _Watch, *, seed: int, stream: str) -> None:
    """An error for each row where uniform noise has one, drawn close along the line to the clean input."""
    tally, rows = watch.tally, watch.rows
    x0, region = tally.x[rows], tally.region
    for draw in range(_START_DRAWS):
        noise = randomness.uniform(
            tally.ids_B[rows], x0.shape[1:], seed=seed, stream=f"{stream}/start", draw=draw
        )
        watch(noise.to(x0.dtype) * (region.high - region.low) + region.low)
        if bool(tally.norm_B[rows].isfinite().all()):
            break
    start = tally.best[rows].clone()
    near_A = torch.zeros(len(rows), device=x0.device)
    far_A = torch.ones(len(rows), device=x0.device)
    for _ in range(_START_HALVINGS):
        middle_A = (near_A + far_A) / 2
        wrong_A = errs(watch(x0.lerp(start, per_row(middle_A, x0))), tally.y_B[rows])
        far_A = torch.where(wrong_A, middle_A, far_A)
        near_A = torch.where(wrong_A, near_A, middle_A)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoolboxAttack(ABC):
    """`seconds` bounds a batch's wall-clock time, looked at before every forward (None: no bound)."""

    name: ClassVar[str]
    norms: ClassVar[frozenset[Norm]]
    knowledge: ClassVar[Knowledge]
    modality: ClassVar[Modality] = "image"
    needs_start: ClassVar[bool] = False

    batch_size: int = 256
    seconds: float | None = None

    @abstractmethod
    def build(self, norm: Norm) -> Any:
        """The foolbox attack object."""

    def __call__(
        self,
        classifier: LogitsOf,
        x: Tensor,
        y_B: Tensor,
        threat: ThreatModel,
        *,
        space: InputSpace,
        seed: int,
        ids: Sequence[int] | Tensor | None = None,
    ) -> AttackResult:
        """The closest error found for each image; errors as in `region_of`."""
        region = region_of(self, x, y_B, threat, space)
        x = x.detach()
        zero_B = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        far_B = torch.full((len(x),), torch.inf, dtype=torch.float64, device=x.device)
        ids_B = example_ids(ids, len(x), x.device)
        tally = _Tally(x, y_B, ids_B, region, x.clone(), far_B, zero_B, zero_B.clone())
        with prepared(classifier), torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):
            for first in range(0, len(x), self.batch_size):
                rows = torch.arange(first, min(first + self.batch_size, len(x)), device=x.device)
                deadline = torch.inf if self.seconds is None else time.monotonic() + self.seconds
                watch = _Watch(classifier, tally, rows, threat.budget, deadline)
                try:
                    self._attack(watch, threat, seed)
                except _StoppedError:
                    continue
        norm_B = tally.norm_B.float()
        found_B = norm_B.isfinite()
        return AttackResult(
            tally.best,
            found_B & (norm_B <= threat.eps),
            norm_B.masked_fill(~found_B, 0),
            tally.forwards_B,
            tally.backwards_B,
        )

    def _attack(self, watch: _Watch, threat: ThreatModel, seed: int) -> None:
        tally = watch.tally
        with torch.no_grad():
            watch(tally.x[watch.rows])
        watch = watch.narrowed(tally.norm_B[watch.rows] > 0)
        if threat.eps == 0 or not len(watch.rows):
            return
        if self.needs_start:
            with torch.no_grad():
                _find_starts(watch, seed=seed, stream=self.name)
            watch = watch.narrowed(tally.norm_B[watch.rows].isfinite())
        self._run(watch, threat.norm, seed)

    def _run(self, watch: _Watch, norm: Norm, seed: int) -> None:
        """Run foolbox on the watched rows; where it raises, on each half of them."""
        import foolbox

        tally, rows = watch.tally, watch.rows
        if not len(rows):
            return
        bounds = (tally.region.low, tally.region.high)
        model = foolbox.PyTorchModel(watch, bounds=bounds, device=tally.x.device)
        starts = {"starting_points": tally.best[rows]} if self.needs_start else {}
        criterion = foolbox.criteria.Misclassification(tally.y_B[rows])
        torch.manual_seed(seed)
        try:
            found = self.build(norm).run(model, tally.x[rows], criterion, **starts)
            with torch.no_grad():
                watch(found)
        except _StoppedError:
            raise
        except Exception as problem:  # whatever foolbox, eagerpy or numba may raise
            if len(rows) == 1:
                _log.warning("%s gave up on example %d: %r", self.name, int(tally.ids_B[rows]), problem)
                return
            first_half_A = torch.arange(len(rows), device=rows.device) < len(rows) // 2
            self._run(watch.narrowed(first_half_A), norm, seed)
            self._run(watch.narrowed(~first_half_A), norm, seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepFool(FoolboxAttack):
    """Steps to the nearest boundary of the linearised model, among the `candidates` likeliest classes."""

    name: ClassVar[str] = "deepfool"
    norms: ClassVar[frozenset[Norm]] = frozenset({"linf", "l2"})
    knowledge: ClassVar[Knowledge] = "white"

    steps: int = 50
    candidates: int = 10
    overshoot: float = 0.02

    def build(self, norm: Norm) -> Any:
        """Foolbox's DeepFool in `norm`."""
        import foolbox

        table = {"l2": foolbox.attacks.L2DeepFoolAttack, "linf": foolbox.attacks.LinfDeepFoolAttack}
        return table[norm](steps=self.steps, candidates=self.candidates, overshoot=self.overshoot)


@dataclass(frozen=True, slots=True, kw_only=True)
class CarliniWagner(FoolboxAttack):
    """Adam on distance plus margin, its weight found by binary search.

    Foolbox's 10,000 steps are cut to 1,000; pass `steps` for more.
    """

    name: ClassVar[str] = "cw"
    norms: ClassVar[frozenset[Norm]] = frozenset({"l2"})
    knowledge: ClassVar[Knowledge] = "white"

    steps: int = 1000
    binary_search_steps: int = 9
    step_size: float = 1e-2

    def build(self, norm: Norm) -> Any:
        """Foolbox's L2 attack."""
        import foolbox

        return foolbox.attacks.L2CarliniWagnerAttack(
            binary_search_steps=self.binary_search_steps, steps=self.steps, stepsize=self.step_size
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
    """Gradient steps along the boundary from an error far away, each solved in a trust region (numba)."""

    name: ClassVar[str] = "brendel_bethge"
    norms: ClassVar[frozenset[Norm]] = frozenset({"l2"})
    knowledge: ClassVar[Knowledge] = "white"
    needs_start: ClassVar[bool] = True

    steps: int = 1000

    def build(self, norm: Norm) -> Any:
        """Foolbox's L2 attack."""
        import foolbox

        return foolbox.attacks.L2BrendelBethgeAttack(steps=self.steps)
