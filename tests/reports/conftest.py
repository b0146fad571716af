"""A finished run made by hand: every kind of verdict, every table of evidence, numbers like real ones."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from raiaudit.audit.gates import Gate, Status, Verdict, decide
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.results import CheckOutcome, DataCard, Results, RunHeader, SubjectCard
from raiaudit.audit.store import Run
from raiaudit.models.recipe import Adversary, Recipe
from raiaudit.models.version import PrivacyRecord, TrainingRecord
from raiaudit.reports import write_documents

MakeRun = Callable[..., Run]

_RUN = "digits-digits-cnn-1f2e3d4c5b"
_NOT_PRIVATE = "the model was not trained privately"


def _m(check: str, metric: str, value: float | None, half: float | None = None, **more: Any) -> Measurement:
    limits: dict[str, Any] = {}
    if half is not None and value is not None:
        limits = {"low": max(0.0, value - half), "high": value + half}
    defaults: dict[str, Any] = {"n": 500, "better": "higher", "method": "wilson1927"}
    return Measurement(check=check, metric=metric, value=value, **limits, **(defaults | more))


def _measurements(groups: tuple[str, ...], column: str) -> list[Measurement]:
    evasion, fairness = "robustness.evasion", "fairness.groups"
    found = [
        _m("performance.accuracy", "accuracy", 0.986, 0.01),
        _m(
            "performance.accuracy", "log_loss", 0.0514, 0.012, unit="nats", better="lower", method="efron1987"
        ),
        _m(
            "performance.accuracy",
            "recall",
            None,
            n=0,
            where={"class": "7"},
            reason="no audited example of this class",
        ),
    ]
    found += [
        _m(
            evasion,
            "robust_accuracy",
            max(0.0, 0.986 - k * eps),
            0.03,
            where={"norm": "linf", "eps": eps, "attack": attack},
        )
        for attack, k in (("pgd", 1.0), ("fgsm", 0.6))
        for eps in (0.05, 0.1, 0.15)
    ]
    found += [
        _m(
            "robustness.corruption",
            "corruption_accuracy",
            0.98 - 0.05 * s,
            0.02,
            where={"corruption": "blur", "severity": s},
        )
        for s in range(1, 6)
    ]
    found += [
        _m(
            "privacy.membership",
            "membership_auc",
            0.573,
            0.028,
            where={"attack": "lira"},
            better="lower",
            method="delong1988",
        ),
        _m(
            "privacy.membership",
            "tpr_at_fpr",
            0.0004,
            0.0003,
            where={"attack": "lira", "fpr": 0.001},
            better="lower",
            method="clopper1934",
        ),
    ]
    found += [
        _m(fairness, "selection_rate", 0.5 + 0.04 * i, 0.06, where={"group": f"{column}={name}"}, n=90 + i)
        for i, name in enumerate(groups)
    ]
    found.append(
        _m(
            fairness,
            "impact_ratio",
            0.87,
            0.09,
            method="koopman1984",
            where={"group": f"{column}={groups[0]}"},
        )
    )
    found += [
        _m("explanations.attribution", "deletion_gain", 0.31, 0.04, n=100, method="petsiuk2018"),
        _m("reliability.calibration", "ece", 0.018, 0.007, better="lower", method="guo2017"),
        _m("fairness.groups", "accuracy_difference", 0.021, 0.02, better="lower", method="newcombe1998"),
    ]
    return found


_GATES = {
    "performance.accuracy": Gate(metric="accuracy", min=0.95),
    "robustness.evasion": Gate(metric="robust_accuracy", where={"eps": 0.15}, min=0.9),
    "privacy.membership": Gate(metric="tpr_at_fpr", where={"fpr": 0.001}, max=0.01),
    "fairness.groups": Gate(metric="impact_ratio", min=0.8),
}


def _verdicts(measured: list[Measurement]) -> list[Verdict]:
    """One of each kind: pass, fail, pass, inconclusive, not run, error."""
    unanswered: list[tuple[Status, str, Gate, str]] = [
        ("not_run", "privacy.accounting", Gate(metric="epsilon", max=8), _NOT_PRIVATE),
        ("error", "acme.drift", Gate(metric="drift", max=0.1), "ended with an error: MemoryError"),
    ]
    return [decide(check, gate, measured) for check, gate in _GATES.items()] + [
        Verdict(status=status, check=check, gate=gate, measurement=None, explanation=why)
        for status, check, gate, why in unanswered
    ]


def _outcomes() -> list[CheckOutcome]:
    asked = {
        "performance.accuracy": "How often is the model right on examples it has never seen?",
        "robustness.evasion": "How often does the model stay right when an adversary moves the input?",
        "robustness.corruption": "How much accuracy is lost when nature spoils the input?",
        "privacy.membership": "Can someone who sees the outputs tell who was in the training data?",
        "fairness.groups": "Are the outcomes alike between groups of people?",
        "explanations.attribution": "Do the explanations point at what the model uses?",
        "reliability.calibration": "Is a stated confidence the share of right answers?",
    }
    ran = [
        CheckOutcome(check=check, question=question, status="ran", config={"confidence": 0.95}, tasks=1)
        for check, question in asked.items()
    ]
    private = "What does the privacy accountant promise about this training?"
    return [
        *ran,
        CheckOutcome(check="privacy.accounting", question=private, status="not_run", reason=_NOT_PRIVATE),
        CheckOutcome(
            check="acme.drift", question="Did the data drift?", status="error", reason="MemoryError"
        ),
    ]


def _image(size: int, phase: float) -> list[float]:
    return [
        0.5 + 0.5 * math.sin(phase + i * 0.7) * math.cos(j * 0.6) for i in range(size) for j in range(size)
    ]


def _evidence(classes: tuple[str, ...], groups: tuple[str, ...], column: str) -> dict[str, pl.DataFrame]:
    eps = (0.0, 0.05, 0.1, 0.15)
    names = [classes[i % len(classes)] for i in range(6)]
    rows: dict[str, list[dict[str, Any]]] = {
        "robustness.evasion/curve": [
            {
                "eps": e,
                "robust_accuracy": 0.986 - k * e,
                "low": 0.96 - k * e,
                "high": min(1.0, 1 - k * e),
                "attack": a,
                "norm": "linf",
            }
            for a, k in (("pgd", 1.0), ("fgsm", 0.6))
            for e in eps
        ],
        "robustness.evasion/examples": [
            {
                "example_id": f"digits/{i:05d}",
                "label": names[i],
                "predicted": names[i - 1],
                "shape": [1, 8, 8],
                "clean": _image(8, i),
                "adversarial": [min(1.0, v + 0.15 * (-1) ** j) for j, v in enumerate(_image(8, i))],
            }
            for i in range(4)
        ],
        "robustness.corruption/curve": [
            {
                "corruption": name,
                "severity": s,
                "accuracy": 0.98 - k * s,
                "low": 0.96 - k * s,
                "high": 1 - k * s,
            }
            for name, k in (("blur", 0.05), ("gaussian_noise", 0.03))
            for s in range(1, 6)
        ],
        "privacy.membership/roc": [
            {
                "fpr": i / 500,
                "tpr": (i / 500) ** k,
                "low": 0.7 * (i / 500) ** k,
                "high": min(1.0, 1.3 * (i / 500) ** k),
                "attack": a,
            }
            for a, k in (("lira", 0.8), ("loss", 0.93))
            for i in (0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 500)
        ],
        "privacy.membership/histogram": [
            {
                "low": b / 4,
                "high": b / 4 + 0.25,
                "count": int(100 * math.exp(-((b - 8 - 2 * m) ** 2) / 8)),
                "member": bool(m),
            }
            for b in range(20)
            for m in (0, 1)
        ],
        "fairness.groups/by_group": [
            {
                "attribute": column,
                "group": g,
                "metric": metric,
                "value": None if undefined else 0.5 + 0.04 * i,
                "low": None if undefined else 0.44 + 0.04 * i,
                "high": None if undefined else 0.56 + 0.04 * i,
                "n": 90 + i,
            }
            for metric in ("selection_rate", "true_positive_rate")
            for i, g in enumerate(groups)
            for undefined in [metric == "true_positive_rate" and i == len(groups) - 1]
        ],
        "explanations.attribution/curve": [
            {"removed": i / 10, "integrated_gradients": math.exp(-0.4 * i), "random": math.exp(-0.1 * i)}
            for i in range(11)
        ],
        "explanations.attribution/maps": [
            {
                "example_id": f"digits/{i:05d}",
                "label": names[i],
                "predicted": names[i],
                "shape": [1, 8, 8],
                "input": _image(8, i),
                "map": [v - 0.5 for v in _image(8, i + 1)],
                "features": None,
            }
            for i in range(6)
        ],
        "reliability.calibration/bins": [
            {
                "bin_low": b / 10,
                "bin_high": (b + 1) / 10,
                "n": b * b,
                "confidence": b / 10 + 0.05 if b else None,
                "accuracy": b / 10 + 0.02 if b else None,
                "low": max(0.0, b / 10 - 0.1) if b else None,
                "high": min(1.0, b / 10 + 0.12) if b else None,
            }
            for b in range(10)
        ],
    }
    return {name: pl.DataFrame(table, infer_schema_length=None) for name, table in rows.items()}


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Make a finished run; keywords replace parts of its results (`classes`, `groups`, `partial`, …)."""
    return _maker(tmp_path)


