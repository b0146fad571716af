"""A synthetic home for measuring the dashboard: many runs with invented numbers, one with a large ledger.

Two nightly audits of four models each, as many nights as the runs allow; every `results.json` is as long as
those of `examples/digits.yaml` (about 270 measurements, 150 kB). The newest run of the first audit holds a
ledger of `examples` rows under the columns that the checks write.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import polars as pl

from raiaudit.audit.check import Task
from raiaudit.audit.gates import Gate, decide, overall
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.results import CheckOutcome, DataCard, Results, RunHeader, SubjectCard
from raiaudit.audit.store import Home, Run
from raiaudit.models.recipe import Recipe
from raiaudit.models.version import TrainingRecord

__all__ = ["write_home"]

MODELS = ("cnn", "cnn-adversarial", "cnn-private", "vit")
AUDITS = (("audits/digits.yaml", "digits"), ("audits/letters.yaml", "letters"))
CORRUPTIONS = 15
GATES = (
    ("performance.accuracy", Gate(metric="accuracy", min=0.92)),
    ("robustness.evasion", Gate(metric="robust_accuracy", where={"eps": 0.15}, min=0.6)),
    ("privacy.membership", Gate(metric="membership_auc", max=0.6)),
    ("explanations.attribution", Gate(metric="deletion_gain", min=0.0)),
)
QUESTIONS = {
    "performance.accuracy": "How often is the model right on examples it has never seen?",
    "robustness.evasion": "How often does the model stay right when an adversary moves the input?",
    "robustness.corruption": "How much accuracy is lost to noise, blur, weather and processing?",
    "privacy.membership": "Can an outsider tell who was in the training data?",
    "fairness.groups": "Does the model treat groups of people alike?",
    "explanations.attribution": "Do the explanations show what the model uses?",
    "reliability.calibration": "Is the model as right as it is sure?",
}


def write_home(root: Path, *, runs: int, examples: int, seed: int = 0) -> Home:
    """Fill `root/runs`; the newest run has the large ledger."""
    home = Home(root)
    draw = Random(seed)
    newest: Run | None = None
    began = datetime(2026, 11, 21, 3, tzinfo=UTC)
    for number in range(runs):
        night, place = divmod(number, len(MODELS))
        spec, data = AUDITS[night % len(AUDITS)]
        started = began - timedelta(days=night // len(AUDITS), hours=night % len(AUDITS), minutes=-place)
        run = _run(home, f"{data}-{MODELS[place]}-{night:04d}", spec, data, MODELS[place], started, draw)
        newest = newest if night or newest else run
    assert newest is not None
    _ledger(newest, examples, seed)
    return home


def _run(home: Home, run_id: str, spec: str, data: str, model: str, started: datetime, draw: Random) -> Run:
    found = _measurements(draw, robust=0.8 if "adversarial" in model else 0.2)
    verdicts = tuple(decide(check, gate, found) for check, gate in GATES)
    verdict = overall(verdicts)
    counts = dict(Counter[str](v.status for v in verdicts))
    run = Run(home.runs_folder / run_id)
    run.folder.mkdir(parents=True)
    digest = hashlib.sha256(data.encode()).hexdigest()
    run.write_header(
        RunHeader(
            id=run_id,
            suite=f"{data}-{started:%Y%m%d}",
            model=f"{data}-{model}",
            data=data,
            modality="image",
            status="finished",
            verdict=verdict,
            started=started.isoformat(),
            finished=(started + timedelta(seconds=40)).isoformat(),
            seconds=40.0,
            progress=(27, 27),
            versions={"raiaudit": "0.1.0", "python": "3.11"},
            spec_path=spec,
            purpose="Synthetic",
            gates=counts,
        )
    )
    record = TrainingRecord(
        architecture="cnn",
        config={},
        data_name=data,
        data_digest=digest,
        recipe=Recipe(architecture="cnn"),
        seed=0,
        code_version="0.1.0",
        parameters=81_082,
        weights_digest=hashlib.sha256(run_id.encode()).hexdigest(),
        seconds=20.0,
    )
    results = Results(
        run=run_id,
        verdict=verdict,
        partial=False,
        subject=SubjectCard(name=f"{data}-{model}", version=1, record=record),
        data=DataCard(
            name=data,
            modality="image",
            classes=tuple("0123456789"),
            digest=digest,
            sizes={"train": 1200, "validation": 297, "test": 500},
            audited=500,
        ),
        seed=0,
        checks=tuple(
            CheckOutcome(check=check, question=text, status="ran", tasks=3)
            for check, text in QUESTIONS.items()
        ),
        measurements=tuple(found),
        verdicts=verdicts,
    )
    (run.folder / "results.json").write_text(results.model_dump_json(indent=2))
    (run.folder / "spec.lock.yaml").write_text("apiVersion: raiaudit/v1\nkind: Audit\n")
    (run.folder / "report.pdf").write_bytes(b"%PDF-1.7 synthetic\n%%EOF\n")
    return run


def _measurements(draw: Random, *, robust: float) -> list[Measurement]:
    found: list[Measurement] = []

    def add(check: str, metric: str, value: float, **where: Any) -> None:
        value = min(1.0, max(0.0, value + draw.gauss(0, 0.006)))
        half = 1.96 * math.sqrt(max(value * (1 - value), 1e-4) / 500)
        found.append(
            Measurement(
                check=check,
                metric=metric,
                value=value,
                low=max(0.0, value - half),
                high=min(1.0, value + half),
                n=500,
                better="higher",
                where=where,
                method="wilson1927",
            )
        )

    add("performance.accuracy", "accuracy", 0.97)
    for k in range(10):
        add("performance.accuracy", "recall", 0.97, **{"class": str(k)})
        add(
            "robustness.evasion", "class_robust_accuracy", robust, eps=0.15, attack="pgd", **{"class": str(k)}
        )
    for eps in (0.05, 0.1, 0.15):
        kept = 0.97 - (0.97 - robust) * eps / 0.15
        add("robustness.evasion", "robust_accuracy", kept, norm="linf", eps=eps, attack="pgd")
        add("robustness.evasion", "clean_accuracy", 0.97, norm="linf", eps=eps, attack="pgd")
    for kind in range(CORRUPTIONS):
        for severity in range(1, 6):
            add(
                "robustness.corruption",
                "accuracy",
                0.97 - 0.05 * severity,
                corruption=f"c{kind}",
                severity=severity,
            )
    add("privacy.membership", "membership_auc", 0.53, attack="lira")
    for rate in (0.001, 0.01, 0.1):
        add("privacy.membership", "tpr_at_fpr", rate * 1.3, attack="lira", fpr=rate)
    for metric in ("accuracy", "macro_recall", "macro_precision", "robust_accuracy", "brier_score"):
        for group in range(15):
            add("fairness.groups", metric, 0.95, attribute="style", group=f"g{group}")
            add(
                "fairness.groups", f"{metric}_gap", 0.01, attribute="style", group=f"g{group}", reference="g0"
            )
        add("fairness.groups", f"{metric}_difference", 0.03, attribute="style")
    add("explanations.attribution", "deletion_gain", 0.45)
    add("reliability.calibration", "ece", 0.02)
    return found


def _ledger(run: Run, examples: int, seed: int) -> None:
    """One row an example under each check's columns, in shards of 25,000."""
    generator = np.random.default_rng(seed)
    label = generator.integers(0, 10, examples)
    right = generator.random(examples) < 0.97
    predicted = np.where(right, label, (label + 1) % 10)
    confidence = generator.beta(8, 1, examples).astype(np.float32)
    broken = ~right | (generator.random(examples) < 0.4)
    member = generator.random(examples) < 0.5
    score = generator.normal(0.1 * member, 1, examples)
    style = generator.choice(["upright", "slanted"], examples)
    columns: dict[str, dict[str, Any]] = {
        "performance.accuracy": {
            "accuracy.correct": right,
            "accuracy.predicted": predicted,
            "accuracy.label": label,
            "accuracy.confidence": confidence,
            "accuracy.log_loss": -np.log(confidence),
            "group.style": style,
        },
        "robustness.evasion": {
            "evasion.linf-0.15-pgd.broken": broken,
            "evasion.linf-0.15-pgd.clean_broken": ~right,
            "evasion.linf-0.15-pgd.norm": np.where(broken, 0.15, np.nan).astype(np.float32),
        },
        "robustness.corruption": {
            f"corruption.c{k}-{s}.correct": generator.random(examples) < 0.97 - 0.05 * s
            for k in range(CORRUPTIONS)
            for s in range(1, 6)
        },
        "privacy.membership": {"membership.member": member, "membership.lira.score": score},
        "fairness.groups": {
            "fairness.label": label,
            "fairness.predicted": predicted,
            "fairness.group.style": style,
        },
        "reliability.calibration": {"calibration.confidence": confidence, "calibration.correct": right},
    }
    ids = [f"digits/{k:06d}" for k in range(examples)]
    for check, values in columns.items():
        frame = pl.DataFrame({"example_id": ids, **values})
        for start in range(0, examples, 25_000):
            task = Task(check=check, name=f"test-{start:07d}")
            key = task.key(model_digest="m", data_digest="d", seed=seed)
            run.ledger.append(task, key, frame.slice(start, 25_000))
