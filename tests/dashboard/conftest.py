"""Synthetic homes: run directories with invented numbers, in every state the dashboard must show."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from raiaudit.audit.gates import Gate, decide, overall
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.results import CheckOutcome, DataCard, Results, RunHeader, SubjectCard
from raiaudit.audit.store import Home, Run
from raiaudit.models.recipe import Recipe
from raiaudit.models.version import TrainingRecord

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
CHECKS = {
    "performance.accuracy": "How often is the model right on examples it has never seen?",
    "robustness.evasion": "How often does the model stay right when an adversary moves the input?",
    "robustness.corruption": "How does accuracy fall as the input gets worse?",
    "privacy.membership": "Can an outsider tell who was in the training data?",
    "fairness.groups": "Is any group served worse than others?",
    "explanations.attribution": "Do the explanations show what the model uses?",
    "reliability.calibration": "Is the model as right as it is sure?",
}


def fraction(check: str, metric: str, value: float, *, n: int = 300, **where: Any) -> Measurement:
    half = 1.96 * math.sqrt(max(value * (1 - value), 1e-4) / n)
    return Measurement(
        check=check,
        metric=metric,
        value=value,
        low=max(0.0, value - half),
        high=min(1.0, value + half),
        n=n,
        better="higher",
        where=where,
        method="wilson1927",
    )


def measurements(robust: float, group: str) -> list[Measurement]:
    return [
        fraction("performance.accuracy", "accuracy", 0.986),
        *(
            fraction("performance.accuracy", "recall", 0.9 + k / 110, n=30, **{"class": str(k)})
            for k in range(10)
        ),
        *(
            fraction(
                "robustness.evasion",
                "robust_accuracy",
                max(0.0, 0.98 - (0.98 - robust) * eps / 0.15),
                norm="linf",
                eps=eps,
                attack="pgd",
            )
            for eps in (0.05, 0.1, 0.15)
        ),
        *(
            fraction(
                "robustness.corruption", "accuracy", 0.97 - 0.05 * s, corruption="gaussian_noise", severity=s
            )
            for s in range(1, 6)
        ),
        *(
            fraction("robustness.evasion", "clean_accuracy", 0.98, norm="linf", eps=eps, attack="pgd")
            for eps in (0.05, 0.1, 0.15)
        ),
        fraction("privacy.membership", "tpr_at_fpr", 0.013, attack="loss", fpr=0.01),
        Measurement(
            check="privacy.membership",
            metric="tpr_at_fpr",
            value=None,
            n=300,
            better="lower",
            where={"attack": "lira", "fpr": 0.001},
            method="carlini2022",
            reason="only 0.3 non-members are expected below this rate; at least 10 are needed",
        ),
        fraction("fairness.groups", "accuracy", 0.97, attribute="style", group=group, n=120),
        fraction("fairness.groups", "accuracy", 0.93, attribute="style", group="slanted", n=180),
        fraction("explanations.attribution", "deletion_gain", 0.21, n=100),
        fraction("reliability.calibration", "ece", 0.021),
    ]


GATES = [
    ("performance.accuracy", Gate(metric="accuracy", min=0.95)),
    ("robustness.evasion", Gate(metric="robust_accuracy", where={"eps": 0.15}, min=0.6)),
    ("privacy.membership", Gate(metric="tpr_at_fpr", where={"attack": "loss"}, max=0.02)),
    ("privacy.membership", Gate(metric="tpr_at_fpr", where={"attack": "lira"}, max=0.02)),
]


def write_evidence(run: Run) -> None:
    def put(check: str, name: str, frame: pl.DataFrame) -> None:
        path = run.folder / "evidence" / check / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.write_parquet(path)

    eps = [0.0, 0.05, 0.1, 0.15]
    accuracy = [0.986, 0.8, 0.5, 0.2]
    put(
        "robustness.evasion",
        "curve",
        pl.DataFrame(
            {
                "eps": eps,
                "robust_accuracy": accuracy,
                "low": [a - 0.03 for a in accuracy],
                "high": [min(1.0, a + 0.03) for a in accuracy],
                "attack": ["pgd"] * 4,
                "norm": ["linf"] * 4,
            }
        ),
    )
    severity = [*range(1, 6)] * 2
    put(
        "robustness.corruption",
        "curve",
        pl.DataFrame(
            {
                "corruption": ["gaussian_noise"] * 5 + ["gaussian_blur"] * 5,
                "severity": severity,
                "accuracy": [0.97 - 0.05 * s for s in severity],
                "low": [0.94 - 0.05 * s for s in severity],
                "high": [0.99 - 0.05 * s for s in severity],
            }
        ),
    )
    rates = [10 ** (-3 + k / 10) for k in range(31)]
    put(
        "privacy.membership",
        "roc",
        pl.DataFrame(
            {
                "fpr": rates * 2,
                "tpr": [r**0.8 for r in rates] + [r**0.95 for r in rates],
                "attack": ["lira"] * 31 + ["loss"] * 31,
            }
        ),
    )
    edges = [k / 4 - 3 for k in range(24)]
    put(
        "privacy.membership",
        "histogram",
        pl.DataFrame(
            {
                "low": edges * 2,
                "high": [e + 0.25 for e in edges] * 2,
                "count": [round(100 * math.exp(-((e - m) ** 2))) for m in (0.4, 0) for e in edges],
                "member": [True] * 24 + [False] * 24,
                "attack": ["lira"] * 48,
            }
        ),
    )
    put(
        "fairness.groups",
        "by_group",
        pl.DataFrame(
            {
                "attribute": ["style", "style"],
                "group": ["upright", "slanted"],
                "metric": ["accuracy", "accuracy"],
                "value": [0.97, 0.93],
                "low": [0.93, 0.88],
                "high": [0.99, 0.96],
                "n": [120, 180],
            }
        ),
    )
    removed = [k / 20 for k in range(21)]
    put(
        "explanations.attribution",
        "curve",
        pl.DataFrame(
            {
                "removed": removed,
                "integrated_gradients": [math.exp(-6 * r) for r in removed],
                "random": [math.exp(-2 * r) for r in removed],
            }
        ),
    )
    pixels = [((x - 8) ** 2 + (y - 8) ** 2 < 25) * 0.8 for y in range(16) for x in range(16)]
    attribution = [(x - 8) / 8 * p for p, x in zip(pixels, [*range(16)] * 16, strict=True)]
    put(
        "explanations.attribution",
        "maps",
        pl.DataFrame(
            {
                "example_id": [f"digits-{k:05d}" for k in range(6)],
                "label": ["3"] * 6,
                "predicted": ["3"] * 5 + ["8"],
                "shape": [[1, 16, 16]] * 6,
                "input": [pixels] * 6,
                "map": [attribution] * 6,
                "features": pl.Series([None] * 6, dtype=pl.List(pl.String)),
            }
        ),
    )
    put(
        "robustness.evasion",
        "examples",
        pl.DataFrame(
            {
                "example_id": [f"digits-{k:05d}" for k in range(4)],
                "label": ["3"] * 4,
                "predicted": ["8"] * 4,
                "shape": [[1, 16, 16]] * 4,
                "clean": [pixels] * 4,
                "adversarial": [[p + 0.1 * ((i % 3) - 1) for i, p in enumerate(pixels)]] * 4,
                "eps": [0.15] * 4,
                "norm": ["linf"] * 4,
                "attack": ["pgd"] * 4,
            }
        ),
    )
    confidence = [k / 10 + 0.05 for k in range(10)]
    put(
        "reliability.calibration",
        "bins",
        pl.DataFrame(
            {
                "confidence": confidence,
                "accuracy": [min(1.0, c * 0.97) for c in confidence],
                "low": [max(0.0, c - 0.1) for c in confidence],
                "high": [min(1.0, c + 0.07) for c in confidence],
                "n": [3, 5, 8, 10, 12, 15, 22, 30, 55, 140],
            }
        ),
    )


AddRun = Callable[..., Run]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """An empty home, which the dashboard will find."""
    monkeypatch.setenv("RAIAUDIT_HOME", str(tmp_path / "home"))
    return Home.at()


def add_run(
    home: Home,
    run_id: str = "20261120-101500-digits-cnn",
    *,
    model: str = "digits-cnn",
    data: str = "digits",
    suite: str = "suite-1",
    status: str = "finished",
    robust: float = 0.2,
    group: str = "upright",
    classes: tuple[str, ...] = tuple("0123456789"),
    started: str = "2026-11-20T10:15:00+00:00",
    evidence: bool = True,
    **header: Any,
) -> Run:
    """One run directory in `status`; a finished one has results, evidence, a PDF and a seal."""
    run = Run(home.runs_folder / run_id)
    run.folder.mkdir(parents=True)
    found = measurements(robust, group)
    verdicts = tuple(decide(check, gate, found) for check, gate in GATES)
    verdict = overall(verdicts)
    finished = status == "finished"
    counts: dict[str, int] = {}
    for decided in verdicts:
        counts[decided.status] = counts.get(decided.status, 0) + 1
    run.write_header(
        RunHeader.model_validate(
            {
                "id": run_id,
                "suite": suite,
                "model": model,
                "data": data,
                "modality": "image",
                "status": status,
                "verdict": verdict if finished else None,
                "started": started,
                "finished": "2026-11-20T10:15:41+00:00" if finished else None,
                "seconds": 41.2 if finished else None,
                "progress": (23, 23) if finished else (7, 23),
                "versions": {"raiaudit": "0.1.0", "python": "3.11.9", "torch": "2.13.0+cpu"},
                "machine": "Linux x86_64, 2 cores",
                "spec_path": "examples/digits.yaml",
                "owner": "Ada Example",
                "purpose": "Reads digits on forms",
                "risk_class": "minimal",
                "gates": counts if finished else {},
                **header,
            }
        )
    )
    (run.folder / "spec.lock.yaml").write_text("apiVersion: raiaudit/v1\nkind: Audit\n")
    (run.folder / "journal.jsonl").write_text(
        '{"time": "2026-11-20T10:15:00+00:00", "event": "started"}\n'
        '{"time": "2026-11-20T10:15:03+00:00", "event": "task_finished", "task": "rows-0"}\n'
    )
    if not finished:
        return run
    recipe = Recipe(architecture="cnn")
    results = Results(
        run=run_id,
        verdict=verdict,
        partial=False,
        purpose="Reads digits on forms",
        subject=SubjectCard(
            name=model,
            version=1,
            record=TrainingRecord(
                architecture="cnn",
                config={},
                data_name=data,
                data_digest="d" * 64,
                recipe=recipe,
                seed=7,
                code_version="0.1.0",
                parameters=26_010,
                weights_digest=(model.encode().hex() + "0" * 64)[:64],
                seconds=3.4,
            ),
        ),
        data=DataCard(
            name=data,
            modality="image",
            classes=classes,
            digest="d" * 64,
            sizes={"train": 1200, "validation": 297, "test": 300},
            audited=300,
        ),
        seed=7,
        checks=(
            *(
                CheckOutcome(check=name, question=text, status="ran", tasks=3)
                for name, text in CHECKS.items()
            ),
            CheckOutcome(
                check="privacy.accounting",
                question="What ε does the training procedure guarantee?",
                status="not_run",
                reason="the model was not trained privately",
            ),
        ),
        measurements=tuple(found),
        verdicts=verdicts,
    )
    (run.folder / "results.json").write_text(results.model_dump_json(indent=2))
    (run.folder / "report.pdf").write_bytes(b"%PDF-1.7 synthetic\n%%EOF\n")
    if evidence:
        write_evidence(run)
    run.seal()
    return run


@pytest.fixture
def add(home: Home) -> AddRun:
    """`add(run_id, status=…, model=…)` puts a run into the home."""
    return lambda *args, **options: add_run(home, *args, **options)


AUDIT = """
apiVersion: raiaudit/v1
kind: Audit
name: browser
data: {name: digits}
models:
  - name: digits-cnn
    recipe: {kind: standard, architecture: cnn, epochs: 4}
context: {purpose: "Pages to click through", owner: "The tests"}
run: {seed: 7, device: cpu}
checks:
  - use: performance.accuracy
    gate: {metric: accuracy, min: 0.5}
  - use: robustness.evasion
    with: {norm: linf, eps: [0.05, 0.15], attack: pgd, steps: 5, examples: 100}
    gate: {metric: robust_accuracy, where: {eps: 0.15}, min: 0.999}
  - use: robustness.corruption
  - use: privacy.membership
    with: {attack: loss}
  - use: privacy.accounting
  - use: fairness.groups
  - use: explanations.attribution
    with: {examples: 12, levels: 5, random_maps: 2}
  - use: reliability.calibration
"""


@pytest.fixture(scope="session")
def finished_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with one real run of every pillar, made by the command line; one gate passes, one fails."""
    folder = tmp_path_factory.mktemp("audit")
    (folder / "audit.yaml").write_text(AUDIT)
    command = [sys.executable, "-m", "raiaudit", "run", "audit.yaml", "--home", "home"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    return Home.at(folder / "home")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium that asks nothing of anybody by itself."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (apt install chromium)")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield chromium
        chromium.close()
