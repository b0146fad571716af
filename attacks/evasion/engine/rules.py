"""What an attack tells the engine: where to start, what to ascend, how to step.

A rule is the mathematics of one attack and nothing else; batches, success, passes, precision and budgets
are the engine's. Tensors keep the legend of `rows`: A active rows, K classes, … the shape of one input.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Protocol

from torch import Tensor

from raiaudit.attacks.evasion.engine.rows import Rows
from raiaudit.errors import CapabilityError, UsageError

__all__ = [
    "Clean",
    "Reach",
    "Rule",
    "Seen",
    "clearly_errs",
    "errs",
    "margin",
    "refuse_a_model_of_nans",
    "require_logits",
]

_CLEAR = 1e-5  # of the largest logit: by how much a nearest error must err, to hold at another batch size


@dataclass(frozen=True, slots=True)
class Seen:
    """What one forward (and backward) at `rows.x` showed.

    `errs_A`: the classifier errs there, whether or not the point is within reach. `grad` has the shape of
    the inputs, A×…, or A×J×… for a loss A×J; None where the rule asked for no gradient.
    """

    logits_AK: Tensor
    loss_A: Tensor
    errs_A: Tensor
    grad: Tensor | None

    def take(self, index_A: Tensor) -> Seen:
        """What was seen of the rows that `index_A` selects."""
        grad = None if self.grad is None else self.grad[index_A]
        return Seen(self.logits_AK[index_A], self.loss_A[index_A], self.errs_A[index_A], grad)


class Rule(ABC):
    """One attack: `steps` moves, `steps + 1` looks, from each of `tries` independent starts.

    `minimal` rules may leave the region on their way; what they find counts only within it. A try is a
    restart or a target class; an example leaves with the first of its tries (by number) that breaks it.
    The tries of a `targeted` rule are target classes, likeliest first and never more than there are; they
    run side by side when few examples are left: the same outcome sooner, for the passes of the tries that a
    success cancels. Such a rule comes after `Clean`, which learns the likeliest classes.
    """

    name: str
    steps: int
    tries: int = 1
    minimal: bool = False
    targeted: bool = False

    @abstractmethod
    def start(self, rows: Rows) -> Rows:
        """The rows at their first iterate, with fresh memory."""

    def needs_gradient(self, iteration: int) -> bool:
        """Whether the look numbered `iteration` shall give a gradient."""
        return True

    @abstractmethod
    def loss(self, logits_AK: Tensor, rows: Rows) -> Tensor:
        """What to ascend: loss_A, or loss_AJ for J gradients at the price of one forward."""

    @abstractmethod
    def step(self, rows: Rows, seen: Seen, iteration: int) -> Rows:
        """The rows at their next iterate, which lies in the region unless the rule is `minimal`.

        Rows that it leaves out are done.
        """


class Reach(Protocol):
    """What an adversary can reach: how far an input has moved, and whether that is allowed."""

    def distance(self, x: Tensor, x0: Tensor) -> Tensor:
        """Distance of each row in the threat's norm, float64."""
        ...

    def valid(self, x: Tensor, x0: Tensor) -> Tensor:
        """Which rows are inputs that the adversary may present, at whatever distance (bool)."""
        ...

    def contains(self, x: Tensor, x0: Tensor) -> Tensor:
        """Which rows are valid and within reach (bool)."""
        ...


@dataclass(frozen=True, slots=True)
class Clean(Rule):
    """The rule that does nothing: it retires clean errors, at one forward and no gradient."""

    name: str = "clean"
    steps: int = 0

    def start(self, rows: Rows) -> Rows:
        """The clean input itself."""
        return replace(rows, x=rows.x0, memory={})

    def needs_gradient(self, iteration: int) -> bool:
        """Never."""
        return False

    def loss(self, logits_AK: Tensor, rows: Rows) -> Tensor:
        """The negative margin, for the record."""
        return -margin(logits_AK, rows.y_A)

    def step(self, rows: Rows, seen: Seen, iteration: int) -> Rows:
        """Never asked for: there are no steps."""
        raise AssertionError


def errs(logits_AK: Tensor, y_A: Tensor) -> Tensor:
    """Which rows are misclassified (bool A); an output with NaN is an error too."""
    wrong_A: Tensor = (logits_AK.argmax(1) != y_A) | logits_AK.isnan().any(1)
    return wrong_A


def require_logits(logits: Tensor, y_A: Tensor) -> None:
    """Raises `UsageError` for answers that are not two or more logits a row, or labels that name no class."""
    if logits.dim() != 2 or logits.shape[1] < 2:
        raise UsageError(
            f"the classifier answers {len(y_A)} inputs with the shape {list(logits.shape)}",
            remedy="return a logit for each of two classes or more: stack 0 and the one of a binary model",
        )
    if len(y_A) and not 0 <= int(y_A.min()) <= int(y_A.max()) < logits.shape[1]:
        raise UsageError(
            f"labels from {int(y_A.min())} to {int(y_A.max())}, and {logits.shape[1]} classes",
            remedy="give class indices that begin with 0",
        )


def refuse_a_model_of_nans(nan_B: Tensor) -> None:
    """Raises `CapabilityError` where NaN answers all of several clean inputs (bool B).

    Then the model is at fault. Where it answers only some of them so, or there is but one, they are errors of
    the model and nothing else: whether an audit ends must not depend on how its examples fall into shards.
    """
    if len(nan_B) > 1 and bool(nan_B.all()):
        raise CapabilityError("the classifier answers NaN to a clean input", remedy="mend the model first")


def clearly_errs(logits_AK: Tensor, y_A: Tensor) -> Tensor:
    """Which rows are misclassified by more than rounding at another batch size can undo (bool A)."""
    enough_A = -_CLEAR * logits_AK.nan_to_num().abs().amax(1)
    return errs(logits_AK, y_A) & ~(margin(logits_AK, y_A) > enough_A)


def margin(logits_AK: Tensor, y_A: Tensor) -> Tensor:
    """Logit of the label less the largest other one: at most 0 where the model errs."""
    true_A = logits_AK.gather(1, y_A[:, None]).squeeze(1)
    return true_A - logits_AK.scatter(1, y_A[:, None], -float("inf")).amax(1)
