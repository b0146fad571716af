"""Names from outside in every document of a run: literal text in each, an instruction in none."""

import csv
import io
import re
import shutil
import subprocess
import unicodedata
from pathlib import Path

import polars as pl
import pytest
import yaml

from raiaudit.audit.store import Run
from raiaudit.models.markdown import flat
from raiaudit.reports.words.glyphs import lacking
from raiaudit.reports.words.printable import Printable


def test_nothing_is_written_outside_the_run(hostile_run: Run, hostile_documents: dict[str, Path]) -> None:
    outside = {path for path in hostile_run.folder.parent.parent.rglob("*") if path.is_file()}
    assert all(hostile_run.folder in path.parents for path in outside)
    assert all(path.parent == hostile_run.folder for path in hostile_documents.values())


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext (poppler-utils) is not installed")
def test_the_pdf_has_them_as_text(hostile_documents: dict[str, Path], hostile_names: tuple[str, ...]) -> None:
    def read(*command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def bare(text: str) -> str:
        """Without white space and marks of direction, which setting a text adds."""
        return "".join(c for c in text if not c.isspace() and unicodedata.category(c) != "Cf")

    path = str(hostile_documents["report.pdf"])
    text = bare(read("pdftotext", "-raw", path, "-"))
    spelling = Printable(list(hostile_names), lacking)
    for name in hostile_names:
        told = bare(spelling.text(name))
        assert told[:300] in text or told[::-1][:300] in text, name[:40]
    assert re.search(r"javascript", read("pdfinfo", "-url", path)) is None


def test_markdown_has_them_as_text(hostile_documents: dict[str, Path]) -> None:
    for name in ("summary.md", "model_card.md"):
        text = hostile_documents[name].read_text()
        assert "\x00" not in text
        assert "\u202e" not in text
        body = re.sub(r"```.*?\n```\n", "", text.split("---\n")[-1], flags=re.DOTALL)
        assert "<script" not in body
        assert "](javascript" not in body


def test_the_cards_front_matter_is_data(
    hostile_documents: dict[str, Path], hostile_names: tuple[str, ...]
) -> None:
    _, front, _ = hostile_documents["model_card.md"].read_text().split("---\n", 2)
    facts = yaml.safe_load(front)
    assert facts["model-index"][0]["name"] == flat(hostile_names[3])


def test_no_text_of_the_csv_is_a_formula(hostile_documents: dict[str, Path], hostile_run: Run) -> None:
    content = hostile_documents["measurements.csv"].read_text(encoding="utf-8-sig")
    assert "\x00" not in content
    rows = list(csv.DictReader(io.StringIO(content)))
    measurements = hostile_run.results.measurements
    assert len(rows) == len(measurements)
    numbers = {"value", "low", "high", "confidence", "n", "support", "cap", "version"}
    guarded = 0
    for row, m in zip(rows, measurements, strict=True):
        for column, cell in row.items():
            if column in numbers:
                assert cell == "" or float(cell) is not None
                continue
            assert not re.match(r"\s*[=+\-@]|[\t\r\n]", cell), (column, cell[:40])
            guarded += cell.startswith("'")
        assert row["value"] == "" if m.value is None else float(row["value"]) == m.value
        assert row["model"] == "'" + hostile_run.results.subject.name
    assert guarded == len(rows)  # the model's name alone begins like a formula


def test_negative_numbers_stay_numbers(hostile_run: Run) -> None:
    from raiaudit.reports.formats.tables import for_spreadsheets

    table = for_spreadsheets(pl.DataFrame({"value": [-1.5, None], "n": [-1, 2], "text": ["-1", " =x"]}))
    assert table["value"].to_list() == [-1.5, None]
    assert table["n"].to_list() == [-1, 2]
    assert table["text"].to_list() == ["'-1", "' =x"]


def test_parquet_keeps_every_text_as_it_is(hostile_documents: dict[str, Path], hostile_run: Run) -> None:
    table = pl.read_parquet(hostile_documents["measurements.parquet"])
    results = hostile_run.results
    assert table["model"].unique().to_list() == [results.subject.name]
    assert table["value"].to_list() == [m.value for m in results.measurements]
    assert [group for group in table["where"].to_list() if "\\u0000" in group]  # JSON's way to write it
