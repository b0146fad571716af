"""A report whose figures are drawn, once for all its settings: what the PDF and the page are both made of.

`Illustrated.worded` gives the content with its tables, words and captions in the spelling of one setting
(see `raiaudit.reports.words.printable`). Drawings are made from the spelling of print, since what they say
must be legible in a PDF too.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from raiaudit.reports.content.report import report_content
from raiaudit.reports.figures import figures, read_evidence, sheets, word_maps
from raiaudit.reports.figures.explanations import spokesman
from raiaudit.reports.words.glyphs import lacking
from raiaudit.reports.words.printable import Printable, shortened

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl

    from raiaudit.audit.results import Results
    from raiaudit.audit.store import Run
    from raiaudit.reports.figures import Evidence

__all__ = ["Drawn", "Illustrated", "illustrated"]

_IDS_SHOWN = 12
# Pictures made of several.
_WIDE = frozenset(
    {"robustness.evasion", "explanations.influence", "explanations.inside", "explanations.stability"}
)
_LEGENDS = {
    "robustness.evasion": "Clean, the perturbation magnified around grey (grey: no change), adversarial.",
    "explanations.influence": "An audited image; then the training images most for, most against, nearest.",
    "explanations.attribution": "Orange (+) speaks for the prediction, blue (−; striped in pictures) "
    "against it.",
    "explanations.stability": "Left before, right after an attack on the map that left the answer as it was: "
    "the input above, its map below.",
    "explanations.inside": "Of a channel: an image made to excite it, then the real images that do most.",
}


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure as a file (`kind` "svg" or "png"), with its caption and the words that stand for it.

    `broad` and `row` as in `raiaudit.reports.figures.Figure`.
    """

    kind: str
    content: bytes
    caption: str
    alt: str
    broad: bool = False
    row: str = ""


@dataclass(frozen=True, slots=True)
class Illustrated:
    """A finished run's content, its evidence, and its figures by check; `print` spells for our fonts."""

    results: Results
    started: str
    content: dict[str, Any]
    evidence: Evidence
    drawn: dict[str, list[Drawn]]
    left_out: dict[str, list[str]]
    print: Printable

    def worded(self, spelling: Printable) -> dict[str, Any]:
        """The content with every text in `spelling`; sections with their tables, words and example ids."""
        evidence = {key: _spelt(table, spelling) for key, table in self.evidence.items()}
        exact = {"hashes": self.content["hashes"]}
        content = {**spelling.everything(self.content), **exact}
        content["spec"] = spelling.text(self.content["spec"], breakable=False)
        for section, own in zip(content["sections"], self.content["sections"], strict=True):
            section |= self._told(own["check"], evidence)
            section["left_out"] = spelling.everything(self.left_out[own["check"]])
        return content

    def _told(self, check: str, evidence: Evidence) -> dict[str, Any]:
        ids = [
            example
            for (owner, _), table in evidence.items()
            if owner == check and "example_id" in table.columns
            for example in table["example_id"].head(_IDS_SHOWN).to_list()
        ]
        words = word_maps(evidence, self.results) if check == "explanations.attribution" else []
        legend = _LEGENDS.get(check, "")
        if check == "explanations.attribution":
            legend = f"{legend} {spokesman(evidence, self.results)}".rstrip()
        return {
            "wide": check in _WIDE,
            "legend": legend,
            "sheets": [asdict(sheet) for sheet in sheets(check, evidence, self.results)],
            "words": [asdict(item) for item in words],
            "examples": ", ".join(dict.fromkeys(ids)),
        }


def illustrated(run: Run) -> Illustrated:
    """Read a finished run and draw its figures. Raises `StorageError` while it is unfinished."""
    from raiaudit.reports.charts import unchecked

    results, content = run.results, report_content(run)
    checks = [section["check"] for section in content["sections"]]
    evidence = read_evidence(run, checks)
    spelling = Printable([content, [_strings(table) for table in evidence.values()]], lacking)
    # No label of a chart has room for ten thousand characters, and measuring them takes seconds.
    printed = {key: _mapped(_spelt(table, spelling), shortened) for key, table in evidence.items()}
    drawn: dict[str, list[Drawn]] = {}
    left_out: dict[str, list[str]] = {}
    with unchecked():
        for section in content["sections"]:
            check, measured = section["check"], section["numbers"]
            found, left_out[check] = figures(check, printed, results) if measured else ([], [])
            drawn[check] = [
                Drawn(each.kind, each.content, each.caption, each.alt, each.broad, each.row) for each in found
            ]
    return Illustrated(results, run.header.started, content, evidence, drawn, left_out, spelling)


def _strings(table: pl.DataFrame) -> list[str]:
    import polars as pl
    import polars.selectors as cs

    texts: list[str] = []
    for column in table.select(cs.string(), cs.by_dtype(pl.List(pl.String))).get_columns():
        flat = column.explode() if column.dtype == pl.List(pl.String) else column
        texts += flat.drop_nulls().unique().to_list()
    return texts


def _spelt(table: pl.DataFrame, spelling: Printable) -> pl.DataFrame:
    return _mapped(table, lambda text: spelling.text(text))


def _mapped(table: pl.DataFrame, change: Callable[[str], str]) -> pl.DataFrame:
    """The table with every text changed, those in lists too."""
    import polars as pl
    import polars.selectors as cs

    words = pl.element().map_elements(change, return_dtype=pl.String)
    return table.with_columns(
        cs.string().map_elements(change, return_dtype=pl.String),
        cs.by_dtype(pl.List(pl.String)).list.eval(words),
    )
