"""The PDF, read back: standards, determinism, what page 1 says, and hostile names as literal text."""

import hashlib
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from raiaudit.audit.store import Run
from raiaudit.errors import StorageError
from raiaudit.reports.formats.pdf import compile_pdf, write_pdf

MakeRun = Callable[..., Run]

HOSTILE = (
    '#eval("1+1")',
    "</script><b>",
    "*bold* _it_ $x^2$",
    "@ref <lab>",
    "[link](http://x)",
    "{code}",
    "\\u{41}",
    "// comment",
)


@pytest.fixture(scope="module", autouse=True)
def _needs_poppler() -> None:
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext (poppler-utils) reads the PDF back and is not installed")


def text_of(path: Path, *options: str) -> str:
    return subprocess.run(
        ["pdftotext", *options, str(path), "-"], capture_output=True, text=True, check=True
    ).stdout


def flat(text: str) -> str:
    """Without line breaks and invisible break opportunities."""
    return " ".join(text.replace("\u200b", "").split())


def test_is_tagged_archival_and_accessible(finished_run: Run) -> None:
    document = write_pdf(finished_run).read_bytes()
    metadata = document.decode("latin-1")
    assert re.search(r"<pdfuaid:part>1<", metadata)
    assert re.search(r"<pdfaid:part>2<", metadata)
    assert re.search(r"<pdfaid:conformance>A<", metadata)
    info = subprocess.run(
        ["pdfinfo", str(finished_run.folder / "report.pdf")], capture_output=True, text=True, check=True
    ).stdout
    assert re.search(r"Tagged:\s+yes", info)
    assert re.search(r"Title:\s+Audit report: digits-cnn v3 on digits", info)


def test_a_figure_without_words_is_no_document(tmp_path: Path) -> None:
    """The standard is held by the compiler: whoever forgets a figure's alt text gets no PDF."""
    import typst

    svg = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>'
    (tmp_path / "a.svg").write_text(svg)
    page = '#set document(title: "t", date: auto)\n#set text(font: "Libertinus Serif", lang: "en")\n'
    (tmp_path / "said.typ").write_text(page + '#image("a.svg", alt: "a square")')
    (tmp_path / "silent.typ").write_text(page + '#image("a.svg")')
    assert compile_pdf(tmp_path / "said.typ", {}, 0).startswith(b"%PDF")
    with pytest.raises(typst.TypstError, match="alt"):
        compile_pdf(tmp_path / "silent.typ", {}, 0)


def test_page_two_lists_the_findings_with_remedies(make_run: MakeRun) -> None:
    text = flat(text_of(write_pdf(make_run(evidence=False))))
    assert text.index("1. Robust accuracy (norm = linf, ε = 0.15, attack = pgd)") < text.index("2. Drift")
    assert "Train adversarially at this radius (recipe kind adversarial)" in text
    assert "The check stopped before it had an answer" in text
    assert "Train with a recipe of kind private" in text


@pytest.mark.parametrize("count", [1, 80])
def test_page_one_is_one_page_whatever_there_is_to_say(make_run: MakeRun, count: int) -> None:
    run = make_run(evidence=False)
    results = run.results
    bad = next(verdict for verdict in results.verdicts if verdict.status == "fail")
    gaps = [
        outcome.model_copy(update={"status": "not_run", "reason": "the data set has no such column " * 4})
        for outcome in results.checks
    ]
    changed = results.model_copy(update={"verdicts": (bad,) * count, "checks": tuple(gaps)})
    (run.folder / "results.json").write_text(changed.model_dump_json())
    pages = [flat(page) for page in text_of(write_pdf(run)).split("\f")]
    assert results.data.digest in pages[0]
    assert "Approved by" in pages[0]
    assert "Calibration did not run: the data set has no such column" in pages[0]
    assert pages[1].startswith("Audit report")
    assert "Contents Findings" in pages[1]
    assert ("more, under Verdict by gate" in pages[0]) == (count > 5)


