"""A failing example costs an attack nothing but itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from raiaudit.attacks.evasion.base import AttackResult, LogitsOf
from raiaudit.attacks.evasion.queries import UNANSWERED, attack_despite_failures
from raiaudit.attacks.spaces import ImageBox
from raiaudit.attacks.threats import Norm, ThreatModel
from raiaudit.errors import QueryFailedError, SubjectUnavailableError

SPACE = ImageBox((1, 1, 1))
THREAT = ThreatModel("linf", 0.5)


class Adds:
    """Looks at the clean input and after each of five additions of 0.1; the last look decides."""

    name = "adds"
    norms: frozenset[Norm] = frozenset({"linf"})
    modality: Any = "image"
    knowledge: Any = "score"

    def __call__(
        self,
        classifier: LogitsOf,
        x: Any,
        y_B: Tensor,
        threat: ThreatModel,
        *,
        space: Any,
        seed: int,
        ids: Sequence[int] | Tensor | None = None,
    ) -> AttackResult:
        for step in range(6):
            x = x + 0.1 * (step > 0)
            broken_B = classifier(x).argmax(1) != y_B
        passes_B = torch.full_like(y_B, 6)
        ids_B = torch.as_tensor(ids)
        details = {"id": ids_B, "pair": torch.stack([ids_B, ids_B + 100], 1).float()}
        return AttackResult(x, broken_B, torch.full((len(y_B),), 0.5), passes_B, 0 * passes_B, details)


class Box:
    """Class 1 above 1.05; no answer while `bad` holds; counts what it is asked."""

    def __init__(self, bad: Any) -> None:
        self.bad = bad
        self.calls = 0

    def __call__(self, x: Tensor) -> Tensor:
        self.calls += 1
        value_B = x.flatten(1)[:, 0]
        logits_BK = torch.stack([1.05 - value_B, value_B - 1.05], dim=1)
        rows = self.bad(value_B).nonzero().flatten().tolist()
        if rows:
            logits_BK[rows] = torch.nan
            raise QueryFailedError("planted", rows=tuple(rows), answers=logits_BK)
        return logits_BK


def attack(box: Box, count: int = 10) -> AttackResult:
    """Examples at 0, 0.1, 0.2 …, ids from 40."""
    x = (torch.arange(count) / 10).reshape(-1, 1, 1, 1)
    y_B = torch.zeros(count, dtype=torch.int64)
    return attack_despite_failures(
        Adds(), box, x, y_B, THREAT, space=SPACE, seed=0, ids=range(40, 40 + count)
    )


def near(*values: float) -> Any:
    return lambda value_B: torch.stack([(value_B - value).abs() < 0.01 for value in values]).any(0)


def test_nothing_is_asked_twice_where_nothing_fails() -> None:
    box = Box(near(99))
    result = attack(box)
    assert box.calls == 6
    assert not result.details[UNANSWERED].any()
    assert result.broken_B.tolist() == [False] * 6 + [True] * 4


@pytest.mark.parametrize(
    ("bad", "lost"),
    [
        (near(1.35), []),
        (near(1.4), [9]),  # the last iterate of the last example
        (near(0.0), [0]),  # a clean input
        (near(0.0, 1.4), [0, 9]),
        (near(0.35, 0.55), []),
        (near(0.05, 0.7), [2, 3, 4, 5, 6, 7]),  # every example that passes through 0.7
        (lambda value_B: value_B > -1, list(range(10))),
    ],
)
def test_the_others_end_as_if_it_had_not_been_there(bad: Any, lost: list[int]) -> None:
    healthy, result = attack(Box(near(99))), attack(Box(bad))
    kept = [row for row in range(10) if row not in lost]
    assert result.details[UNANSWERED].nonzero().flatten().tolist() == lost
    for name in ("adversarial", "broken_B", "norm_B", "forwards_B", "backwards_B"):
        assert torch.equal(getattr(result, name)[kept], getattr(healthy, name)[kept]), name
    if kept:
        assert result.details["id"][kept].tolist() == [40 + row for row in kept]
        assert result.details["pair"][kept].tolist() == [[40 + row, 140 + row] for row in kept]
    assert not result.broken_B[lost].any()
    assert torch.allclose(result.adversarial[lost].flatten(), torch.tensor(lost) / 10)


def test_a_box_that_is_gone_is_not_bisected() -> None:
    calls = 0

    def gone(x: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        raise SubjectUnavailableError("planted")

    with pytest.raises(SubjectUnavailableError):
        attack(gone)  # type: ignore[arg-type]  # a box as plain as can be
    assert calls == 1
