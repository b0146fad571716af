"""The loop that attacks share: an active set that only ever holds what is still standing.

An attack supplies `Rule`s; several are tried in turn on the survivors, which makes an ensemble. The engine
owns everything else:

- the set: a structure of arrays, advanced in lock step, in chunks of `batch_size` rows for memory; the
  tries of a rule (restarts, target classes) may run side by side where the survivors leave room in a chunk,
  and a success cancels the later tries of its example, so that the outcome is that of one try after
  another;
- success, tested on the very forward that gives the gradient, and classified once more by the exact
  network at another batch size before it counts; what does not hold goes on;
- a broken example keeps that iterate and leaves; chunks are closed up and merged as they empty;
- no backward at a last iterate; parameters frozen, so that a backward is one to the input alone;
- the passes: `forwards_B` counts every row put through the model (second looks included);
  `backwards_B` counts the gradients an example used (one that breaks on the same forward on which a
  neighbour stands rides through that backward for nothing, uncounted).

What is guaranteed: an example's starts and noise depend on (seed, attack, try, id) alone, never on its
neighbours, batch, order or shard. Convolutions and matrix products may differ in their last bits between
batch sizes, so iterates can differ by as much; what is returned as broken was seen broken twice.

Legend: B the caller's rows, A the active rows, K classes, … the shape of one input.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import torch
from torch import Tensor

from raiaudit.attacks.evasion.base import AttackResult, LogitsOf, prepared
from raiaudit.attacks.evasion.engine.network import Compile, Network, Precision
from raiaudit.attacks.evasion.engine.rows import Rows, chunked, closed_up, joined
from raiaudit.attacks.evasion.engine.rules import (
    Clean,
    Reach,
    Rule,
    Seen,
    refuse_a_model_of_nans,
    require_logits,
)
from raiaudit.attacks.evasion.engine.tally import Tally
from raiaudit.errors import CapabilityError

__all__ = ["run"]

WAVE_CHUNKS, WAVE_VALUES = 16, 2**25
"""Chunks advanced together, and the input values they may hold: enough for survivors to merge into full
chunks; a rule keeps some five arrays of that size, whatever the number of examples."""

WORTH_QUICKENING = 4096
"""Rows yet to go through the network that pay for looking for a quicker form of it…"""

QUICKEN_AFTER = 4
"""…once they have withstood so many steps: most examples of an undefended network never do."""

SAMPLE = {"cpu": 32}
"""Rows on which forms are judged; 256 on an accelerator."""


def run(
    rules: Sequence[Rule],
    classifier: LogitsOf,
    x: Tensor,
    y_B: Tensor,
    *,
    region: Reach,
    ids_B: Tensor,
    batch_size: int,
    budget: int | None = None,
    closest: bool = False,
    samples: int = 1,
    precision: Precision = "fp32",
    compilation: Compile = "off",
) -> AttackResult:
    """Try the rules in turn on what the ones before left standing.

    `budget` caps the forwards spent on each example, second looks included. With `closest` nobody leaves
    early: every rule runs to its end, and the nearest error of each example is returned even beyond the
    region (then not as broken). `samples` > 1 attacks the mean probabilities over that many forwards, for
    a network that answers differently each time (expectation over transformation, arXiv:1707.07397).

    Raises `CapabilityError` if the classifier has no gradient, or answers NaN to all clean inputs, and
    `UsageError` for answers that are no logits and labels that are no classes of theirs.
    """
    _keep_pages()
    tally = Tally(x, y_B, region, closest=closest)
    with prepared(classifier):
        network = Network(classifier, samples=samples)
        loop = _Loop(network, tally, max(1, batch_size // samples), budget, precision, compilation)
        chunks = min(WAVE_CHUNKS, max(1, WAVE_VALUES // (loop.batch_size * math.prod(x.shape[1:]))))
        for first in range(0, len(x), chunks * loop.batch_size):
            wave = slice(first, first + chunks * loop.batch_size)
            loop.wave(rules, _at_start(x[wave].detach(), y_B[wave], ids_B[wave], first))
        refuse_a_model_of_nans(tally.clean_nan_B)
        tally.confirm_nearest(network.exact, loop.batch_size, samples)
    return tally.result()


@cache
def _keep_pages() -> None:
    """Let the C library keep freed memory of up to 64 MiB, as it learns to once it has freed a large block.

    Until then it gives an activation's pages back after every pass and faults them in again at the next,
    which can cost a small network as much as its convolutions. The block itself is never written to.
    """
    torch.empty(2**25 - 2**16, dtype=torch.uint8)


def _at_start(x: Tensor, y_A: Tensor, ids_A: Tensor, first: int) -> Rows:
    index_A = torch.arange(first, first + len(x), device=x.device)
    return Rows(index_A, ids_A, y_A, x, x, torch.empty(len(x), 0, device=x.device), index_A * 0)


class _Loop:
    """One run: the network, what is known, and the limits."""

    def __init__(
        self,
        network: Network,
        tally: Tally,
        batch_size: int,
        budget: int | None,
        precision: Precision,
        compilation: Compile,
    ) -> None:
        self.network, self.tally, self.batch_size = network, tally, batch_size
        self.budget, self.precision, self.compilation = budget, precision, compilation
        self.judged = False
        self.steps_ahead = 0

    def wave(self, rules: Sequence[Rule], standing: Rows) -> None:
        """All rules on some of the rows."""
        for number, rule in enumerate(rules):
            self.steps_ahead = sum(later.steps * later.tries for later in rules[number:])
            if isinstance(rule, Clean):
                standing = self._cleaned(rule, standing)
            else:
                standing = self._pursued(rule, standing)
            if not len(standing):
                return

    def _cleaned(self, rule: Clean, standing: Rows) -> Rows:
        """The rows that are right without an attack, with their clean logits."""
        parts = []
        for rows in chunked(standing, self.batch_size):
            with torch.no_grad():
                logits_AK = self.network.exact(rows.x0)
            require_logits(logits_AK, rows.y_A)
            self._look(rule, rows, logits_AK, 0)
            parts.append(replace(rows, clean_AK=logits_AK))
        rows = joined(parts)
        return rows.take(self.tally.going(rows))

    def _maybe_quicken(self, chunks: list[Rows]) -> None:
        """Once, if there is enough to do: look for a quicker form of the network, on a few clean rows."""
        ahead = sum(map(len, chunks)) * self.steps_ahead
        rows = chunks[0]
        known = rows.clean_AK.shape[1] > 0 and self.budget is None
        if self.judged or not known or ahead < WORTH_QUICKENING:
            return
        self.judged = True
        few = rows.take(slice(0, SAMPLE.get(rows.x.device.type, 256)))
        spent = self.network.quicken(few.x0, few.clean_AK, self.precision, self.compilation, ahead=ahead)
        self.tally.forwards_B.index_add_(0, few.index_A, torch.full_like(few.index_A, spent))

    def _pursued(self, rule: Rule, standing: Rows) -> Rows:
        """The rows that withstood every try of the rule."""
        first, tries = 0, rule.tries
        if rule.targeted:
            assert standing.clean_AK.shape[1] > 1, "a targeted rule comes after Clean"
            tries = min(tries, standing.clean_AK.shape[1] - 1)
        while first < tries and len(standing):
            roomy = rule.targeted and self.budget is None
            together = max(1, self.batch_size // len(standing)) if roomy else 1
            numbers = range(first, min(first + together, tries))
            copies = [replace(standing, try_A=torch.full_like(standing.try_A, n)) for n in numbers]
            self._advance_all(rule, joined(copies))
            standing = self._affordable(standing.take(self._standing(standing)))
            first += len(numbers)
        return standing

    def _standing(self, rows: Rows) -> Tensor:
        return ~self.tally.broken_B[rows.index_A]

    def _affordable(self, rows: Rows) -> Rows:
        """The rows whose budget has room for one more look and the second one; a first look is always had."""
        if self.budget is None or not len(rows):
            return rows
        spent_A = self.tally.forwards_B[rows.index_A]
        return rows.take((spent_A == 0) | (spent_A + 2 * self.network.samples <= self.budget))

    def _advance_all(self, rule: Rule, rows: Rows) -> None:
        """All rows in lock step until they break, are cancelled, or the steps are spent."""
        chunks = [rule.start(chunk) for chunk in chunked(self._affordable(rows), self.batch_size)]
        for iteration in range(rule.steps + 1):
            chunks = [self._affordable(self._advance(rule, rows, iteration)) for rows in chunks]
            chunks = closed_up(chunks, self.batch_size)
            if not chunks:
                return
            if iteration == QUICKEN_AFTER:
                self._maybe_quicken(chunks)

    def _advance(self, rule: Rule, rows: Rows, iteration: int) -> Rows:
        """One look, and one step for those that withstood it."""
        last = iteration == rule.steps
        wanted = not last and rule.needs_gradient(iteration)
        x = rows.x.detach().requires_grad_(wanted)
        with torch.set_grad_enabled(wanted):
            logits_AK = self.network.search(x)
            loss = rule.loss(logits_AK, rows)
        errs_A = self._look(rule, rows, logits_AK.detach(), iteration)
        on = self.tally.going(rows).nonzero().squeeze(1)
        if last or not len(on):
            return rows.take(on)
        grad = _gradient(loss, x, logits_AK) if wanted else None
        seen = Seen(logits_AK.detach(), loss.detach(), errs_A, grad)
        if len(on) < len(rows):
            rows, seen = rows.take(on), seen.take(on)
        if seen.grad is not None:
            self.tally.gradient(
                rows, seen.grad, self.network.samples * (loss.shape[1] if loss.dim() > 1 else 1)
            )
        return rule.step(rows, seen, iteration)

    def _look(self, rule: Rule, rows: Rows, logits_AK: Tensor, iteration: int) -> Tensor:
        exact, samples = self.network.exact, self.network.samples
        return self.tally.look(rule, rows, logits_AK, iteration, exact=exact, cost=samples)


def _gradient(loss: Tensor, x: Tensor, logits_AK: Tensor) -> Tensor:
    """Gradient of each row's loss with respect to its input: A×…, or A×J×… for J losses."""
    if not logits_AK.requires_grad:
        raise CapabilityError(
            "the classifier gives no gradient with respect to its input",
            remedy="attack it as a black box: `square` needs scores, `hop_skip_jump` labels",
        )
    with torch.enable_grad():  # the caller may be under no_grad
        if loss.dim() == 1:
            return torch.autograd.grad(loss.sum(), x)[0]
        columns = loss.unbind(1)
        grads = [torch.autograd.grad(c.sum(), x, retain_graph=c is not columns[-1])[0] for c in columns]
    return torch.stack(grads, dim=1)
