"""The rows of one attacked shard: what became of each example, by which part of the attack, at what price.

Shapes: one entry an attacked example (B); null where a black box gave no answer about it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from raiaudit.audit.robustness.unanswered import known_only
from raiaudit.errors import QueryFailedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from raiaudit.attacks.evasion.base import AttackResult
    from raiaudit.audit.subject import Subject

__all__ = ["CLEAN", "kept_inputs", "outcome_columns"]

CLEAN = "clean"
"""What `found_by` says of an example that the model has wrong without any attack."""

_DETAILS = ("found_try", "found_step", "dead_gradients", "certified", "forwards_to_break")
"""Entries of `AttackResult.details` that become columns as they are."""


def outcome_columns(
    at: str, result: AttackResult, clean_broken: pl.Series, *, attack: str, answered_B: Tensor
) -> dict[str, pl.Series]:
    """`.broken .clean_broken .found_by .norm .forwards .backwards`, and of the details what there is.

    `attack` stands in `.found_by` where the attack names no parts.
    """
    broken = known_only(result.broken_B, answered_B)
    columns = {
        "broken": broken,
        "clean_broken": clean_broken,
        "found_by": _found_by(result, broken, clean_broken, attack),
        "norm": pl.Series(result.norm_B.float().cpu().numpy()),
        "forwards": pl.Series(result.forwards_B.cpu().numpy()),
        "backwards": pl.Series(result.backwards_B.cpu().numpy()),
    }
    for name in _DETAILS:
        if name in result.details:
            columns[name] = known_only(result.details[name], answered_B)
    if "margin" in result.details:
        margin = result.details["margin"].double().cpu().numpy()
        told = pl.Series(np.where(np.isfinite(margin), margin, np.nan)).fill_nan(None)
        known = pl.Series(answered_B.cpu().numpy())
        columns["margin"] = told.zip_with(known, pl.Series([None], dtype=pl.Float64))
    return {f"{at}.{name}": values for name, values in columns.items()}


def _found_by(result: AttackResult, broken: pl.Series, clean_broken: pl.Series, attack: str) -> pl.Series:
    named = result.found_by or [attack] * len(broken)
    return pl.Series(
        [
            (CLEAN if erred else part or attack) if done else None
            for part, done, erred in zip(named, broken, clean_broken, strict=True)
        ],
        dtype=pl.String,
    )


def kept_inputs(at: str, result: AttackResult, shown: list[int], subject: Subject) -> Iterator[pl.Series]:
    """The columns `predicted` and `adversarial`: null but in the rows `shown` that are answered once more."""
    size = len(result.broken_B)
    predicted: list[int | None] = [None] * size
    if isinstance(result.adversarial, list):
        texts: list[str | None] = [None] * size
        for row in shown:
            with suppress(QueryFailedError):
                predicted[row] = int(subject.logits([result.adversarial[row]]).argmax())
                texts[row] = result.adversarial[row]
        yield pl.Series(f"{at}.adversarial", texts, dtype=pl.String)
    else:
        import torch

        values: list[list[float] | None] = [None] * size
        for row in shown:
            with torch.no_grad(), suppress(QueryFailedError):
                predicted[row] = int(subject.classifier(result.adversarial[row : row + 1]).argmax())
                values[row] = result.adversarial[row].flatten().float().tolist()
        yield pl.Series(f"{at}.adversarial", values, dtype=pl.List(pl.Float32))
    yield pl.Series(f"{at}.predicted", predicted, dtype=pl.Int32)
