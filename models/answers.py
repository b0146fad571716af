"""Asking a black box about many inputs: every answer is checked, and a failing input costs only itself.

A batch without an answer is asked again in halves, down to single inputs. When three inputs in a row have
failed and none was answered, the box itself is at fault and no further input is tried.

Shapes: N inputs, K classes. Scores become their logarithms, which are logits of the same probabilities;
labels become one-hot rows, of which only the largest entry means anything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Answers", "Ask", "BatchFailedError", "Returns", "ask_all"]

Returns = Literal["scores", "labels"]
Ask = Callable[[Any], Sequence[Any]]
"""Inputs of one batch (an array or a list) → one raw answer each; raises `BatchFailedError`."""

_GIVE_UP_AFTER = 3
_SUM_TOLERANCE = 0.01  # scores rounded to two or three digits are common
_LARGEST = 1e300  # what compares as less is finite, also a whole number too long for a float
_SMALLEST = float(np.finfo(np.float32).tiny)


class BatchFailedError(Exception):
    """A batch has no answer; `hopeless` when no other batch would have one either."""

    def __init__(self, problem: str, *, hopeless: bool = False) -> None:
        super().__init__(problem)
        self.hopeless = hopeless


@dataclass(frozen=True, slots=True)
class Answers:
    """logits_NK, float32, NaN in the rows of `problems` (row → what was wrong)."""

    logits_NK: NDArray[np.float32]
    problems: dict[int, str]


def ask_all(
    ask: Ask, items: Sequence[Any], *, returns: Returns, classes: tuple[str, ...], batch: int
) -> Answers:
    """Answers for all items, in batches of at most `batch`.

    Raises `BatchFailedError`, hopeless, when the box rather than an item is at fault.
    """
    found = Answers(np.full((len(items), len(classes)), np.nan, dtype=np.float32), {})
    problem_of = _score_problem if returns == "scores" else _label_problem
    pending = [(low, min(low + batch, len(items))) for low in range(0, len(items), batch)][::-1]
    answered, lost = False, 0
    while pending:
        low, high = pending.pop()
        try:
            given = ask(items[low:high])
        except BatchFailedError as failure:
            if failure.hopeless:
                raise
            if high - low > 1:
                middle = (low + high) // 2
                pending += [(middle, high), (low, middle)]
                continue
            wrong = {low: str(failure)}
        else:
            wrong = {
                low + row: problem
                for row, answer in enumerate(given)
                if (problem := problem_of(answer, classes)) is not None
            }
            for row, answer in enumerate(given, start=low):
                if row not in wrong:
                    found.logits_NK[row] = _logits(answer, classes)
        found.problems.update(wrong)
        answered = answered or len(wrong) < high - low
        lost += len(wrong)
        if not answered and lost >= _GIVE_UP_AFTER:
            raise BatchFailedError(found.problems[min(found.problems)], hopeless=True)
    return found


def _score_problem(answer: Any, classes: tuple[str, ...]) -> str | None:
    if not isinstance(answer, list):
        return f"expected a list of {len(classes)} scores, got {_kind(answer)}"
    if len(answer) != len(classes):
        return f"expected {len(classes)} scores, one a class, got {len(answer)}"
    odd = [value for value in answer if type(value) not in (int, float)]
    if odd:
        return f"expected numbers as scores, got {_kind(odd[0])}"
    if not all(abs(value) < _LARGEST for value in answer):
        return "expected finite scores, got NaN or infinity"
    if min(answer) < 0 or abs(math.fsum(answer) - 1) > _SUM_TOLERANCE:
        return (
            "expected probabilities: scores of at least 0 that sum to 1, "
            f"got a lowest of {min(answer):.4g} and a sum of {math.fsum(answer):.4g}"
        )
    return None


def _label_problem(answer: Any, classes: tuple[str, ...]) -> str | None:
    if isinstance(answer, str):
        return None if answer in classes else "expected the name of a class, got another text"
    if type(answer) is not int:
        return f"expected a class's name or index, got {_kind(answer)}"
    if not 0 <= answer < len(classes):
        return f"expected a class index from 0 to {len(classes) - 1}, got one outside"
    return None


def _kind(value: Any) -> str:
    names = {
        str: "a text",
        list: "a list",
        dict: "an object",
        bool: "a truth value",
        float: "a decimal number",
    }
    return names.get(type(value), "null" if value is None else f"a {type(value).__name__}")


def _logits(answer: Any, classes: tuple[str, ...]) -> NDArray[np.float32]:
    if isinstance(answer, list):
        return np.log(np.maximum(np.asarray(answer, dtype=np.float64), _SMALLEST)).astype(np.float32)
    row_K = np.zeros(len(classes), dtype=np.float32)
    row_K[classes.index(answer) if isinstance(answer, str) else answer] = 1
    return row_K
