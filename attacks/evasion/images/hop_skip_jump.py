"""HopSkipJump: the nearest error by labels alone (Chen, Jordan & Wainwright, arXiv:1904.02144), L2 and L∞.

From a start that errs, again and again: bisect towards the clean input down to the boundary; estimate the
boundary's normal from the labels of random points around; jump along it, half as far until that errs. The
paper's constants: directions 100·√t in round t, probes at 1/d of the distance, jumps of 1/√t of it.

All examples advance together, each at its own distance, step and budget; the probes of all are one stream of
rows, asked in batches. Starts are uniform noise of several grains (a model gives all fine noise the same one
or two classes); an example for which none errs is not found, and costs the others nothing.

Shapes: x images B×C×H×W or feature vectors B×W, d values each; A rows in work, N probes of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from raiaudit.attacks import randomness
from raiaudit.attacks.evasion.base import AttackResult, LogitsOf, Modality, prepared
from raiaudit.attacks.evasion.engine.balls import per_row
from raiaudit.attacks.evasion.engine.region import Region, region_of
from raiaudit.attacks.evasion.engine.rows import example_ids
from raiaudit.attacks.evasion.engine.rules import clearly_errs, errs, refuse_a_model_of_nans, require_logits
from raiaudit.attacks.evasion.images.square import as_images
from raiaudit.attacks.spaces import InputSpace
from raiaudit.attacks.threats import Knowledge, Norm, ThreatModel

__all__ = ["HopSkipJump"]

_FIRST_PROBE = 0.1  # of the box
_SHORTENINGS = 15  # halvings of a jump before a round is given up
_FEWEST_PROBES = 10  # an estimate from fewer is not worth its queries
_UNLIMITED = torch.iinfo(torch.int64).max // 2


@dataclass(slots=True)
class _Record:
    """What has been asked about each of the caller's examples, and the nearest error seen (inf: none)."""

    classifier: LogitsOf
    x: Tensor
    y_B: Tensor
    region: Region
    batch_size: int
    budget: int | None
    forwards_B: Tensor = field(init=False)
    to_break_B: Tensor = field(init=False)
    nearest_B: Tensor = field(init=False)
    best: Tensor = field(init=False)
    clean_nan_B: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.forwards_B = torch.zeros_like(self.y_B)
        self.to_break_B = torch.full_like(self.y_B, -1)
        self.nearest_B = torch.full_like(self.y_B, torch.inf, dtype=torch.float64)
        self.best = self.x.clone()
        self.clean_nan_B = torch.zeros_like(self.y_B, dtype=torch.bool)

    def room(self, index_A: Tensor) -> Tensor:
        """Queries left, one set aside to confirm what is found."""
        if self.budget is None:
            return torch.full_like(index_A, _UNLIMITED)
        return self.budget - 1 - self.forwards_B[index_A]

    def labels(self, index_N: Tensor, x: Tensor) -> Tensor:
        """Which points are errors (bool N), clear enough to be so at another batch size."""
        self.forwards_B.index_add_(0, index_N, torch.ones_like(index_N))
        return clearly_errs(self.classifier(x).float(), self.y_B[index_N])

    def look(self, index_A: Tensor, x: Tensor) -> Tensor:
        """The same of one point an example, keeping what errs nearer than before."""
        wrong_A = self.labels(index_A, x) if len(index_A) else index_A.bool()
        self._keep(index_A[wrong_A], x[wrong_A])
        return wrong_A

    def look_clean(self, index_A: Tensor) -> Tensor:
        """Which clean inputs are errors (bool A), at no distance."""
        logits_AK = self.classifier(self.x[index_A])
        require_logits(logits_AK, self.y_B[index_A])
        self.forwards_B[index_A] += 1
        self.clean_nan_B[index_A] = logits_AK.isnan().any(1)
        wrong_A = errs(logits_AK, self.y_B[index_A])
        self._keep(index_A[wrong_A], self.x[index_A[wrong_A]])
        return wrong_A

    def _keep(self, index_A: Tensor, x: Tensor) -> None:
        distance_A = self.region.distance(x, self.x[index_A])
        breaks = index_A[(distance_A <= self.region.eps) & (self.to_break_B[index_A] < 0)]
        self.to_break_B[breaks] = self.forwards_B[breaks]
        nearer_A = distance_A < self.nearest_B[index_A]
        self.nearest_B[index_A[nearer_A]] = distance_A[nearer_A]
        self.best[index_A[nearer_A]] = x[nearer_A]

    def confirm(self) -> None:
        """Classify every nearest error once more, at another batch size; what does not hold is taken back."""
        found = (self.nearest_B.isfinite() & (self.nearest_B > 0)).nonzero().squeeze(1)
        for index in torch.split(found, max(1, self.batch_size // 2)) if len(found) else ():
            self.forwards_B[index] += 1
            lost = index[~errs(self.classifier(self.best[index]), self.y_B[index])]
            self.nearest_B[lost], self.to_break_B[lost], self.best[lost] = torch.inf, -1, self.x[lost]

    def result(self) -> AttackResult:
        """Everything, as the caller's rows."""
        found_B = self.nearest_B.isfinite()
        return AttackResult(
            self.best,
            found_B & (self.nearest_B <= self.region.eps),
            self.nearest_B.masked_fill(~found_B, 0).float(),
            self.forwards_B,
            torch.zeros_like(self.forwards_B),
            {"forwards_to_break": self.to_break_B},
        )


@dataclass(slots=True)
class _Hunt:
    """Examples in work: the error each is at, how far that is, and how many random directions it has had."""

    record: _Record
    seed: int
    name: str
    index_A: Tensor
    ids_A: Tensor
    x0: Tensor
    error: Tensor
    distance_A: Tensor
    drawn_A: Tensor

    def narrow(self, keep_A: Tensor) -> None:
        """Go on with some of the examples."""
        self.index_A, self.ids_A, self.x0 = self.index_A[keep_A], self.ids_A[keep_A], self.x0[keep_A]
        self.error, self.distance_A = self.error[keep_A], self.distance_A[keep_A]
        self.drawn_A = self.drawn_A[keep_A]

    @property
    def values(self) -> int:
        """d, the values of an input."""
        return math.prod(self.x0.shape[1:])

    @property
    def halvings(self) -> int:
        """Of a bisection: down to d^(−3/2) of the distance in L2, to 1/d² in L∞, as float32 allows."""
        power = 1.5 if self.record.region.ball.norm == "l2" else 2.0
        return min(max(10, math.ceil(power * math.log2(self.values))), 20)

    def clip(self, x: Tensor) -> Tensor:
        """Into the box."""
        return x.clamp_(self.record.region.low, self.record.region.high)

    def start(self, attempts: int) -> None:
        """Noise that errs, coarser from attempt to attempt; who has none leaves."""
        region, shape = self.record.region, as_images(self.x0).shape
        stream, started_A = f"{self.name}/start", torch.zeros_like(self.index_A, dtype=torch.bool)
        for draw in range(attempts):
            trying = (~started_A & (self.record.room(self.index_A) > 0)).nonzero().squeeze(1)
            if not len(trying):
                break
            grains = [max(1, side >> draw % 4) for side in shape[2:]]
            noise = randomness.uniform(
                self.ids_A[trying], (shape[1], *grains), seed=self.seed, stream=stream, draw=draw
            )
            noise = functional.interpolate(noise.to(self.x0.dtype), size=shape[2:])
            x = self.clip(noise * (region.high - region.low) + region.low).view_as(self.x0[trying])
            wrong_A = self.record.look(self.index_A[trying], x)
            self.error[trying[wrong_A]] = x[wrong_A]
            started_A[trying[wrong_A]] = True
        self.narrow(started_A)

    def bisect(self) -> None:
        """Down to the boundary, along the line (L2) or by clipping to smaller and smaller boxes (L∞)."""
        clean, error = self.x0, self.error
        inside_A = torch.zeros_like(self.distance_A)
        outside_A = torch.ones_like(inside_A)
        reach_A = (error - clean).flatten(1).abs().amax(1)
        for _ in range(self.halvings):
            going = (self.record.room(self.index_A) > 0).nonzero().squeeze(1)
            middle_A = (inside_A[going] + outside_A[going]) / 2
            share = per_row(middle_A, clean)
            if self.record.region.ball.norm == "l2":
                x = clean[going].lerp(error[going], share)
            else:
                bound = per_row(reach_A[going], clean) * share
                x = clean[going] + (error[going] - clean[going]).clamp(-bound, bound)
            x = self.clip(x)
            wrong_A = self.record.look(self.index_A[going], x)
            self.error = self.error.index_copy(0, going[wrong_A], x[wrong_A])
            outside_A[going[wrong_A]] = middle_A[wrong_A]
            inside_A[going[~wrong_A]] = middle_A[~wrong_A]
        self.distance_A = self.record.region.distance(self.error, clean).to(clean.dtype)

    def probes(self, wanted: int) -> Tensor:
        """How many each example can afford, int64 A; who cannot afford a round leaves."""
        room_A = self.record.room(self.index_A) - self.halvings - _SHORTENINGS
        self.narrow(room_A >= min(wanted, _FEWEST_PROBES))
        room_A = self.record.room(self.index_A) - self.halvings - _SHORTENINGS
        return room_A.clamp_max(wanted)

    def normal(self, probes_A: Tensor, *, first: bool) -> Tensor:
        """The way up from the boundary: of unit length (L2), or signs (L∞)."""
        region, batch_size = self.record.region, self.record.batch_size
        width_A = self.distance_A / self.values
        if first:
            width_A = torch.full_like(width_A, _FIRST_PROBE * (region.high - region.low))
        # No less than what float32 resolves in each of the values.
        resolved = 16 * torch.finfo(self.x0.dtype).eps * max(abs(region.low), abs(region.high))
        width_A = width_A.clamp_min(resolved * math.sqrt(self.values))
        owner_N = torch.arange(len(self.index_A), device=self.x0.device).repeat_interleave(probes_A)
        number_N = torch.arange(len(owner_N), device=self.x0.device)
        number_N += (self.drawn_A - probes_A.cumsum(0) + probes_A)[owner_N]
        self.drawn_A = self.drawn_A + probes_A

        # Summed in float64: where a batch ends must not show.
        wrong_sum, total_sum = (torch.zeros_like(self.x0.flatten(1), dtype=torch.float64) for _ in range(2))
        wrong_count_A = torch.zeros_like(probes_A)
        for owner, number in zip(
            torch.split(owner_N, batch_size), torch.split(number_N, batch_size), strict=True
        ):
            boundary, width = self.error[owner], per_row(width_A[owner], self.x0)
            x = self.clip(boundary + width * self._directions(self.ids_A[owner], number))
            wrong = self.record.labels(self.index_A[owner], x)
            moved = ((x - boundary) / width).flatten(1).double()
            total_sum.index_add_(0, owner, moved)
            wrong_sum.index_add_(0, owner[wrong], moved[wrong])
            wrong_count_A.index_add_(0, owner, wrong.long())
        # Errors count 1 and the others −1, less the mean: twice (Σ_errors u − share · Σ u). Where all are
        # alike, the mean of all directions, towards or away.
        share = (wrong_count_A / probes_A).double()[:, None]
        alike = (wrong_count_A[:, None] == 0) | (share == 1)
        way = torch.where(alike, (2 * share - 1) * total_sum, wrong_sum - share * total_sum)
        way = way.view_as(self.x0).to(self.x0.dtype)
        return region.ball.ascent(way)

    def _directions(self, ids_N: Tensor, number_N: Tensor) -> Tensor:
        """Of length 1 in L2; uniform there, from a cube in L∞."""
        draw = randomness.normal if self.record.region.ball.norm == "l2" else _cube
        raw = draw(ids_N, self.x0.shape[1:], seed=self.seed, stream=f"{self.name}/probes", draw=number_N)
        return (raw / per_row(raw.flatten(1).norm(dim=1), raw)).to(self.x0.dtype)

    def jump(self, way: Tensor, round_number: int) -> None:
        """Along `way`, by the distance over √round or the first half, quarter… of it that errs; or stay."""
        length_A = self.distance_A / math.sqrt(round_number)
        pending = torch.arange(len(self.index_A), device=self.x0.device)
        for _ in range(_SHORTENINGS):
            x = self.clip(self.error[pending] + per_row(length_A[pending], self.x0) * way[pending])
            wrong_A = self.record.look(self.index_A[pending], x)
            self.error = self.error.index_copy(0, pending[wrong_A], x[wrong_A])
            pending = pending[~wrong_A]
            length_A /= 2
            if not len(pending):
                return


def _cube(ids_N: Tensor, shape: Sequence[int], *, seed: int, stream: str, draw: Tensor) -> Tensor:
    return randomness.uniform(ids_N, shape, seed=seed, stream=stream, draw=draw).mul_(2).sub_(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class HopSkipJump:
    """`steps` rounds; `probes` directions in the first; at most `starts` noise images to begin from.

    Minimum-norm: the nearest error found is returned whatever its distance, and is broken within eps. The
    details' `forwards_to_break` is how many queries had been asked when the first error within eps was
    (−1: none was).
    """

    name: ClassVar[str] = "hop_skip_jump"
    norms: ClassVar[frozenset[Norm]] = frozenset({"linf", "l2"})
    modality: ClassVar[Modality] = "image"
    knowledge: ClassVar[Knowledge] = "label"

    steps: int = 40
    probes: int = 100
    starts: int = 50
    batch_size: int = 256

    def __post_init__(self) -> None:
        if min(self.steps, self.probes, self.starts, self.batch_size) < 1:
            raise ValueError(f"steps, probes, starts and batch_size must be at least 1: {self}")

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
        """The nearest error found for each input; never more queries than the budget of `threat`.

        Errors as in `region_of`; `CapabilityError` if the classifier answers NaN to all clean inputs.
        """
        region = region_of(self, x, y_B, threat, space)
        record = _Record(classifier, x.detach(), y_B, region, self.batch_size, threat.budget)
        ids_B = example_ids(ids, len(x), x.device)
        with prepared(classifier), torch.no_grad():
            for first in range(0, len(x), self.batch_size):
                index_A = torch.arange(first, min(first + self.batch_size, len(x)), device=x.device)
                index_A = index_A[~record.look_clean(index_A)]
                if threat.eps > 0 and len(index_A):
                    self._pursue(record, index_A, ids_B[index_A], seed)
            refuse_a_model_of_nans(record.clean_nan_B)
            record.confirm()
        return record.result()

    def _pursue(self, record: _Record, index_A: Tensor, ids_A: Tensor, seed: int) -> None:
        """Every round for some of the examples."""
        x0 = record.x[index_A]
        distance_A = torch.zeros(len(x0), dtype=x0.dtype, device=x0.device)
        hunt = _Hunt(record, seed, self.name, index_A, ids_A, x0, x0.clone(), distance_A, index_A * 0)
        hunt.start(self.starts)
        hunt.bisect()
        for round_number in range(1, self.steps + 1):
            probes_A = hunt.probes(int(self.probes * math.sqrt(round_number)))
            if not len(probes_A):
                return
            way = hunt.normal(probes_A, first=round_number == 1)
            hunt.jump(way, round_number)
            hunt.bisect()