def test_every_reference_leads_to_its_entry(finished_run: Run) -> None:
    text = flat(text_of(write_pdf(finished_run)))
    assert "Wilson 1927 [" in text
    assert "E. B. Wilson. Probable inference" in text


def test_same_run_same_bytes_wherever_it_lies(make_run: MakeRun, tmp_path: Path) -> None:
    first = write_pdf(make_run(folder="one")).read_bytes()
    moved = make_run(folder="two")
    moved.write_header(
        moved.header.model_copy(update={"finished": "2031-01-01T00:00:00+00:00", "seconds": 9.0})
    )
    again = write_pdf(moved, tmp_path / "elsewhere.pdf").read_bytes()
    assert first == again


def test_another_result_gives_another_document(make_run: MakeRun) -> None:
    first, second = make_run(folder="a", evidence=False), make_run(folder="b", evidence=False, seed=8)
    assert write_pdf(first).read_bytes() != write_pdf(second).read_bytes()


def test_page_one_has_verdict_scope_gaps_signatures_and_hashes(make_run: MakeRun) -> None:
    run = make_run(evidence=False)
    page = flat(text_of(write_pdf(run), "-l", "1"))
    assert "Fail 6 gates: 2 pass, 1 fail, 1 inconclusive, 1 not run, 1 error." in page
    assert "Read handwritten digits on forms" in page
    assert "R. Ait, forms team" in page
    assert "Differential-privacy accounting did not run: the model was not trained privately." in page
    assert "acme.drift ended with an error: MemoryError." in page
    assert "Black-box and transfer evasion." in page
    assert "Prepared by" in page
    assert "Approved by" in page
    for name in ("results.json", "spec.lock.yaml"):
        assert hashlib.sha256((run.folder / name).read_bytes()).hexdigest() in page


def test_each_check_states_question_threshold_and_its_author(make_run: MakeRun) -> None:
    run = make_run(evidence=False)
    text = flat(text_of(write_pdf(run)))
    for outcome in run.results.checks:
        assert outcome.question in text
    assert "83.6 % [80.6, 86.6]" in text
    assert "≥ 90.0 %" in text
    assert "the specification, before the run (owner: R. Ait, forms team)" in text
    assert "nobody: no gate was set" in text
    assert "Not defined Slice Why Recall class = 7 no audited example of this class" in text
    assert "0.04 %" in text  # a small rate keeps its digits
    assert "compliant" not in text.lower()


def test_every_page_is_stamped_when_partial(make_run: MakeRun) -> None:
    pages = text_of(write_pdf(make_run(partial=True, evidence=False))).split("\f")[:-1]
    assert len(pages) > 5
    assert all("PARTIAL" in page for page in pages)
    assert "400 of 500 held-out examples" in flat(pages[0])


def test_a_whole_audit_is_not_called_partial(make_run: MakeRun) -> None:
    assert "PARTIAL" not in text_of(write_pdf(make_run(evidence=False)))


def test_hostile_names_are_literal_text(make_run: MakeRun) -> None:
    run = make_run(model='cnn #panic("x")', classes=HOSTILE, groups=("*b*", "#import", "=== head"))
    text = flat(text_of(write_pdf(run)))
    for name in (*HOSTILE, 'cnn #panic("x")', "*b*", "#import", "=== head"):
        assert name in text


def test_what_fonts_lack_or_would_reorder_is_spelled_out(make_run: MakeRun) -> None:
    classes = ("😀", "a\u202eb", "bell\x07", "漢", "private\ue000", "line\u2028end", "ελ", "naïve", "שלום")
    text = flat(text_of(write_pdf(make_run(classes=classes, groups=("😀 one", "two")))))
    for spelled in (
        "[U+1F600]",
        "a[U+202E]b",
        "bell[U+0007]",
        "[U+6F22]",
        "private[U+E000]",
        "line[U+2028]end",
    ):
        assert spelled in text
    assert "ελ" in text
    assert "naïve" in text
    assert "שלום" in text
    assert "\u202e" not in text


