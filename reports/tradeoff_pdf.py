"""A trade-off study as a PDF of two pages: the table with its notes, and the charts."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from raiaudit.audit.files import write_atomically
from raiaudit.reports.pdf import compile_pdf, lacking, timestamp
from raiaudit.reports.printable import Printable
from raiaudit.reports.tradeoff import METRIC_TITLES, cell_lines, metric_slice, tradeoff_notes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from raiaudit.audit.studies.study import Study
    from raiaudit.reports.charts.style import AnyChart

__all__ = ["tradeoff_charts", "write_tradeoff_pdf"]

_TEMPLATE = Path(__file__).resolve().parent / "templates" / "tradeoff.typ"


def tradeoff_charts(study: Study) -> Iterator[tuple[str, AnyChart]]:
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
    from raiaudit.reports.charts import to_svg

    content: dict[str, Any] = {
        "title": f"Trade-off study: {study.name} on {study.data}" + (" (PARTIAL)" if study.partial else ""),
        "subtitle": f"{study.id} · {study.made[:10]} · {study.machine}",
        "variants": [row.variant for row in study.rows],
        "rows": [
            {
                "title": METRIC_TITLES[metric],
                "slice": metric_slice(study, metric),
                "cells": [cell_lines(metric, row.cells[metric]) for row in study.rows],
            }
            for metric in study.metrics
        ],
        "notes": list(tradeoff_notes(study)),
        "charts": [],
    }
    told = "; ".join(
        f"{row.variant}, {METRIC_TITLES[metric]}: {cell_lines(metric, row.cells[metric])[0]}"
        for metric in study.metrics
        for row in study.rows
    )
    with TemporaryDirectory() as name:
        folder = Path(name)
        for i, (caption, chart) in enumerate(tradeoff_charts(study)):
            (folder / f"{i}.svg").write_text(to_svg(chart), encoding="utf-8")
            alt = f"Chart. {caption} {told}"
            content["charts"].append({"path": f"{i}.svg", "caption": caption, "alt": alt})
        printable = Printable([content], lacking)
        (folder / "tradeoff.typ").write_bytes(_TEMPLATE.read_bytes())
        made = compile_pdf(
            folder / "tradeoff.typ", dict(printable.everything(content)), timestamp(study.made)
        )
    write_atomically(path, made)
    return path
