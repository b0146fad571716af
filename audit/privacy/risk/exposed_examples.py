"""The members that an attacker would name first, and how strong the case against each is.

For each: `fpr`, the share of non-members that score at least as high, which is the false-positive rate at
which the attack names it (`fpr_high` is the upper limit of its 95 % Clopper–Pearson interval: 0 of 500 still
allows 0.7 %); with LiRA, `posterior`, the chance of membership by the two Gaussians at even odds; and with
shadow models how the model's φ compares with theirs: of those trained with the example (`_in`) and without
it (`_out`), how many there are, their mean φ, and how many are at least as sure of it as the target is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from scipy.special import expit

from raiaudit.audit.privacy.inference.membership_summary import has_shadows, signals_of
from raiaudit.audit.statistics.intervals import clopper_pearson

if TYPE_CHECKING:
    from raiaudit.attacks.inference import Signals
    from raiaudit.audit.ledger import LedgerReader

__all__ = ["exposed_examples", "ranked_members"]


def ranked_members(scores: pl.DataFrame) -> pl.DataFrame:
    """example_id and score of the members, the most exposed first; equal scores by id."""
    members = scores.filter("member").select("example_id", "score")
    return members.sort("score", "example_id", descending=[True, False])


def exposed_examples(ledger: LedgerReader, attack: str, scores: pl.DataFrame, count: int) -> pl.DataFrame:
    """A row for each of the `count` most exposed members. No input and no label is in it."""
    out_N = np.sort(scores.filter(~pl.col("member"))["score"].to_numpy())
    top = ranked_members(scores).head(count).with_row_index("rank", offset=1)
    alarms = len(out_N) - np.searchsorted(out_N, top["score"].to_numpy(), side="left")
    n = len(out_N)
    table = top.with_columns(
        pl.Series("fpr", alarms / n if n else np.full(len(top), np.nan)).fill_nan(None),
        pl.Series("fpr_high", [clopper_pearson(int(k), n).high for k in alarms]),
    )
    if attack == "lira":
        table = table.with_columns(posterior=pl.Series(expit(table["score"].to_numpy())))
    if not has_shadows(ledger):
        return table
    rows, signals = signals_of(ledger)
    return table.join(_beside_shadows(rows["example_id"], signals), on="example_id", how="left").sort("rank")


def _beside_shadows(ids: pl.Series, signals: Signals) -> pl.DataFrame:
    """phi, then for `in` and `out`: shadows, mean φ, and how many reach the target's φ."""
    columns = [ids.alias("example_id"), pl.Series("phi", signals.phi_N)]
    for side, chosen_MN in (("in", signals.keep_MN), ("out", ~signals.keep_MN)):
        count_N = chosen_MN.sum(0)
        total_N = np.where(chosen_MN, signals.shadow_phi_MN, 0.0).sum(0)
        reaching_N = (chosen_MN & (signals.shadow_phi_MN >= signals.phi_N)).sum(0)
        columns += [
            pl.Series(f"shadows_{side}", count_N),
            pl.Series(f"mean_{side}", total_N / np.maximum(count_N, 1)),
            pl.Series(f"reaching_{side}", reaching_N),
        ]
    return pl.DataFrame(columns)