def test_a_very_long_name_stays_on_the_page(make_run: MakeRun) -> None:
    name = "group-" + "x" * 240
    path = write_pdf(make_run(groups=(name, "b")))
    assert name in text_of(path, "-raw").replace("\u200b", "").replace("\n", "")
    boxes = subprocess.run(["pdftotext", "-bbox", str(path), "-"], capture_output=True, text=True, check=True)
    right_edges = [float(x) for x in re.findall(r'xMax="([\d.]+)"', boxes.stdout)]
    assert max(right_edges) < 595.3  # the width of A4


def test_missing_evidence_leaves_the_chart_out_with_a_line(make_run: MakeRun) -> None:
    text = flat(text_of(write_pdf(make_run(evidence=False))))
    assert "Membership ROC: left out, the run holds no table “roc”." in text


def test_evidence_of_another_shape_is_named(finished_run: Run) -> None:
    import polars as pl

    path = finished_run.folder / "evidence" / "privacy.membership" / "roc.parquet"
    pl.read_parquet(path).drop("tpr").write_parquet(path)
    assert "Membership ROC: left out, table “roc” lacks tpr." in flat(text_of(write_pdf(finished_run)))


def test_a_text_models_words_are_shown(finished_run: Run) -> None:
    import polars as pl

    rows = [
        {
            "example_id": "sst2/1", "label": "negative", "predicted": "negative", "shape": [3],
            "input": None, "map": [0.1, -0.2, 0.9], "features": ["a", "truly", "#eval(1)"],
        }
    ]  # fmt: skip
    path = finished_run.folder / "evidence" / "explanations.attribution" / "maps.parquet"
    pl.DataFrame(rows).write_parquet(path)
    text = flat(text_of(write_pdf(finished_run)))
    assert "sst2/1: negative → negative" in text
    assert "truly #eval(1)" in text


def test_no_gates_means_nothing_was_decided(make_run: MakeRun) -> None:
    text = flat(text_of(write_pdf(make_run(verdicts=(), verdict="inconclusive", evidence=False))))
    assert "No gate was set, so nothing was decided" in text


def test_an_unfinished_run_has_no_report(finished_run: Run) -> None:
    (finished_run.folder / "results.json").unlink()
    with pytest.raises(StorageError, match="has not finished"):
        write_pdf(finished_run)
    assert not (finished_run.folder / "report.pdf").exists()


def test_a_long_reason_does_not_squeeze_the_names(make_run: MakeRun) -> None:
    run = make_run(evidence=False)
    first = run.results.measurements[0]
    long = first.model_copy(update={"value": None, "low": None, "high": None, "reason": "so few that " * 40})
    path = write_pdf(
        make_run(folder="long", evidence=False, measurements=(long, *run.results.measurements[1:]))
    )
    assert "Robust accuracy" in text_of(path, "-layout")
    assert "Log loss" in text_of(path, "-layout")
    assert "Robust accuracy by ε (norm = linf)" in flat(text_of(path))


def test_an_option_that_would_fill_pages_is_named_by_its_digest(make_run: MakeRun) -> None:
    run = make_run(evidence=False)
    tokenizer = "vocabulary " * 5000
    results = run.results
    record = results.subject.record.model_copy(update={"config": {"width": 32, "tokenizer": tokenizer}})
    subject = results.subject.model_copy(update={"record": record})
    changed = results.model_copy(update={"subject": subject})
    (run.folder / "results.json").write_text(changed.model_dump_json())
    text = flat(text_of(write_pdf(run)))
    digest = hashlib.sha256(tokenizer.encode()).hexdigest()[:12]
    assert f"width 32, tokenizer (55,000 characters, sha256 {digest})" in text
    assert "vocabulary vocabulary" not in text
