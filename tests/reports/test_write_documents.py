"""All documents of a run in one call, and what importing the room costs."""

import subprocess
import sys

from raiaudit.audit.store import Run
from raiaudit.reports import write_documents


def test_a_run_directory_gets_its_documents(finished_run: Run) -> None:
    written = write_documents(finished_run)
    assert [path.name for path in written] == [
        "report.pdf",
        "report.html",
        "measurements.csv",
        "measurements.parquet",
        "model_card.md",
        "junit.xml",
        "results.sarif",
        "summary.md",
    ]
    assert all(path.parent == finished_run.folder and path.stat().st_size > 500 for path in written)
    finished_run.seal()
    assert finished_run.broken_seals() == []


def test_writing_again_breaks_no_seal(finished_run: Run) -> None:
    write_documents(finished_run)
    finished_run.seal()
    write_documents(finished_run)
    assert finished_run.broken_seals() == []


def test_importing_the_reports_loads_nothing_heavy() -> None:
    code = (
        "import sys, raiaudit.reports, raiaudit.reports.formats.pdf, raiaudit.reports.formats.terminal, "
        "raiaudit.reports.formats.junit, raiaudit.reports.formats.markdown, raiaudit.reports.html, "
        "raiaudit.reports.formats.tables, raiaudit.reports.formats.model_card, "
        "raiaudit.reports.formats.sarif\n"
        "heavy = {'torch', 'sklearn', 'scipy', 'altair', 'vl_convert', 'typst', 'mlflow', 'PIL', 'jinja2'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
