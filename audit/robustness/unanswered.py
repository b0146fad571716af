"""Rows of the ledger about which a black box gave no answer: null, neither right nor wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from raiaudit.errors import QueryFailedError

if TYPE_CHECKING:
    from torch import Tensor

    from raiaudit.audit.subject import Subject
    from raiaudit.models.data.dataset import Split

__all__ = ["clean_errors", "known_only"]


def clean_errors(subject: Subject, rows: Split) -> pl.Series:
    """Which clean inputs the model has wrong."""
    import torch

    answered_N = torch.ones(len(rows), dtype=torch.bool)
    try:
        logits_NK = subject.logits(rows.inputs)
    except QueryFailedError as error:
        logits_NK = error.answers
        answered_N[list(error.rows)] = False
    return known_only(logits_NK.argmax(1) != torch.from_numpy(rows.labels), answered_N)


def known_only(values_N: Tensor, known_N: Tensor) -> pl.Series:
    """The values as a column, null where nothing is known."""
    frame = pl.DataFrame({"value": values_N.cpu().numpy(), "known": known_N.cpu().numpy()})
    return frame.select(pl.when("known").then("value")).to_series()
