"""One attack in many variants: what each finds that plain PGD did not, example by example.

The comparisons are those of Carlini et al. (arXiv:1902.06705) and Athalye et al. (arXiv:1802.00420): one step
against many, more steps, rescaled logits, several targets, averaged answers, no gradient at all, other radii,
no radius. Remedies are tried only on what PGD left standing, so that their columns say what they added.
Shapes: x images B×C×H×W or vectors B×W, y_B int64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from raiaudit.attacks.evasion import engine
from raiaudit.attacks.evasion.base import AttackResult, LogitsOf
from raiaudit.attacks.evasion.diagnostics.ascents import Recorded, Rescaled, Trace
from raiaudit.attacks.evasion.diagnostics.outputs import class_count, logarithm, with_gradient
from raiaudit.attacks.evasion.diagnostics.recheck import violations
from raiaudit.attacks.evasion.engine.region import Region, region_of
from raiaudit.attacks.evasion.engine.rules import Clean, Rule
from raiaudit.attacks.evasion.images.apgd import APGD
from raiaudit.attacks.evasion.images.fgsm import FGSM
from raiaudit.attacks.evasion.images.pgd import PGD
from raiaudit.attacks.evasion.images.square import Square
from raiaudit.attacks.spaces import ImageBox
from raiaudit.attacks.threats import ThreatModel

__all__ = ["FACTORS", "battery"]

FACTORS = (0.5, 2.0, 4.0)
"""Other radii tried, as multiples of the audited one; the whole box comes last."""

_SAMPLES = 5  # answers averaged for a model that answers at random
_TARGETS = 3
_STEP = 2.5  # radii walked in all, as PGD's default
_BATCH = 256


def battery(
    classifier: LogitsOf,
    x: Tensor,
    y_B: Tensor,
    threat: ThreatModel,
    *,
    space: ImageBox,
    ids_B: Tensor,
    seed: int,
    steps: int,
    queries: int,
    random: bool,
    probabilities: bool,
) -> dict[str, Tensor]:
    """Columns of length B. Bool: `clean`, `pgd`, `one_step`, `eps_0.5` … `box` are broken (clean errors
    included); `doubled`, `rescaled`, `scale_free`, `black_box` and, for a `random` model, `expectation` are
    broken by that where PGD failed; `silent`: an error was seen that did not hold; `invalid`: what was found
    did not survive `violations`. Float: `late_gain` of PGD's losses. Int: `dead_gradients` (looks of PGD
    whose gradient was zero or NaN), `forwards`, `backwards`.

    With `probabilities` the rescaled attacks see the logarithm of the outputs. Errors as in `region_of`.
    """
    region = region_of(PGD(), x, y_B, threat, space)
    zeros_B = torch.zeros_like(y_B)
    spent = _Spent(zeros_B, zeros_B.clone(), zeros_B.bool())
    bench = _Bench(with_gradient(classifier, x), x, y_B, ids_B, region, threat, space, spent)
    trace = Trace(len(x), steps + 1, x.device)
    step_size = _STEP * region.eps / steps
    plain = bench.run([Clean(), Recorded("pgd", region, steps, step_size, seed=seed, trace=trace)])
    clean_B = torch.tensor([name == "clean" for name in plain.found_by], device=x.device)
    found = {
        "clean": clean_B,
        "pgd": plain.broken_B,
        "dead_gradients": plain.details["dead_gradients"],
        "silent": ~plain.broken_B & (plain.details["margin"] <= 0),
        "late_gain": trace.late_gain(),
        "one_step": bench.run([Clean(), *FGSM().rules(region, seed=seed)]).broken_B,
    }

    standing_B = ~plain.broken_B
    targets = min(_TARGETS, class_count(classifier, x) - 1)
    dlr = APGD(objective="dlr", steps=steps).rules(region, seed=seed)
    targeted = APGD(objective="targeted", steps=steps, targets=targets).rules(region, seed=seed)
    rescaled = [Clean(), Rescaled("rescaled", region, steps, step_size, seed=seed)]
    as_logits = replace(bench, classifier=logarithm(bench.classifier)) if probabilities else bench
    found["rescaled"] = as_logits.on(standing_B, rescaled)
    found["scale_free"] = as_logits.on(standing_B, [*dlr, *targeted[1:]])
    found["doubled"] = bench.on(standing_B, PGD(steps=2 * steps).rules(region, seed=seed))
    found["black_box"] = bench.on(standing_B, Square(steps=queries).rules(region, seed=seed))
    if random:
        again = PGD(steps=steps).rules(region, seed=seed)
        found["expectation"] = bench.on(standing_B, again, samples=_SAMPLES)

    for name, radius in _radii(threat, space).items():
        wider = replace(bench, region=replace(region, eps=radius), threat=replace(threat, eps=radius))
        # A random point of the whole box may lie where the best of losses is flat.
        attack = PGD(steps=steps, random_start=name != "box")
        found[name] = wider.run(attack.rules(wider.region, seed=seed)).broken_B
    return {**found, "invalid": spent.invalid_B, "forwards": spent.forwards_B, "backwards": spent.backwards_B}


@dataclass(frozen=True, slots=True)
class _Spent:
    """What all attacks together cost, and which examples any of them claimed to have broken and had not."""

    forwards_B: Tensor
    backwards_B: Tensor
    invalid_B: Tensor


@dataclass(frozen=True, slots=True)
class _Bench:
    """One batch, one region, one classifier; copies share the counts."""

    classifier: LogitsOf
    x: Tensor
    y_B: Tensor
    ids_B: Tensor
    region: Region
    threat: ThreatModel
    space: ImageBox
    spent: _Spent

    def run(self, rules: Sequence[Rule], *, samples: int = 1) -> AttackResult:
        """The rules on every row."""
        return self._attack(rules, torch.arange(len(self.x), device=self.x.device), samples)

    def on(self, chosen_B: Tensor, rules: Sequence[Rule], *, samples: int = 1) -> Tensor:
        """The rules on some rows; bool B, False for the others."""
        index = chosen_B.nonzero().squeeze(1)
        broken_B = torch.zeros_like(chosen_B)
        if len(index):
            broken_B[index] = self._attack(rules, index, samples).broken_B
        return broken_B

    def _attack(self, rules: Sequence[Rule], index: Tensor, samples: int) -> AttackResult:
        x, y = self.x[index], self.y_B[index]
        result = engine.run(
            rules,
            self.classifier,
            x,
            y,
            region=self.region,
            ids_B=self.ids_B[index],
            batch_size=_BATCH,
            samples=samples,
        )
        self.spent.forwards_B[index] += result.forwards_B
        self.spent.backwards_B[index] += result.backwards_B
        moved = (result.broken_B & (result.norm_B > 0)).nonzero().squeeze(1)
        if len(moved) and samples == 1:
            adversarial = result.adversarial[moved]
            bad = violations(self.classifier, x[moved], adversarial, y[moved], self.threat, self.space)
            self.spent.invalid_B[index[moved]] |= bad
            self.spent.forwards_B[index[moved]] += 1
        return result


def _radii(threat: ThreatModel, space: ImageBox) -> dict[str, float]:
    """Column: radius, ascending; no radius beyond the one that holds the whole box."""
    width, values = space.high - space.low, math.prod(space.shape)
    whole = width if threat.norm == "linf" else width * math.sqrt(values)
    radii = {f"eps_{factor:g}": factor * threat.eps for factor in FACTORS if factor * threat.eps < whole}
    return {**radii, "box": whole}
