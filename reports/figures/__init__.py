"""Which charts and pictures a check's evidence gives, with captions and texts for those who cannot see them.

One file a pillar. A table that is missing or of another shape leaves its chart out with a line saying so; a
report never fails for want of a picture.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from raiaudit.reports.figures import (
    calibration,
    concepts,
    counterfactual,
    explanations,
    fairness,
    flags,
    group_sheets,
    inside,
    privacy,
    profile_sheets,
    profiles,
    quality,
    robustness,
    stability,
)
from raiaudit.reports.figures.drawing import Figure, Words
from raiaudit.reports.figures.sheet import Sheet
from raiaudit.reports.words.map_words import signed, weights_of

if TYPE_CHECKING:
    import polars as pl

    from raiaudit.audit.results import Results
    from raiaudit.audit.store import Run

__all__ = [
    "SHEETS",
    "Evidence",
    "Figure",
    "Sheet",
    "Words",
    "figures",
    "read_evidence",
    "sheets",
    "word_maps",
]

SHEETS = {**group_sheets.SHEETS, **profile_sheets.SHEETS, **concepts.SHEETS, **inside.SHEETS}
Evidence = Mapping[tuple[str, str], "pl.DataFrame"]
_FIGURES = {
    **robustness.FIGURES,
    **flags.FIGURES,
    **privacy.FIGURES,
    **fairness.FIGURES,
    **profiles.FIGURES,
    **counterfactual.FIGURES,
    **explanations.FIGURES,
    **concepts.FIGURES,
    **stability.FIGURES,
    **quality.FIGURES,
    **inside.FIGURES,
    **calibration.FIGURES,
}


def read_evidence(run: Run, checks: Sequence[str]) -> dict[tuple[str, str], pl.DataFrame]:
    """The tables that our drawings and sheets know, of the checks given; those a run lacks are not in it."""
    found = {}
    for check in checks:
        drawings = [drawing.table for drawing in _FIGURES.get(check, ())]
        for name in dict.fromkeys([*drawings, *SHEETS.get(check, {})]):
            table = run.evidence(check, name)
            if table is not None:
                found[check, name] = table
    return found


def sheets(check: str, evidence: Evidence, results: Results) -> list[Sheet]:
    """The tables of a check that are read as tables; one that is missing is left out."""
    return [
        sheet
        for name, write in SHEETS.get(check, {}).items()
        if (table := evidence.get((check, name))) is not None and not table.is_empty()
        for sheet in write(table, results)
    ]


def figures(
    check: str, evidence: Evidence, results: Results, *, without: Collection[str] = ()
) -> tuple[list[Figure], list[str]]:
    """The figures of one check but of the tables `without`, and a line for each that had to be left out."""
    drawn: list[Figure] = []
    left_out: list[str] = []
    for drawing in _FIGURES.get(check, ()):
        if drawing.table in without:
            continue
        table = evidence.get((check, drawing.table))
        if (table is None or table.is_empty()) and drawing.optional:
            continue
        if table is None or table.is_empty():
            left_out.append(f"{drawing.title}: left out, the run holds no table “{drawing.table}”.")
        elif lacking := sorted(drawing.columns - set(table.columns)):
            left_out.append(f"{drawing.title}: left out, table “{drawing.table}” lacks {', '.join(lacking)}.")
        else:
            drawn += drawing.draw(table, results)
    return drawn, left_out


def word_maps(evidence: Evidence, results: Results) -> list[Words]:
    """Explained texts: their words have names where images have pixels. A table's rows are drawn as bars."""
    table = evidence.get(("explanations.attribution", "maps"))
    if table is None or "features" not in table.columns or results.data.modality == "tabular":
        return []
    named = table.drop_nulls("features")
    several = "method" in table.columns and named["method"].n_unique() > 1
    return [
        Words(
            explanations.map_title(row, several, results),
            tuple((word, weight, signed(weight)) for word, weight in weights_of(row)),
        )
        for row in explanations.first_maps(named)
    ]
