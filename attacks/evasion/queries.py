"""Attacking a black box that does not always answer: a failing example costs only itself.

A black box raises `QueryFailedError` when it has no usable answer about some rows. An attack cannot go on
from there, and which example a row was an attempt on, only the attack knows. So it is run again: first
without the examples whose clean input already has no answer, then on halves, down to the one at fault.
Results do not depend on batches (`base.py`), so the others end as if the failing example had not been there.

An example at fault is neither broken nor robust: it is *unanswered*, and `details` says so.
A box that does not answer at all raises `SubjectUnavailableError`, which ends the attack.

Passes of a run that was given up are not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from raiaudit.attacks.evasion.base import AttackResult, EvasionAttack, LogitsOf
from raiaudit.errors import QueryFailedError

if TYPE_CHECKING:
    from raiaudit.attacks.spaces import InputSpace
    from raiaudit.attacks.threats import ThreatModel

__all__ = ["UNANSWERED", "attack_despite_failures"]

UNANSWERED = "unanswered"
"""The entry of `AttackResult.details` (bool B) for examples about which nothing can be said."""


def attack_despite_failures(
    attack: EvasionAttack,
    classifier: LogitsOf,
    x: Any,
    y_B: Tensor,
    threat: ThreatModel,
    *,
    space: InputSpace,
    seed: int,
    ids: Sequence[int] | Tensor | None = None,
) -> AttackResult:
    """`attack(classifier, x, …)`, with `details["unanswered"]`; costs nothing more where nothing fails."""
    names = torch.arange(len(y_B)) if ids is None else torch.as_tensor(ids)
    everyone = torch.arange(len(y_B))
    known = _Known(x, y_B)
    pending = [everyone]
    while pending:
        rows = pending.pop()
        try:
            result = attack(
                classifier,
                _taken(x, rows),
                y_B[rows.to(y_B.device)],
                threat,
                space=space,
                seed=seed,
                ids=names[rows.to(names.device)],
            )
        except QueryFailedError:
            if len(rows) == len(everyone):
                rows = _answered(classifier, x)
                pending += [rows] if 0 < len(rows) < len(everyone) else _halves(rows)
            else:
                pending += _halves(rows)
        else:
            known.add(rows, result)
    return known.result()


def _answered(classifier: LogitsOf, x: Any) -> Tensor:
    """The rows whose clean input has an answer."""
    failed: tuple[int, ...] = ()
    try:
        with torch.no_grad():
            classifier(x)
    except QueryFailedError as error:
        failed = error.rows
    return torch.tensor([row for row in range(len(x)) if row not in set(failed)], dtype=torch.int64)


def _halves(rows: Tensor) -> list[Tensor]:
    """Nothing of a single row: it is the one at fault."""
    return [rows[len(rows) // 2 :], rows[: len(rows) // 2]] if len(rows) > 1 else []


def _taken(x: Any, rows: Tensor) -> Any:
    return x[rows.to(x.device)] if isinstance(x, Tensor) else [x[row] for row in rows.tolist()]


@dataclass(slots=True)
class _Known:
    """Results of parts, put in their places; what no part has filled is unanswered."""

    x: Any
    y_B: Tensor
    parts: list[tuple[Tensor, AttackResult]] = field(default_factory=list)

    def add(self, rows: Tensor, result: AttackResult) -> None:
        self.parts.append((rows, result))

    def result(self) -> AttackResult:
        unanswered_B = torch.ones_like(self.y_B, dtype=torch.bool)
        for rows, _ in self.parts:
            unanswered_B[rows.to(unanswered_B.device)] = False
        shared = self.parts[0][1].details if self.parts else {}
        details = {name: self._placed([part.details[name] for _, part in self.parts]) for name in shared}
        return AttackResult(
            self._adversarial(),
            self._placed([part.broken_B for _, part in self.parts], torch.bool),
            self._placed([part.norm_B for _, part in self.parts], torch.float32),
            self._placed([part.forwards_B for _, part in self.parts]),
            self._placed([part.backwards_B for _, part in self.parts]),
            {**details, UNANSWERED: unanswered_B},
            self._found_by(),
        )

    def _found_by(self) -> list[str | None]:
        """Nothing where the attack does not say it."""
        if not any(part.found_by for _, part in self.parts):
            return []
        whole: list[str | None] = [None] * len(self.y_B)
        for rows, part in self.parts:
            for row, name in zip(rows.tolist(), part.found_by, strict=True):
                whole[row] = name
        return whole

    def _adversarial(self) -> Any:
        if isinstance(self.x, Tensor):
            found = self.x.detach().clone()
            for rows, part in self.parts:
                found[rows.to(found.device)] = part.adversarial
            return found
        texts = list(self.x)
        for rows, part in self.parts:
            for row, text in zip(rows.tolist(), part.adversarial, strict=True):
                texts[row] = text
        return texts

    def _placed(self, values: list[Tensor], dtype: torch.dtype = torch.int64) -> Tensor:
        """One row each of the caller's examples, zero where there is no value."""
        if not values:
            return self.y_B.new_zeros(len(self.y_B), dtype=dtype)
        whole = values[0].new_zeros(len(self.y_B), *values[0].shape[1:])
        for (rows, _), value in zip(self.parts, values, strict=True):
            whole[rows.to(whole.device)] = value
        return whole
