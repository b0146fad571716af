"""Attacks of foolbox 3.3.4 behind guards.

Every forward goes through a watch of ours that counts it, re-tests the label, recomputes norm and box, and
keeps the closest error seen for each example. Hence no verdict rests on foolbox's word, a last iterate worse
than an earlier one costs nothing, and an attack that is stopped (query budget, `seconds`) or falls over still
hands in what it had. Clean errors are never attacked. An attack that raises is run again on each half of its
batch, so that a failing example takes down only itself. One whose solver may never return runs in a process
that can be killed (`foolbox_process`). What was found is classified once more at another batch size.

With a finite `eps` the result is still the closest error found, with its norm; `broken_B` says whether that
norm is at most `eps`.

Starting points are keyed by (seed, attack, id). An attack's own noise is one stream for a batch: it repeats
for the same batch, but is not independent of how examples were put into batches.

Shapes: x images B×C×H×W, y_B int64, norms in the units of x.
"""

from __future__ import annotations

import logging
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from raiaudit.attacks import randomness
from raiaudit.attacks.evasion.balls import per_row
from raiaudit.attacks.evasion.base import AttackResult, LogitsOf, Modality, prepared
from raiaudit.attacks.evasion.region import Region, region_of
from raiaudit.attacks.evasion.rows import example_ids
from raiaudit.attacks.evasion.rules import errs, margin
from raiaudit.attacks.spaces import InputSpace
from raiaudit.attacks.threats import Knowledge, Norm, ThreatModel
from raiaudit.errors import QueryFailedError, SubjectUnavailableError, UsageError

__all__ = ["FoolboxAttack", "Job"]

_log = logging.getLogger(__name__)

_START_DRAWS = 50
_START_HALVINGS = 10
_CLEAR = 1e-5  # of the largest logit: by how much an error must err, to hold at another batch size
_PUSHES = (0.0, 1e-5, 1e-4, 1e-3, 1e-2)  # of the distance: how far outwards to look for such an error
_ROUNDING = 1e-6  # of eps: what an attack told to stay within eps may overstep it by


class _StoppedError(Exception):
    """The query budget or the time is spent, or nothing is left to find."""


