"""The documents of a run, stage by stage: reading, drawing, setting, writing. Without peers.

    python benchmarks/report.py [--run DIR] [--repeats 3] [--clock wall|cpu] [--json]

Without `--run` a synthetic run of more than twenty pages: eight checks, a chart or a dozen pictures each, 400
measurements. The first line is a fresh process from `import` to the files, which is what `raiaudit report`
takes; the others are in a process that has drawn before, as an audit of several models has. There Typst finds
most of the same document in its cache: of the setting only the fresh process tells the whole. No peer makes
tagged PDF/UA with charts of the same content, so no ratio is given.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
from common import interleaved, report

from raiaudit.audit.files import write_atomically
from raiaudit.audit.gates import Gate, decide, overall
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.results import CheckOutcome, DataCard, Results, RunHeader, SubjectCard
from raiaudit.audit.store import Run
from raiaudit.models.version import TrainingRecord
from raiaudit.reports.content.illustrated import illustrated
from raiaudit.reports.content.report import report_content
from raiaudit.reports.formats.pdf import write_pdf
from raiaudit.reports.formats.tables import write_csv, write_parquet
from raiaudit.reports.html import write_html

_FRESH = """
import sys, time
began = time.{clock}()
from pathlib import Path
from raiaudit.audit.store import Run
from raiaudit.reports.content.illustrated import illustrated
from raiaudit.reports.formats.pdf import write_pdf
from raiaudit.reports.html import write_html
run, out = Run(Path(sys.argv[1])), Path(sys.argv[2])
report = illustrated(run)
write_pdf(run, out / "fresh.pdf", report=report)
print(time.{clock}() - began)
write_html(run, out / "fresh.html", report=report)
print(time.{clock}() - began)
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, help="a finished run directory instead of the synthetic one")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with TemporaryDirectory() as name:
        out = Path(name)
        run = Run(asked.run) if asked.run else synthetic(out / "runs" / "benchmark")
        fresh = [_fresh(run, out, asked.clock) for _ in range(asked.repeats)]
        ready = illustrated(run)
        stages = {
            "ours": lambda: write_html(run, out / "r.html", report=_kept(run, out)),
            "content": lambda: report_content(run),
            "figures drawn": lambda: illustrated(run),
            "PDF set": lambda: write_pdf(run, out / "r.pdf", report=ready),
            "page set": lambda: write_html(run, out / "r.html", report=ready),
            "tables written": lambda: (write_csv(run, out / "m.csv"), write_parquet(run, out / "m.parquet")),
        }
        seconds = interleaved(stages, repeats=asked.repeats, clock=asked.clock)
        report(
            f"report: {_pages(out / 'r.pdf')} pages, {asked.clock} seconds; ours: PDF and page, drawn before",
            seconds,
            libraries=("typst", "vl-convert-python", "altair", "polars", "jinja2"),
            seed=0,
            missing=(),
            as_json=asked.json,
            fresh_process_pdf=round(sorted(first for first, _ in fresh)[len(fresh) // 2], 2),
            fresh_process_pdf_and_page=round(sorted(both for _, both in fresh)[len(fresh) // 2], 2),
            kilobytes={"pdf": _kilobytes(out / "r.pdf"), "html": _kilobytes(out / "r.html")},
        )


def _kept(run: Run, out: Path) -> Any:
    drawn = illustrated(run)
    write_pdf(run, out / "r.pdf", report=drawn)
    return drawn


def _fresh(run: Run, out: Path, clock: str) -> tuple[float, float]:
    code = _FRESH.format(clock="process_time" if clock == "cpu" else "perf_counter")
    done = subprocess.run(
        [sys.executable, "-c", code, str(run.folder), str(out)], capture_output=True, text=True, check=True
    )
    first, both = map(float, done.stdout.split())
    return first, both


def _pages(pdf: Path) -> int:
    text = subprocess.run(["pdfinfo", str(pdf)], capture_output=True, text=True, check=True).stdout
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith("Pages")))


def _kilobytes(path: Path) -> int:
    return round(path.stat().st_size / 1000)


# A run of eight checks, every number made up


def synthetic(folder: Path) -> Run:
    """A finished run with tables for charts and pictures."""
    run = Run(folder)
    tables = evidence()
    found = measurements()
    gates = {
        "performance.accuracy": Gate(metric="accuracy", min=0.9),
        "robustness.evasion": Gate(metric="robust_accuracy", min=0.9),
        "privacy.membership": Gate(metric="membership_auc", max=0.55),
    }
    verdicts = tuple(decide(check, gate, found) for check, gate in gates.items())
    record = TrainingRecord(
        architecture="cnn", config={"width": 32}, data_name="digits", data_digest="d" * 64, recipe=None,
        seed=0, code_version="0", metrics={}, privacy=None, parameters=113_738, weights_digest="a" * 64,
    )  # fmt: skip
    results = Results(
        run=run.id, verdict=overall(verdicts), partial=False, seed=0,
        subject=SubjectCard(name="benchmark", version=1, record=record),
        data=DataCard(
            name="digits", modality="image", classes=tuple("0123456789"), digest="d" * 64,
            sizes={"train": 1000, "test": 500}, audited=500, groups={"stroke": {"light": 250, "heavy": 250}},
        ),
        checks=tuple(
            CheckOutcome(check=check, question="How much, and how sure?", status="ran")
            for check in dict.fromkeys(m.check for m in found)
        ),
        measurements=tuple(found), verdicts=verdicts,
    )  # fmt: skip
    write_atomically(run.folder / "results.json", results.model_dump_json(indent=2))
    spec = "".join(f"- use: check-{i}\n  with: {{option: {i}}}\n" for i in range(120))
    write_atomically(run.folder / "spec.lock.yaml", f"kind: Audit\nchecks:\n{spec}")
    started = "2026-11-21T09:00:00+00:00"
    run.write_header(
        RunHeader(
            id=run.id, suite="s", model="benchmark", data="digits", modality="image", status="finished",
            verdict=results.verdict, started=started, finished=started,
        )
    )  # fmt: skip
    for name, table in tables.items():
        path = run.folder / "evidence" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        table.write_parquet(path)
    return run


def measurements() -> list[Measurement]:
    """Fifty a check."""
    metrics = {
        "performance.accuracy": ("accuracy", "class"),
        "robustness.evasion": ("robust_accuracy", "eps"),
        "robustness.corruption": ("corruption_accuracy", "severity"),
        "privacy.membership": ("membership_auc", "attack"),
        "fairness.groups": ("accuracy", "group"),
        "explanations.attribution": ("deletion_gain", "method"),
        "explanations.stability": ("topk_overlap", "method"),
        "reliability.calibration": ("ece", "bin"),
    }
    return [
        Measurement(
            check=check, metric=metric, value=0.8 - i / 100, low=0.75 - i / 100, high=0.85 - i / 100, n=500,
            better="higher", method="wilson1927", where={key: f"{key}-{i}"},
        )
        for check, (metric, key) in metrics.items()
        for i in range(50)
    ]  # fmt: skip


def evidence() -> dict[str, pl.DataFrame]:
    """The tables of nine charts and twelve pictures."""

    def image(phase: float) -> list[float]:
        return [
            0.5 + 0.5 * math.sin(phase + i * 0.7) * math.cos(j * 0.6) for i in range(28) for j in range(28)
        ]

    def band(value: float) -> dict[str, float]:
        return {"low": max(0.0, value - 0.02), "high": min(1.0, value + 0.02)}

    attacks, noises = ("pgd", "fgsm", "square"), ("blur", "noise", "snow", "fog", "contrast")
    rows: dict[str, list[dict[str, Any]]] = {
        "robustness.evasion/curve": [
            {
                "eps": e / 50, "robust_accuracy": 0.9 - e / 20, **band(0.9 - e / 20), "attack": a,
                "norm": "linf",
            }
            for a in attacks
            for e in range(8)
        ],
        "robustness.evasion/examples": [
            {
                "example_id": f"digits/{i:05d}", "label": "3", "predicted": "5", "shape": [1, 28, 28],
                "clean": image(i), "adversarial": [min(1.0, v + 0.1) for v in image(i)],
            }
            for i in range(6)
        ],
        "robustness.corruption/curve": [
            {"corruption": c, "severity": s, "accuracy": 0.95 - s / 20, **band(0.95 - s / 20)}
            for c in noises
            for s in range(1, 6)
        ],
        "privacy.membership/roc": [
            {"fpr": i / 500, "tpr": (i / 500) ** 0.8, **band((i / 500) ** 0.8), "attack": a}
            for a in ("lira", "loss")
            for i in range(0, 501, 4)
        ],
        "privacy.membership/histogram": [
            {"low": b / 4, "high": b / 4 + 0.25, "count": 100 - abs(b - 20), "member": bool(m)}
            for b in range(40)
            for m in (0, 1)
        ],
        "fairness.groups/by_group": [
            {
                "attribute": "stroke", "group": f"group {i}", "metric": metric, "value": 0.5 + i / 50,
                "n": 90 + i, **band(0.5 + i / 50),
            }
            for metric in ("selection_rate", "true_positive_rate", "accuracy")
            for i in range(12)
        ],
        "explanations.attribution/curve": [
            {"removed": i / 20, "integrated_gradients": math.exp(-0.3 * i), "random": math.exp(-0.1 * i)}
            for i in range(21)
        ],
        "explanations.attribution/maps": [
            {
                "example_id": f"digits/{i:05d}", "label": "3", "predicted": "3", "shape": [1, 28, 28],
                "input": image(i), "map": [v - 0.5 for v in image(i + 1)], "features": None,
            }
            for i in range(6)
        ],
        "reliability.calibration/bins": [
            {
                "bin_low": b / 15, "bin_high": (b + 1) / 15, "n": 30, "confidence": b / 15 + 0.03,
                "accuracy": b / 15 + 0.02, **band(b / 15 + 0.02),
            }
            for b in range(15)
        ],
    }  # fmt: skip
    return {name: pl.DataFrame(table, infer_schema_length=None) for name, table in rows.items()}


if __name__ == "__main__":
    main()
