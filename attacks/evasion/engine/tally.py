"""What an attack knows so far about each of the caller's examples.

Legend: B the caller's rows, A the active rows, K classes, … the shape of one input.
"""

from __future__ import annotations

import torch
from torch import Tensor

from raiaudit.attacks.evasion.base import AttackResult, LogitsOf
from raiaudit.attacks.evasion.engine.rows import Rows
from raiaudit.attacks.evasion.engine.rules import Clean, Reach, Rule, clearly_errs, errs, margin

__all__ = ["Tally"]


class Tally:
    """Broken or not, by what, at what cost; with `closest`, the nearest error seen instead of the first."""

    def __init__(self, x: Tensor, y_B: Tensor, region: Reach, *, closest: bool) -> None:
        count_B = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        self.x, self.y_B, self.region, self.closest = x.detach(), y_B, region, closest
        self.adversarial = self.x.clone()
        self.broken_B = count_B.bool()
        self.nearest_B = torch.full((len(x),), torch.inf, dtype=torch.float64, device=x.device)
        self.margin_B = torch.full((len(x),), torch.inf, device=x.device)
        self.clean_margin_B = self.margin_B.clone()
        self.forwards_B, self.backwards_B = count_B.clone(), count_B.clone()
        self.dead_gradients_B = count_B.clone()
        self.clean_nan_B = self.broken_B.clone()
        self.rules: list[str] = []
        self.rule_B, self.try_B, self.step_B = count_B - 1, count_B - 1, count_B - 1

    def going(self, rows: Rows) -> Tensor:
        """Which rows go on (bool A): those of examples that no try of the same or a lower number broke.

        In search of the nearest error all do, but for clean errors.
        """
        if self.closest:
            return self.nearest_B[rows.index_A] > 0
        broken_A = self.broken_B[rows.index_A]
        return ~(broken_A & (self.try_B[rows.index_A] <= rows.try_A))

    def look(
        self, rule: Rule, rows: Rows, logits_AK: Tensor, iteration: int, *, exact: LogitsOf, cost: int
    ) -> Tensor:
        """Count a forward and keep what it found; returns which rows err there (bool A)."""
        self.forwards_B.index_add_(0, rows.index_A, torch.full_like(rows.index_A, cost))
        errs_A = errs(logits_AK, rows.y_A)
        if iteration == 0 and rows.x is rows.x0:
            self.clean_nan_B[rows.index_A] = logits_AK.isnan().any(1)
        margin_A = margin(logits_AK, rows.y_A).nan_to_num(nan=-torch.inf)
        if isinstance(rule, Clean):
            self.clean_margin_B[rows.index_A] = margin_A
        if self.closest:
            found_A = errs_A if isinstance(rule, Clean) else clearly_errs(logits_AK, rows.y_A)
            self._keep_nearest(rule, rows, found_A, iteration)
            return errs_A
        if not rule.minimal:
            self.margin_B.scatter_reduce_(0, rows.index_A, margin_A, "amin")
        found = (errs_A & self.going(rows)).nonzero().squeeze(1)
        # Never the batch size at which they were found: half of it, or fewer.
        for index in torch.split(found, max(1, len(rows) // 2)) if len(found) else ():
            self._confirm(rule, rows.take(index), iteration, exact, cost)
        return errs_A

    def _confirm(self, rule: Rule, rows: Rows, iteration: int, exact: LogitsOf, cost: int) -> None:
        """Record the successes that hold when classified anew; a clean error needs no second look."""
        moved_A = (rows.x != rows.x0).flatten(1).any(1)
        self._record(rule, rows.take(~moved_A), iteration)
        rows = rows.take(moved_A)
        if rule.minimal:
            rows = rows.take(self.region.contains(rows.x, rows.x0))
        if not len(rows):
            return
        assert bool(self.region.contains(rows.x, rows.x0).all()), "a rule stepped out of its region"
        with torch.no_grad():
            logits_AK = exact(rows.x)
        self.forwards_B.index_add_(0, rows.index_A, torch.full_like(rows.index_A, cost))
        holds_A = errs(logits_AK, rows.y_A)
        self.margin_B.scatter_reduce_(
            0, rows.index_A, margin(logits_AK, rows.y_A).nan_to_num(nan=-torch.inf), "amin"
        )
        self._record(rule, rows.take(holds_A), iteration)

    def _record(self, rule: Rule, rows: Rows, iteration: int) -> None:
        """Keep the iterates; of several tries at one example, that of the lowest number."""
        if not len(rows):
            return
        lowest_B = torch.full_like(self.try_B, torch.iinfo(torch.int64).max)
        lowest_B.scatter_reduce_(0, rows.index_A, rows.try_A, "amin")
        rows = rows.take(rows.try_A == lowest_B[rows.index_A])
        self.adversarial[rows.index_A] = rows.x
        self.broken_B[rows.index_A] = True
        self._sign(rule, rows, iteration)

    def _keep_nearest(self, rule: Rule, rows: Rows, errs_A: Tensor, iteration: int) -> None:
        """Keep the iterates that err nearer to the clean input than any before."""
        rows = rows.take(errs_A)
        distance_A = self.region.distance(rows.x, rows.x0)
        nearest_B = self.nearest_B.scatter_reduce(0, rows.index_A, distance_A, "amin")
        nearer_A = (distance_A == nearest_B[rows.index_A]) & (distance_A < self.nearest_B[rows.index_A])
        rows, distance_A = rows.take(nearer_A), distance_A[nearer_A]
        valid_A = self.region.valid(rows.x, rows.x0)
        rows, distance_A = rows.take(valid_A), distance_A[valid_A]
        self.nearest_B[rows.index_A] = distance_A
        self.adversarial[rows.index_A] = rows.x
        self._sign(rule, rows, iteration)

    def _sign(self, rule: Rule, rows: Rows, iteration: int) -> None:
        """Note by which rule, try and step the rows were found."""
        if rule.name not in self.rules:
            self.rules.append(rule.name)
        self.rule_B[rows.index_A] = self.rules.index(rule.name)
        self.try_B[rows.index_A] = rows.try_A
        self.step_B[rows.index_A] = iteration

    def gradient(self, rows: Rows, grad: Tensor, cost: int) -> None:
        """Count a backward, and whether the gradient was dead: zero everywhere, or NaN somewhere."""
        ones_A = torch.ones_like(rows.index_A)
        self.backwards_B.index_add_(0, rows.index_A, ones_A * cost)
        peak_A = grad.detach().flatten(1).abs().amax(1)
        self.dead_gradients_B.index_add_(0, rows.index_A, ones_A * ((peak_A == 0) | peak_A.isnan()))

    def confirm_nearest(self, exact: LogitsOf, batch_size: int, cost: int) -> None:
        """Classify every nearest error once more; what does not hold is taken back."""
        found_B = self.nearest_B.isfinite() & (self.nearest_B > 0)
        found = found_B.nonzero().squeeze(1)
        for index in torch.split(found, max(1, batch_size // 2)) if len(found) else ():
            with torch.no_grad():
                holds_A = errs(exact(self.adversarial[index]), self.y_B[index])
            self.forwards_B[index] += cost
            self.nearest_B[index[~holds_A]] = torch.inf
            self.adversarial[index[~holds_A]] = self.x[index[~holds_A]]

    def result(self) -> AttackResult:
        """Everything, as the caller's rows; `details` as in `ImageAttack`."""
        if self.closest:
            found_B = self.nearest_B.isfinite()
            broken_B = found_B & self.region.contains(self.adversarial, self.x)
        else:
            found_B = broken_B = self.broken_B
        return AttackResult(
            self.adversarial,
            broken_B,
            self.region.distance(self.adversarial, self.x).float(),
            self.forwards_B,
            self.backwards_B,
            {
                "found_try": self.try_B.masked_fill(~found_B, -1),
                "found_step": self.step_B.masked_fill(~found_B, -1),
                "margin": self.margin_B,
                "clean_margin": self.clean_margin_B,
                "dead_gradients": self.dead_gradients_B,
            },
            [self.rules[rule] if found else None for rule, found in zip(self.rule_B, found_B, strict=True)],
        )
