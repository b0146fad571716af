"""Gates against a baseline run: paired outcomes made by hand, so that the right answer is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import binomtest, ttest_1samp

from raiaudit.audit.catalogue import CHECKS
from raiaudit.audit.check import Task
from raiaudit.audit.gates import Baseline, Gate, Status, Verdict
from raiaudit.audit.judgement import judge
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.plan import PlannedCheck
from raiaudit.audit.results import CheckOutcome, DataCard, Results, RunHeader, SubjectCard
from raiaudit.audit.spec import Policy
from raiaudit.audit.store import Run
from raiaudit.models.version import TrainingRecord

CHECK = "performance.accuracy"
CORRECT, LOSS = "accuracy.correct", "accuracy.log_loss"
Values = np.ndarray[Any, Any]
THRESHOLD = Gate(metric="accuracy", min=0)


def measured(value: float, **more: Any) -> Measurement:
    facts: dict[str, Any] = {"check": CHECK, "metric": "accuracy", "n": 100, "better": "higher"}
    return Measurement(value=value, **{"method": "m", "evidence": (CORRECT,), **facts, **more})


def loss(values: Values) -> Measurement:
    return measured(float(values.mean()), metric="log_loss", better="lower", unit="nats", evidence=(LOSS,))


def make_run(
    home: Path,
    name: str,
    columns: dict[str, Values],
    measurements: tuple[Measurement, ...],
    *,
    digest: str = "d",
    verdict: Status = "pass",
    first_id: int = 0,
    gate: Gate = THRESHOLD,
    **header: Any,
) -> Run:
    """A run whose ledger holds these columns."""
    run = Run(home / "runs" / name)
    n = len(next(iter(columns.values())))
    ids = [f"t{i:04d}" for i in range(first_id, first_id + n)]
    run.ledger.append(Task(CHECK, "all"), "0" * 16, pl.DataFrame({"example_id": ids, **columns}))
    facts: dict[str, Any] = {"model": "m", "status": "finished", "started": "1", "verdict": verdict}
    run.write_header(RunHeader(id=name, suite="s", data="x", modality="image", **facts | header))
    record = TrainingRecord(
        architecture="mlp", config={}, code_version="0", parameters=1, weights_digest=name
    )
    data = DataCard(name="x", modality="image", classes=("a", "b"), digest=digest, sizes={}, audited=n)
    results = Results(
        run=name,
        verdict=verdict,
        partial=False,
        subject=SubjectCard(name="m", version=1, record=record),
        data=data,
        seed=0,
        checks=(CheckOutcome(check=CHECK, question="", status="ran"),),
        measurements=measurements,
        verdicts=(Verdict(status=verdict, check=CHECK, gate=gate, measurement=None, explanation=""),),
    )
    (run.folder / "results.json").write_text(results.model_dump_json())
    return run


def accurate(home: Path, name: str, correct: Values, **more: Any) -> Run:
    return make_run(home, name, {CORRECT: correct}, (measured(float(correct.mean())),), **more)


def judged(run: Run, gate: Gate, *found: Measurement) -> Verdict:
    plan = PlannedCheck(CHECKS[CHECK], CHECKS[CHECK].Config(), (gate,))
    (verdict,) = judge([plan], found, {}, Policy(), run, data_digest="d")
    return verdict


def against(name: str, drop: float, metric: str = "accuracy", **more: Any) -> Gate:
    return Gate(metric=metric, vs_baseline=Baseline(run=name, max_drop=drop), **more)


def outcomes(n: int, wrong: range) -> Values:
    correct = np.ones(n, dtype=bool)
    correct[wrong] = False
    return correct


def paired_verdict(home: Path, ours: Values, theirs: Values, drop: float, **baseline: Any) -> Verdict:
    run = accurate(home, "ours", ours)
    accurate(home, "theirs", theirs, **baseline)
    return judged(run, against("theirs", drop), *run.results.measurements)


# Yes and no


@pytest.mark.parametrize(
    ("lost", "allowed", "expected"),
    [
        (0, 0.01, "pass"),  # identical on 1000 examples: the interval is about ±0.003
        (100, 0.2, "pass"),
        (100, 0.05, "fail"),  # a drop of 0.1 ± 0.02
        (100, 0.1, "inconclusive"),
        (100, 0.11, "inconclusive"),
    ],
)
def test_a_drop_against_a_baseline(tmp_path: Path, lost: int, allowed: float, expected: str) -> None:
    ours, theirs = outcomes(1000, range(50 + lost)), outcomes(1000, range(50))
    verdict = paired_verdict(tmp_path, ours, theirs, allowed)
    assert verdict.status == expected, verdict.explanation
    assert "theirs" in verdict.explanation


def test_the_p_value_is_mcnemars_exact_one(tmp_path: Path) -> None:
    """12 examples lost and 3 won: two-sided binomial(15, 1/2)."""
    verdict = paired_verdict(tmp_path, outcomes(400, range(12)), outcomes(400, range(12, 15)), 0)
    p = binomtest(3, 15).pvalue
    assert f"400 pairs, p = {p:.2g} by the exact McNemar test" in verdict.explanation
    assert "worse by 0.0225 [" in verdict.explanation


def test_pairing_knows_more_than_the_two_accuracies(tmp_path: Path) -> None:
    """Equal accuracies, but on other examples: the paired interval is wider, and the gate undecided."""
    apart = paired_verdict(tmp_path, outcomes(1000, range(200)), outcomes(1000, range(200, 400)), 0.02)
    assert apart.status == "inconclusive"
    together = paired_verdict(tmp_path / "b", outcomes(1000, range(200)), outcomes(1000, range(200)), 0.02)
    assert together.status == "pass"


def test_an_improvement_passes_a_baseline_gate_of_zero(tmp_path: Path) -> None:
    assert paired_verdict(tmp_path, outcomes(1000, range(10)), outcomes(1000, range(200)), 0).status == "pass"


# Values of each example


def losses(tmp_path: Path, shift: float, allowed: float, n: int = 400) -> tuple[Verdict, Values]:
    """A log loss that differs much between examples, and on each of them by `shift` ± 0.02."""
    rng = np.random.default_rng(5)
    theirs = rng.exponential(1.0, n)
    ours = theirs + shift + rng.normal(0, 0.02, n)
    run = make_run(tmp_path, "ours", {LOSS: ours}, (loss(ours),))
    make_run(tmp_path, "theirs", {LOSS: theirs}, (loss(theirs),))
    return judged(run, against("theirs", allowed, "log_loss"), loss(ours)), ours - theirs


@pytest.mark.parametrize(
    ("shift", "allowed", "expected"),
    [(0.05, 0.06, "pass"), (0.05, 0.04, "fail"), (0.05, 0.05, "inconclusive"), (-0.05, 0, "pass")],
)
def test_a_real_valued_column_is_paired_by_bootstrap(
    tmp_path: Path, shift: float, allowed: float, expected: str
) -> None:
    """Unpaired, a loss of deviation 1 on 400 examples is known to ± 0.14: no answer at all."""
    verdict, _ = losses(tmp_path, shift, allowed)
    assert verdict.status == expected, verdict.explanation
    assert "sign-flip test" in verdict.explanation


def test_the_bootstrap_agrees_with_student(tmp_path: Path) -> None:
    verdict, gains_N = losses(tmp_path, 0.003, 0)
    low, high = ttest_1samp(gains_N, 0).confidence_interval()
    shown = verdict.explanation.partition("[")[2].partition("]")[0].split(", ")
    assert [float(text) for text in shown] == pytest.approx([low, high], abs=3e-4)


def test_the_same_audit_twice_has_the_same_words(tmp_path: Path) -> None:
    first, _ = losses(tmp_path / "a", 0.05, 0.05)
    second, _ = losses(tmp_path / "b", 0.05, 0.05)
    assert first == second


# Not comparable


def test_a_baseline_on_other_data_or_unfinished_or_absent_or_itself_is_not_run(tmp_path: Path) -> None:
    same = outcomes(100, range(10))
    other = paired_verdict(tmp_path / "a", same, same, 0.5, digest="other")
    assert (other.status, "other data" in other.explanation) == ("not_run", True)
    assert paired_verdict(tmp_path / "b", same, same, 0.5, status="failed").status == "not_run"
    run = accurate(tmp_path / "c", "ours", same)
    for name in ("ours", "nobody", "latest"):
        verdict = judged(run, against(name, 0.5), *run.results.measurements)
        assert (verdict.status, "not comparable" in verdict.explanation) == ("not_run", True)


def test_other_examples_are_not_comparable(tmp_path: Path) -> None:
    same = outcomes(100, range(10))
    shifted = paired_verdict(tmp_path, same, same, 0.5, first_id=1)
    assert (shifted.status, "not comparable" in shifted.explanation) == ("not_run", True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        # The recall of a class names the same column as evidence, but pairing all examples is not about it.
        ({"metric": "recall", "value": 0.3, "where": {"class": "7"}}, "no mean over examples"),
        ({"metric": "forward_passes", "better": "neither"}, "no better and worse"),
        ({"metric": "balanced_accuracy"}, "not measured there"),
        ({"evidence": ("accuracy.nothing",)}, "no mean over examples"),
    ],
)
def test_what_cannot_be_paired_says_why(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    correct = outcomes(100, range(10))
    found = measured(**{"value": 0.9} | changes)
    held = () if "not measured" in words else (found,)
    run = make_run(tmp_path, "ours", {CORRECT: correct}, held)
    make_run(tmp_path, "theirs", {CORRECT: correct}, held)
    verdict = judged(run, against("theirs", 0.5, found.metric), found)
    assert (verdict.status, words in verdict.explanation) == ("not_run", True), verdict.explanation


# Several measurements, several conditions


def test_every_measurement_that_matches_is_held_against_the_baseline(tmp_path: Path) -> None:
    """Two radii: the first is as good as the baseline, the second has lost everything."""
    good, bad = outcomes(500, range(10)), outcomes(500, range(500))
    columns = ("evasion.small.broken", "evasion.large.broken")

    def found(large: Values) -> tuple[Measurement, ...]:
        pairs = zip((0.1, 0.2), columns, (good, large), strict=True)
        return tuple(measured(float(v.mean()), where={"eps": e}, evidence=(c,)) for e, c, v in pairs)

    run = make_run(tmp_path, "ours", dict(zip(columns, (~good, ~bad), strict=True)), found(bad))
    make_run(tmp_path, "theirs", dict(zip(columns, (~good, ~good), strict=True)), found(good))
    verdict = judged(run, against("theirs", 0.1), *found(bad))
    assert (verdict.status, verdict.measurement) == ("fail", found(bad)[1])


def test_both_the_threshold_and_the_baseline_must_hold(tmp_path: Path) -> None:
    ours = outcomes(1000, range(400))
    run, _ = accurate(tmp_path, "ours", ours), accurate(tmp_path, "theirs", ours)
    found = measured(0.6, low=0.55, high=0.65)
    assert judged(run, against("theirs", 0.1, min=0.9), found).status == "fail"
    assert judged(run, against("theirs", 0.1, min=0.5), found).status == "pass"
    assert judged(run, against("nobody", 0.1, min=0.9), found).status == "fail"
    assert judged(run, against("nobody", 0.1, min=0.5), found).status == "not_run"


# Which run


def test_the_latest_passing_run_of_the_model_on_these_data(tmp_path: Path) -> None:
    same = outcomes(100, range(10))
    run = accurate(tmp_path, "ours", same, started="9")

    def chosen() -> str:
        return judged(run, against("latest-passing", 0.5), *run.results.measurements).explanation

    assert "has passed yet" in chosen()
    accurate(tmp_path, "old", same, started="1")
    accurate(tmp_path, "good", same, started="3")
    accurate(tmp_path, "failed", same, started="5", verdict="fail")
    accurate(tmp_path, "other-data", same, started="6", digest="other")
    accurate(tmp_path, "other-model", same, started="7", model="n")
    accurate(tmp_path, "stopped", same, started="8", status="interrupted")
    accurate(tmp_path, "quick-look", same, started="8", partial=True)
    assert "than in good," in chosen()


@pytest.mark.parametrize("status", ["not_run", "fail"])  # as the policy has it
def test_a_first_run_without_a_baseline_is_the_baseline_of_the_second(tmp_path: Path, status: Status) -> None:
    same = outcomes(100, range(10))
    run = accurate(tmp_path, "ours", same, started="9")
    gate = against("latest-passing", 0.5)
    accurate(tmp_path, "failed", same, started="2", verdict=status)
    accurate(tmp_path, "first", same, started="1", verdict=status, gate=gate)
    assert "than in first," in judged(run, gate, *run.results.measurements).explanation


def test_the_start_of_an_id_or_a_folder_beside_the_spec(tmp_path: Path) -> None:
    same = outcomes(100, range(10))
    run = accurate(tmp_path / "home", "ours", same, spec_path=str(tmp_path / "repo" / "audit.yaml"))
    accurate(tmp_path / "home", "release-1234", same)
    accurate(tmp_path / "repo" / "kept", "release-5678", same)
    for name, found in (("release-12", "release-1234"), ("kept/runs/release-5678", "release-5678")):
        verdict = judged(run, against(name, 0.5), *run.results.measurements)
        assert (verdict.status, f"than in {found}," in verdict.explanation) == ("pass", True)
