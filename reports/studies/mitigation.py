"""A mitigation study for people: the table by group, who pays in words, its charts and its PDF."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from raiaudit.reports.formats.blocks import Block
from raiaudit.reports.studies.pdf import write_study_pdf
from raiaudit.reports.studies.study import cell_lines
from raiaudit.reports.words.wording import metric_title

if TYPE_CHECKING:
    from collections.abc import Iterator

    from raiaudit.audit.mitigation.study import MitigationStudy
    from raiaudit.reports.studies.pdf import Chart

__all__ = ["harm_blocks", "mitigation_charts", "told_lines", "write_mitigation_pdf"]

_DRAWN = ("selection_rate", "true_positive_rate", "accuracy")


def told_lines(study: MitigationStudy) -> Iterator[tuple[str, str]]:
    """A variant, and what happened to the gap, who gained and who lost."""
    yield from ((row.variant, " ".join(row.told)) for row in study.rows if row.told)


def harm_blocks(study: MitigationStudy) -> Iterator[Block]:
    """A table a metric: a row a variant, a column a group."""
    for metric in study.rows[0].groups:
        groups = list(study.rows[0].groups[metric])
        rows = tuple(
            ([row.variant], *(cell_lines(metric, row.groups[metric][group]) for group in groups))
            for row in study.rows
            if metric in row.groups
        )
        yield Block(f"{metric_title(metric)} by {study.attribute}", ("", *groups), rows)


def mitigation_charts(study: MitigationStudy) -> Iterator[Chart]:
    """(caption, chart) of every chart that the study has the numbers for; for page and PDF alike."""
    from raiaudit.reports.charts import accuracy_against_disparity, groups_by_variant

    drawn = [
        (
            "Accuracy against disparity, with intervals; hollow: another variant is better in both.",
            accuracy_against_disparity(study),
        ),
        *(
            (
                f"{metric_title(metric)} of each group of {study.attribute}, before (standard) and after; "
                "the grey line is the gap.",
                groups_by_variant(study, metric),
            )
            for metric in _DRAWN
        ),
    ]
    yield from ((caption, chart) for caption, chart in drawn if chart is not None)


def write_mitigation_pdf(study: MitigationStudy, path: Path) -> Path:
    """Write the document; the same study gives the same bytes."""
    return write_study_pdf(
        study,
        path,
        title=f"Mitigation study by {study.attribute}",
        charts=list(mitigation_charts(study)),
        blocks=list(harm_blocks(study)),
        told=list(told_lines(study)),
    )
