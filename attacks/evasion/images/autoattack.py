"""AutoAttack (Croce & Hein, arXiv:2003.01690): an ensemble without knobs, each part on what the others left.

    standard   apgd-ce 100 steps · apgd-t 9 targets × 100 · fab-t 9 × 100 · square 5000 queries
    plus       apgd-ce and apgd-dlr 5 restarts · fab 5 restarts · square · apgd-t · fab-t
    rand       apgd-ce and apgd-dlr over the mean of 20 answers, for a network that answers at random
    screen     apgd-ce 20 steps · apgd-t 3 targets × 20: quick, and not AutoAttack-equivalent

For any number of classes K ≥ 2 (with fewer than ten, K − 1 targets), in L∞, L2 and L1. What the first part
left and interval bounds prove robust is not attacked further.

Beside the paper: of what `standard` and `plus` leave, an example whose margin they brought below a quarter
of the clean one may stand only because of where its runs happened to start; it is begun anew nine times.

Low precision is a means of the search alone. It is taken where the hardware has it and, on up to 256
examples and 20 steps of APGD, it is quicker and changes robust accuracy by no more than 0.2 points; every
success is one of the exact network, and what survives is attacked once more in float32.

Shapes: x images B×C×H×W or vectors B×W, y_B int64, eps in the units of x. Legend: K classes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from raiaudit.attacks.evasion import engine
from raiaudit.attacks.evasion.base import AttackResult, LogitsOf
from raiaudit.attacks.evasion.engine.network import Compile, Precision, bfloat16_hardware
from raiaudit.attacks.evasion.engine.region import Region, region_of
from raiaudit.attacks.evasion.engine.rows import example_ids
from raiaudit.attacks.evasion.engine.rules import Clean, Rule
from raiaudit.attacks.evasion.images.apgd import APGD
from raiaudit.attacks.evasion.images.attack import ImageAttack
from raiaudit.attacks.evasion.images.fab import FAB
from raiaudit.attacks.evasion.images.square import Square
from raiaudit.attacks.spaces import InputSpace
from raiaudit.attacks.threats import Norm, ThreatModel
from raiaudit.errors import CapabilityError

__all__ = ["VERSIONS", "AutoAttack", "Version"]

Version = Literal["standard", "plus", "rand", "screen"]

VERSIONS: dict[str, tuple[ImageAttack, ...]] = {
    "standard": (
        APGD(),
        APGD(objective="targeted"),
        FAB(targets=9),
        Square(),
    ),
    "plus": (
        APGD(restarts=5),
        APGD(objective="dlr", restarts=5),
        FAB(restarts=5),
        Square(),
        APGD(objective="targeted"),
        FAB(targets=9),
    ),
    "rand": (APGD(), APGD(objective="dlr")),
    "screen": (APGD(steps=20), APGD(objective="targeted", steps=20, targets=3)),
}

_RANDOM_SAMPLES = 20

_GATE_EXAMPLES, _GATE = 256, APGD(steps=20)
_GATE_POINTS = 0.002

_TAIL = APGD(objective="targeted", targets=3)

_NEAR, _ANEW = 0.25, APGD(restarts=9)


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoAttack(ImageAttack):
    """The ensemble called `version`; `found_by` of its result names the part that broke an example.

    `details` has, beside those of an image attack, `certified`: proven robust, and so not attacked further.
    """

    name: ClassVar[str] = "autoattack"
    norms: ClassVar[frozenset[Norm]] = frozenset({"linf", "l2", "l1"})

    compilation: Compile = "auto"
    version: Version = "standard"
    skip_certified: bool = True

    def __post_init__(self) -> None:
        if self.version not in VERSIONS:
            raise ValueError(f"version is one of {', '.join(VERSIONS)}, not {self.version!r}")

    def label(self, threat: ThreatModel) -> str:
        """What a report may call it: below the full budget it is not AutoAttack."""
        full = self.version != "screen" and threat.budget is None
        return f"AutoAttack {self.version}" if full else "not AutoAttack-equivalent: below its budget"

    def rules(self, region: Region, *, seed: int) -> Sequence[Rule]:
        """The clean look, then the parts in order."""
        parts = [part for part in VERSIONS[self.version] if region.ball.norm in part.norms]
        return _joined(parts, region, seed)

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
        """Attack every example; errors as in `region_of` and `engine.run`."""
        region = region_of(self, x, y_B, threat, space)
        ids_B = example_ids(ids, len(x), x.device)
        samples = _RANDOM_SAMPLES if self.version == "rand" else 1
        rows = _Examples(
            classifier, x, y_B, ids_B, region, threat, self.batch_size, samples, self.compilation
        )
        precision = rows.settled(self.precision, seed)
        clean, first, *others = self.rules(region, seed=seed)
        result = rows.run([clean, first] if threat.eps > 0 else [clean], precision)
        certified_B = self._certified(rows, space, ~result.broken_B)
        if threat.eps > 0:
            result = rows.run_on(~certified_B, [clean, *others], precision, after=result)
            if self.version in ("standard", "plus"):
                near_B = _near(result) & ~certified_B
                anew = _joined([_ANEW], region, seed + 1)  # another seed: starts that were not tried before
                result = rows.run_on(near_B, anew, precision, after=result)
            if precision == "bf16":
                result = rows.run_on(~certified_B, _joined([_TAIL], region, seed), "fp32", after=result)
        return replace(result, details={**result.details, "certified": certified_B})

    def _certified(self, rows: _Examples, space: InputSpace, standing_B: Tensor) -> Tensor:
        """Which of the standing interval bounds prove robust (bool B); none where they do not apply."""
        # Certificates build on the attacks' types: at module level the two would import each other.
        from raiaudit.attacks.certificates.interval_bounds import certify

        certified_B, threat = torch.zeros_like(standing_B), rows.threat
        index = standing_B.nonzero().squeeze(1)
        if (
            self.skip_certified
            and isinstance(rows.classifier, nn.Module)
            and rows.samples == 1
            and len(index)
        ):
            with suppress(CapabilityError):  # an architecture without bounds
                certified_B[index] = certify(
                    rows.classifier,
                    rows.x[index],
                    rows.y_B[index],
                    space=space,
                    eps=threat.eps,
                    norm=threat.norm,
                )
        return certified_B


def _near(result: AttackResult) -> Tensor:
    """Which examples stand at less than a quarter of their clean margin (bool B)."""
    near_B: Tensor = result.details["margin"] < _NEAR * result.details["clean_margin"]
    return near_B & ~result.broken_B


def _joined(parts: Sequence[ImageAttack], region: Region, seed: int) -> list[Rule]:
    rules = [rule for part in parts for rule in part.rules(region, seed=seed)]
    return [Clean(), *(rule for rule in rules if not isinstance(rule, Clean))]


@dataclass(frozen=True, slots=True)
class _Examples:
    """What is attacked, and with which limits."""

    classifier: LogitsOf
    x: Tensor
    y_B: Tensor
    ids_B: Tensor
    region: Region
    threat: ThreatModel
    batch_size: int
    samples: int
    compilation: Compile

    def run(self, rules: Sequence[Rule], precision: Precision) -> AttackResult:
        """All of them."""
        return engine.run(
            rules,
            self.classifier,
            self.x,
            self.y_B,
            region=self.region,
            ids_B=self.ids_B,
            batch_size=self.batch_size,
            budget=self.threat.budget,
            samples=self.samples,
            precision=precision,
            compilation=self.compilation,
        )

    def run_on(
        self, open_B: Tensor, rules: Sequence[Rule], precision: Precision, *, after: AttackResult
    ) -> AttackResult:
        """Those that are open and stood after the runs before, whose result this one completes."""
        index = (open_B & ~after.broken_B).nonzero().squeeze(1)
        few = replace(self, x=self.x[index], y_B=self.y_B[index], ids_B=self.ids_B[index])
        budget = self.threat.budget
        if budget is not None and len(index):
            left = budget - int(after.forwards_B[index].max())
            if left < 2:  # one look at the clean input, and one at an iterate
                return after
            few = replace(few, threat=replace(self.threat, budget=left))
        return _completed(after, index, few.run(rules, precision)) if len(index) else after

    def settled(self, precision: Precision, seed: int) -> Precision:
        """The precision of the search: the gate on a few examples decides whether it may be low."""
        hardware = bfloat16_hardware(self.x.device)
        if precision == "fp32" or (precision == "auto" and not hardware) or not len(self.x):
            return "fp32"
        few = replace(
            self,
            x=self.x[:_GATE_EXAMPLES],
            y_B=self.y_B[:_GATE_EXAMPLES],
            ids_B=self.ids_B[:_GATE_EXAMPLES],
        )
        broken, seconds = {}, {}
        for candidate in ("fp32", "bf16"):
            began = time.perf_counter()
            broken[candidate] = few.run(_GATE.rules(self.region, seed=seed), candidate).broken_B
            if self.x.is_cuda:
                torch.cuda.synchronize(self.x.device)
            seconds[candidate] = time.perf_counter() - began
        apart = float((broken["fp32"].float().mean() - broken["bf16"].float().mean()).abs())
        worth = precision == "bf16" or seconds["bf16"] < seconds["fp32"]
        return "bf16" if worth and apart <= _GATE_POINTS else "fp32"


def _completed(before: AttackResult, index: Tensor, later: AttackResult) -> AttackResult:
    """The earlier result with a later one of the rows `index`; passes add up, the lowest margin stays."""

    def merged(old_B: Tensor, new_A: Tensor) -> Tensor:
        return old_B.index_copy(0, index, new_A)

    old, new = before.details, later.details
    lowest_A = torch.minimum(old["margin"][index], new["margin"])
    dead_A = old["dead_gradients"][index] + new["dead_gradients"]
    found_by = list(before.found_by)
    for row, part in zip(index.tolist(), later.found_by, strict=True):
        found_by[row] = part
    return AttackResult(
        merged(before.adversarial, later.adversarial),
        merged(before.broken_B, later.broken_B),
        merged(before.norm_B, later.norm_B),
        before.forwards_B.index_add(0, index, later.forwards_B),
        before.backwards_B.index_add(0, index, later.backwards_B),
        {
            "found_try": merged(old["found_try"], new["found_try"]),
            "found_step": merged(old["found_step"], new["found_step"]),
            "margin": merged(old["margin"], lowest_A),
            "clean_margin": old["clean_margin"],
            "dead_gradients": merged(old["dead_gradients"], dead_A),
        },
        found_by,
    )