def _maker(root: Path) -> MakeRun:
    def make(
        *,
        classes: tuple[str, ...] = tuple("0123456789"),
        groups: tuple[str, ...] = ("light", "heavy"),
        column: str = "stroke",
        model: str = "digits-cnn",
        partial: bool = False,
        evidence: bool = True,
        folder: str = "runs",
        **changes: Any,
    ) -> Run:
        run = Run(root / folder / _RUN)
        measured = _measurements(groups, column)
        record = TrainingRecord(
            architecture="cnn",
            config={"width": 32, "shape": [1, 8, 8]},
            data_name="digits",
            data_digest="d" * 64,
            recipe=Recipe(kind="adversarial", architecture="cnn", adversary=Adversary(eps=0.15)),
            seed=7,
            code_version="0.1.0",
            metrics={"test_accuracy": 0.986},
            privacy=PrivacyRecord(
                sample_rate=0.23,
                noise_multiplier=1.42,
                steps=400,
                clip=1.0,
                delta=1e-4,
                epsilon_pld=7.91,
                epsilon_prv=7.94,
                target_epsilon=8.0,
                poisson_sampling=True,
                public_divisor=256,
                max_clipped_norm=1.0,
                certified=True,
            ),
            parameters=113_738,
            weights_digest="a" * 64,
        )
        results = Results(
            run=run.id,
            verdict="fail",
            partial=partial,
            purpose="Read handwritten digits on forms",
            subject=SubjectCard(name=model, version=3, record=record),
            data=DataCard(
                name="digits",
                modality="image",
                classes=classes,
                digest="d" * 64,
                sizes={"train": 1097, "validation": 200, "test": 500},
                audited=100 if partial else 500,
                groups={column: {name: 250 + i for i, name in enumerate(groups)}},
                source="UCI, doi:10.24432/C50P49",
                licence="CC BY 4.0",
            ),
            seed=7,
            checks=tuple(_outcomes()),
            measurements=tuple(measured),
            verdicts=tuple(_verdicts(measured)),
        ).model_copy(update=changes)
        run.folder.mkdir(parents=True)
        (run.folder / "results.json").write_text(results.model_dump_json(indent=2))
        (run.folder / "spec.lock.yaml").write_text(
            "kind: Audit\nchecks:\n- use: robustness.evasion\n  with: {eps: [0.05, 0.1, 0.15]}\n"
        )
        run.write_header(
            RunHeader(
                id=run.id,
                suite="s",
                model=model,
                data="digits",
                modality="image",
                status="finished",
                verdict="fail",
                started="2026-11-20T09:30:00.000+00:00",
                finished="2026-11-20T09:31:40.000+00:00",
                seconds=100.2,
                partial=partial,
                versions={"raiaudit": "0.1.0", "torch": "2.13.0"},
                machine="2 cores, Linux",
                spec_path="examples/digits.yaml",
                owner="R. Ait, forms team",
                risk_class="annex-iii",
            )
        )
        events: list[dict[str, object]] = [
            {
                "event": "task_finished",
                "check": "robustness.evasion",
                "task": "linf-0.15-pgd-00000",
                "seconds": 3.25,
            },
            {
                "event": "task_finished",
                "check": "robustness.evasion",
                "task": "linf-0.10-pgd-00000",
                "seconds": 2.5,
            },
            {"event": "check_finished", "check": "robustness.evasion", "seconds": 0.25},
            {"event": "task_finished", "check": "performance.accuracy", "task": "0", "seconds": 0.5},
        ]
        (run.folder / "journal.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
        for name, table in _evidence(classes, groups, column).items() if evidence else ():
            path = run.folder / "evidence" / f"{name}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            table.write_parquet(path)
        return run

    return make


@pytest.fixture
def finished_run(make_run: MakeRun) -> Run:
    """An ordinary finished run."""
    return make_run()


HOSTILE = (
    "<script>alert(1)</script>",
    "</style><img src=x onerror=alert(1)>",
    '#let x = panic("x")',
    "=cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(1)",
    "\t=1",
    "../../x",
    "javascript:alert(1)",
    "[x](javascript:alert(1))",
    "{{ 7*7 }}{% raw %}",
    "nul\x00byte",
    "abc\u202egpj",
    "שלום",
    "漢字 😀",
    "long " + "x" * 10_000,
)


@pytest.fixture(scope="session")
def hostile_names() -> tuple[str, ...]:
    """Names that mean something to some program that reads a document."""
    return HOSTILE


@pytest.fixture(scope="session")
def hostile_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run whose model, classes, groups and column have such names."""
    root = tmp_path_factory.mktemp("hostile")
    return _maker(root)(model=HOSTILE[3], classes=HOSTILE, groups=HOSTILE, column=HOSTILE[0])


@pytest.fixture(scope="session")
def hostile_documents(hostile_run: Run) -> dict[str, Path]:
    """Every document of that run by its name."""
    return {path.name: path for path in write_documents(hostile_run)}
