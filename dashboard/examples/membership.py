"""Where one example stands among members and non-members: personal, so shown only when it is asked for.

A report tells membership in aggregate. What the spec itself disclosed (the list of `privacy.at_risk`) is
shown as it was disclosed; anything else only behind a switch, which no address can turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import streamlit as st

from raiaudit.dashboard.examples import facts
from raiaudit.dashboard.examples.meanings import is_personal
from raiaudit.dashboard.figures import draw_chart
from raiaudit.dashboard.wording import plain
from raiaudit.reports.charts import score_histogram
from raiaudit.reports.words.wording import decimal, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raiaudit.dashboard.examples.kept import Kept
    from raiaudit.dashboard.examples.rows import ExampleRows

__all__ = ["show", "standing"]

_MEMBER = "membership.member"
# Falls as the loss rises, so it ranks as the loss attack does, and spreads where losses crowd at zero.
_SIGNAL = "membership.phi"
_BINS = 30
_WHY = (
    "Whether somebody was in the training data, and how sure an attacker would be of it, is personal data. "
    "The report shows it in aggregate. Turn this on only if you are entitled to know it of this example; it "
    "holds for this example alone, and no link carries it."
)


def show(rows: ExampleRows, example: str, kept: Kept, classes: Sequence[str]) -> None:
    """What the spec disclosed, then the switch."""
    for row in kept.of("exposed"):
        fpr = "unknown" if row["fpr"] is None else f"{percent(row['fpr'])} %"
        st.markdown(
            f":orange-badge[◐ disclosed by the spec] among the members an attacker would name first: rank "
            f"{row['rank']}, at a false\\-positive rate of {plain(fpr)}"
        )
    personal = [value for value in rows.of(example) if is_personal(value.column)]
    if not personal:
        return
    asked = st.toggle("Show what attacks on privacy make out about this example", key=f"personal-{example}")
    st.caption(_WHY)
    if not asked:
        return
    signal = next((value.value for value in personal if value.column == _SIGNAL), None)
    if _MEMBER in rows.columns and isinstance(signal, float):
        _standing(rows, signal)
    facts.draw(personal, classes)


def standing(pool: pl.DataFrame, score: float) -> tuple[float, float]:
    """The shares of members and of non-members whose score is lower; `pool`: member, score."""
    shares = [
        float((part["score"] < score).to_numpy().mean()) if part.height else float("nan")
        for part in (pool.filter("member"), pool.filter(~pl.col("member")))
    ]
    return shares[0], shares[1]


def _standing(rows: ExampleRows, score: float) -> None:
    pool = pl.concat(rows.scan([_MEMBER, _SIGNAL]), how="align").collect()
    pool = pool.select(
        member=pl.col(_MEMBER).cast(pl.Boolean), score=pl.col(_SIGNAL).cast(pl.Float64)
    ).drop_nulls()
    if pool["member"].n_unique() < 2:
        return
    inside, outside = standing(pool, score)
    told = (
        f"Its φ, the confidence in its label as log-odds, is {decimal(score)}: larger than that of "
        f"{percent(inside)} % of the members and of {percent(outside)} % of the non-members."
    )
    scores = pool["score"].to_numpy()
    low, high = float(scores.min()), float(scores.max())
    step = (high - low) / _BINS or 1.0
    bins = (
        pool.with_columns(low=low + ((pl.col("score").clip(low, high) - low) / step).floor() * step)
        .group_by("member", "low")
        .agg(count=pl.len())
        .with_columns(high=pl.col("low") + step)
        .sort("member", "low")
    )
    draw_chart(score_histogram(bins, mark=min(max(score, low), high)), f"Chart. {told}")
    st.caption(plain(f"{told} The line is this example."))
