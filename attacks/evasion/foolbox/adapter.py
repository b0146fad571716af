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

from raiaudit.attacks.evasion.base import AttackResult, LogitsOf, Modality, prepared
from raiaudit.attacks.evasion.engine.region import region_of
from raiaudit.attacks.evasion.engine.rows import example_ids
from raiaudit.attacks.evasion.foolbox.watch import Nearest, StoppedError, Watch, find_starts
from raiaudit.attacks.spaces import InputSpace
from raiaudit.attacks.threats import Knowledge, Norm, ThreatModel
from raiaudit.errors import QueryFailedError, SubjectUnavailableError, UsageError

__all__ = ["FoolboxAttack", "Job"]

_log = logging.getLogger(__name__)

_ROUNDING = 1e-6  # of eps: what an attack told to stay within eps may overstep it by


@dataclass(frozen=True, slots=True)
class Job:
    """What foolbox is given: rows that the model has right, plain data that can travel.

    `runner_up_A` is the likeliest wrong class, `eps` (scalar) the radius of an attack that has one, `starts`
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
        tally = Nearest(x, y_B, ids_B, region, x.clone(), far_B, zero_B, zero_B.clone())
        with prepared(classifier):
            for first in range(0, len(x), self.batch_size):
                watch = Watch(
                    classifier,
                    tally,
                    torch.arange(first, min(first + self.batch_size, len(x)), device=x.device),
                    budget=threat.budget,
                    deadline=torch.inf if self.seconds is None else time.monotonic() + self.seconds,
                    enough=threat.eps if self.within_eps else 0.0,
                )
                try:
                    self._attack(watch, threat, seed)
                except StoppedError:
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

    def _attack(self, watch: Watch, threat: ThreatModel, seed: int) -> None:
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
                find_starts(watch, seed=seed, stream=self.name)
            started_A = tally.norm_B[watch.rows].isfinite()
            watch, runner_up_A = watch.narrowed(started_A), runner_up_A[started_A]
        self._run(watch, runner_up_A, threat, seed)

    def _run(self, watch: Watch, runner_up_A: Tensor, threat: ThreatModel, seed: int) -> None:
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
        except (StoppedError, QueryFailedError, SubjectUnavailableError):
            raise  # whether an example is unanswered is for `queries` to find out
        except Exception as problem:  # whatever foolbox, eagerpy or numba may raise
            if len(rows) == 1:
                _log.warning("%s gave up on example %d: %r", self.name, int(tally.ids_B[rows]), problem)
                return
            first_half_A = torch.arange(len(rows), device=rows.device) < len(rows) // 2
            for half_A in (first_half_A, ~first_half_A):
                self._run(watch.narrowed(half_A), runner_up_A[half_A], threat, seed)

    def _apart(self, watch: Watch, job: Job) -> Tensor:
        from raiaudit.attacks.evasion.foolbox.process import run_apart

        return run_apart(self, job, watch, patience=self.patience, deadline=watch.deadline)