@dataclass(frozen=True, slots=True)
class Job:
    """What foolbox is given: rows that the model has right, plain data that can travel.

    `runner_up` is the likeliest wrong class, `eps` (scalar) the radius of an attack that has one, `starts`
    errors to begin from.
    """

    norm: Norm
    x: Tensor
    y_A: Tensor
    runner_up_A: Tensor
    starts: Tensor | None
    low: float
    high: float
    eps: float
    seed: int

    def on_cpu(self) -> Job:
        """The same, on the CPU."""
        starts = None if self.starts is None else self.starts.cpu()
        return replace(
            self, x=self.x.cpu(), y_A=self.y_A.cpu(), runner_up_A=self.runner_up_A.cpu(), starts=starts
        )


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
        norm_A = self.region.distance(x, self.x[rows])
        wrong_A = errs(logits_AK, self.y_B[rows])
        keep_A = wrong_A & (norm_A < self.norm_B[rows]) & self.region.valid(x, self.x[rows])
        self.norm_B[rows] = torch.where(keep_A, norm_A, self.norm_B[rows])
        self.best[rows] = torch.where(per_row(keep_A, x), x, self.best[rows])
        return wrong_A

    def confirm(self, classifier: LogitsOf, batch_size: int, budget: int | None) -> None:
        """Classify every error once more, in other company; what does not hold is taken back.

        The nearest error of a good attack errs by a rounding: it is pushed outwards until it errs clearly, as
        far as `budget` allows. One that held, but cannot be pushed, stays.
        """
        failed_B = torch.zeros_like(self.norm_B, dtype=torch.bool)
        moved = (self.norm_B.isfinite() & (self.norm_B > 0)).nonzero().squeeze(1)
        for unsettled in torch.split(moved, max(1, batch_size // 2)):
            for push in _PUSHES:
                rows = unsettled if budget is None else unsettled[self.forwards_B[unsettled] < budget]
                if not len(rows):
                    break
                x = self.x[rows].lerp(self.best[rows], 1 + push).clamp(self.region.low, self.region.high)
                with torch.no_grad():
                    logits_AK = classifier(x)
                self.forwards_B[rows] += 1
                errs_A = errs(logits_AK, self.y_B[rows])
                failed_B[rows] |= ~errs_A if push == 0 else False
                unclear_A = margin(logits_AK, self.y_B[rows]) > -_CLEAR * logits_AK.abs().amax(1)
                settled_A = errs_A & ~unclear_A
                settled = rows[settled_A]
                self.best[settled] = x[settled_A]
                self.norm_B[settled] = self.region.distance(x, self.x[rows])[settled_A]
                failed_B[settled] = False
                unsettled = unsettled[~torch.isin(unsettled, settled)]
        self.norm_B[failed_B] = torch.inf
        self.best[failed_B] = self.x[failed_B]


class _Watch(nn.Module):
    """The classifier as foolbox sees it; row i of every batch is an attempt on example `rows[i]`.

    The classifier hides in a closure, so that foolbox cannot move it to another device. Once every row has
    an error at a norm of at most `enough`, there is nothing left to ask.
    """

    def __init__(
        self,
        classifier: LogitsOf,
        tally: _Tally,
        rows: Tensor,
        *,
        budget: int | None,
        deadline: float,
        enough: float,
    ) -> None:
        super().__init__()
        self._logits_of: LogitsOf = lambda x: classifier(x)
        self.tally, self.rows = tally, rows
        self.budget, self.deadline, self.enough = budget, deadline, enough
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        assert len(x) == len(self.rows), "foolbox keeps a batch whole"
        spent = int(self.tally.forwards_B[self.rows[0]])
        # The second look at what is found is part of the budget.
        if time.monotonic() > self.deadline or (
            self.budget is not None and spent > 0 and spent + 2 > self.budget
        ):
            raise _StoppedError
        self.tally.forwards_B[self.rows] += 1
        # Foolbox's steps leave the box by a rounding; what is asked, and kept, is the point of the box.
        inside = x.detach().clamp(self.tally.region.low, self.tally.region.high)
        logits_AK: Tensor = self._logits_of(x + (inside - x).detach() if x.requires_grad else inside)
        if logits_AK.requires_grad:
            Tensor.register_hook(logits_AK, self._count)  # type: ignore[no-untyped-call]  # torch's own gap
        self.tally.consider(self.rows, inside, logits_AK.detach())
        if bool((self.tally.norm_B[self.rows] <= self.enough).all()):
            raise _StoppedError
        return logits_AK

    def _count(self, grad: Tensor) -> None:
        self.tally.backwards_B[self.rows] += 1

    def narrowed(self, keep_A: Tensor) -> _Watch:
        """A watch over some of the rows, on the same tally, budget and clock."""
        return _Watch(
            self._logits_of,
            self.tally,
            self.rows[keep_A],
            budget=self.budget,
            deadline=self.deadline,
            enough=self.enough,
        )


def _find_starts(watch: _Watch, *, seed: int, stream: str) -> None:
    """An error for each row where noise of some grain has one, drawn close along the line to the clean input.

    A model gives all fine noise the same one or two classes: an example of that class starts from coarser.
    """
    tally, rows = watch.tally, watch.rows
    x0, region = tally.x[rows], tally.region
    channels, *sides = x0.shape[1:]
    for draw in range(_START_DRAWS):
        grains = [max(1, side >> draw % 4) for side in sides]
        noise = randomness.uniform(
            tally.ids_B[rows], (channels, *grains), seed=seed, stream=f"{stream}/start", draw=draw
        )
        noise = functional.interpolate(noise.to(x0.dtype), size=sides) if sides else noise.to(x0.dtype)
        watch((noise * (region.high - region.low) + region.low).clamp(region.low, region.high))
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


@contextmanager
def _own_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Torch's and numpy's global generators seeded, and put back."""
    import numpy as np

    before = np.random.get_state()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            np.random.set_state(before)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoolboxAttack(ABC):
    """`seconds` bounds a batch's wall-clock time, looked at before every forward (None: no bound).

    `within_eps` attacks look for any error in the ball, the others for the nearest. `apart` ones run in a
    process of their own, which is killed when it asks nothing for `patience` seconds (compiling apart).
    """

    name: ClassVar[str]
    norms: ClassVar[frozenset[Norm]]
    knowledge: ClassVar[Knowledge]
    modality: ClassVar[Modality] = "image"
    needs_start: ClassVar[bool] = False
    within_eps: ClassVar[bool] = False
    apart: ClassVar[bool] = False

    batch_size: int = 256
    seconds: float | None = None
    patience: float = 60.0

    @abstractmethod
    def build(self, norm: Norm) -> Any:
        """The foolbox attack object."""

    def criterion(self, job: Job) -> Any:
        """What foolbox shall look for: any error."""
        import foolbox

        return foolbox.criteria.Misclassification(job.y_A)

    def run_foolbox(self, model: nn.Module, job: Job) -> Tensor:
        """What foolbox returns for these rows; raises whatever it raises."""
        import foolbox

        seen = foolbox.PyTorchModel(model, bounds=(job.low, job.high), device=job.x.device)
        options: dict[str, Any] = {}
        if job.starts is not None:
            options["starting_points"] = job.starts
        if self.within_eps:
            options["epsilon"] = job.eps
        with warnings.catch_warnings(), _own_randomness(job.seed, job.x.device):
            warnings.simplefilter("ignore")  # what an attack fails at shows in the result
            found: Tensor = self.build(job.norm).run(seen, job.x, self.criterion(job), **options)
        return found

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
        if self.within_eps and threat.eps == torch.inf:
            raise UsageError(f"attack {self.name!r} searches a ball and needs a finite eps")
        x = x.detach()
        zero_B = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        far_B = torch.full((len(x),), torch.inf, dtype=torch.float64, device=x.device)
        ids_B = example_ids(ids, len(x), x.device)
        tally = _Tally(x, y_B, ids_B, region, x.clone(), far_B, zero_B, zero_B.clone())
        with prepared(classifier):
            for first in range(0, len(x), self.batch_size):
                watch = _Watch(
                    classifier,
                    tally,
                    torch.arange(first, min(first + self.batch_size, len(x)), device=x.device),
                    budget=threat.budget,
                    deadline=torch.inf if self.seconds is None else time.monotonic() + self.seconds,
                    enough=threat.eps if self.within_eps else 0.0,
                )
                try:
                    self._attack(watch, threat, seed)
                except _StoppedError:
                    continue
            tally.confirm(classifier, self.batch_size, threat.budget)
        norm_B = tally.norm_B.float()
        found_B = norm_B.isfinite()
        return AttackResult(
            tally.best,
            found_B & (tally.norm_B <= threat.eps),
            norm_B.masked_fill(~found_B, 0),
            tally.forwards_B,
            tally.backwards_B,
        )

    def _attack(self, watch: _Watch, threat: ThreatModel, seed: int) -> None:
        tally = watch.tally
        with torch.no_grad():
            logits_AK = watch(tally.x[watch.rows])
        right_A = tally.norm_B[watch.rows] > 0
        watch, logits_AK = watch.narrowed(right_A), logits_AK[right_A]
        if threat.eps == 0 or not len(watch.rows):
            return
        runner_up_A = logits_AK.scatter(1, tally.y_B[watch.rows][:, None], -torch.inf).argmax(1)
        if self.needs_start:
            with torch.no_grad():
                _find_starts(watch, seed=seed, stream=self.name)
            started_A = tally.norm_B[watch.rows].isfinite()
            watch, runner_up_A = watch.narrowed(started_A), runner_up_A[started_A]
        self._run(watch, runner_up_A, threat, seed)

    def _run(self, watch: _Watch, runner_up_A: Tensor, threat: ThreatModel, seed: int) -> None:
        """Run foolbox on the watched rows; where it raises, on each half of them."""
        tally, rows = watch.tally, watch.rows
        if not len(rows):
            return
        region = tally.region
        job = Job(
            norm=threat.norm,
            x=tally.x[rows],
            y_A=tally.y_B[rows],
            runner_up_A=runner_up_A,
            starts=tally.best[rows] if self.needs_start else None,
            low=float(region.low),
            high=float(region.high),
            eps=region.inner_radius(tally.x) * (1 - _ROUNDING) if self.within_eps else threat.eps,
            seed=seed,
        )
        try:
            found = self._apart(watch, job) if self.apart else self.run_foolbox(watch, job)
            with torch.no_grad():
                watch(found)
        except (_StoppedError, QueryFailedError, SubjectUnavailableError):
            raise  # whether an example is unanswered is for `queries` to find out
        except Exception as problem:  # whatever foolbox, eagerpy or numba may raise
            if len(rows) == 1:
                _log.warning("%s gave up on example %d: %r", self.name, int(tally.ids_B[rows]), problem)
                return
            first_half_A = torch.arange(len(rows), device=rows.device) < len(rows) // 2
            for half_A in (first_half_A, ~first_half_A):
                self._run(watch.narrowed(half_A), runner_up_A[half_A], threat, seed)

    def _apart(self, watch: _Watch, job: Job) -> Tensor:
        from raiaudit.attacks.evasion.foolbox_process import run_apart

        return run_apart(self, job, watch, patience=self.patience, deadline=watch.deadline)
