"""A trade-off study's charts and its PDF."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from raiaudit.reports.studies.pdf import write_study_pdf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from raiaudit.audit.studies.study import Study
    from raiaudit.reports.studies.pdf import Chart

__all__ = ["tradeoff_charts", "write_tradeoff_pdf"]


def tradeoff_charts(study: Study) -> Iterator[Chart]:
    """(caption, chart) of every chart that the study has the numbers for; for page and PDF alike."""
    from raiaudit.reports.charts import accuracy_against_budget, accuracy_against_leakage, shares_by_variant

    drawn = (
        (
            "Accuracy against membership leakage; ringed: no variant beats it in both.",
            accuracy_against_leakage(study),
        ),
        (
            "Robust accuracy against membership leakage; ringed: no variant beats it in both.",
            accuracy_against_leakage(study, utility="robust_accuracy"),
        ),
        ("Accuracy against the privacy budget.", accuracy_against_budget(study)),
        (
            "Every share by variant, with intervals; the tick is an attack's AUC by chance.",
            shares_by_variant(study),
        ),
    )
    yield from ((caption, chart) for caption, chart in drawn if chart is not None)


def write_tradeoff_pdf(study: Study, path: Path) -> Path:
    """Write the document; the same study gives the same bytes."""
    charts = list(tradeoff_charts(study))
    return write_study_pdf(study, path, title="Trade-off study", charts=charts)
