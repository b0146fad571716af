"""The flags that an evaluation of robustness raises about itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raiaudit.reports.figures.drawing import Drawing, chart_figure, columns

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from raiaudit.audit.results import Results
    from raiaudit.reports.figures.drawing import Figure

__all__ = ["FIGURES"]


def _flags(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.charts import attack_flags

    for (norm, eps), rows in table.group_by("norm", "eps", maintain_order=True):
        raised = rows.filter("raised")["text"].to_list()
        told = f"Raised: {'; '.join(raised)}." if raised else "None was raised."
        at = f"{norm} radius {eps:.4g}"
        caption = f"Flags of the evaluation at {at}: share of the sample, interval, tolerance (tick). {told}"
        yield chart_figure(caption, attack_flags(rows), _told(rows))


def _told(rows: pl.DataFrame) -> str:
    shares = rows.drop_nulls("share").select("flag", "share").iter_rows()
    return "; ".join(f"{flag.replace('_', ' ')} {share:.1%}" for flag, share in shares)


FIGURES: dict[str, tuple[Drawing, ...]] = {
    "robustness.reliability": (
        Drawing("flags", columns("flag share low high tolerance n raised text"), "Flags", _flags),
    ),
}
