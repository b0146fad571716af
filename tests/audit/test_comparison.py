"""Comparisons against closed forms, a second library and planted changes; what is refused, and why."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from scipy.stats import binomtest

from raiaudit.audit.check import Task
from raiaudit.audit.comparison import Comparison, compare_runs, named_runs
from raiaudit.audit.comparison.paired import test_means as means_test
from raiaudit.audit.comparison.paired import test_unpaired as unpaired_test
from raiaudit.audit.comparison.paired import test_yes_no as yes_no_test
from raiaudit.audit.comparison.pairing import Pairs
from raiaudit.audit.comparison.results import Delta
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.results import CheckOutcome, DataCard, Results, RunHeader, SubjectCard
from raiaudit.audit.statistics.intervals import Interval, auc_delong, wilson
from raiaudit.audit.statistics.paired_auc import paired_auc_difference, paired_auc_p
from raiaudit.audit.store import Home, Run
from raiaudit.errors import NotComparableError, UnknownNameError, UsageError
from raiaudit.models.version import TrainingRecord

ACCURACY, EVASION = "performance.accuracy", "robustness.evasion"
Columns = Mapping[str, Any]
PGD = {"norm": "linf", "eps": 0.1, "attack": "pgd"}


def measured(check: str, metric: str, value: float, *evidence: str, **more: Any) -> Measurement:
    facts: dict[str, Any] = {"n": 100, "better": "higher", "method": "m", **more}
    return Measurement(check=check, metric=metric, value=value, evidence=evidence, **facts)


def of_column(columns: Columns, check: str, metric: str, name: str, **more: Any) -> Measurement:
    """The measurement that is the mean of a column, or of its opposite for `.broken`."""
    mean = float(np.mean(columns[name]))
    value = 1 - mean if name.endswith(".broken") else mean
    return measured(check, metric, value, name, n=len(columns[name]), **more)


def make(
    home: Home,
    name: str,
    columns: Columns,
    measurements: Sequence[Measurement],
    *,
    configs: Mapping[str, dict[str, object]] | None = None,
    spec: dict[str, Any] | None = None,
    digest: str = "d" * 64,
    suite: str = "tests-0123456789",
    status: Any = "finished",
    started: str = "2026-11-20T10:00:00+00:00",
    **record: Any,
) -> Run:
    run = Run(home.runs_folder / name)
    n = len(next(iter(columns.values())))
    ids = [f"t{i:04d}" for i in range(n)]
    run.ledger.append(Task(ACCURACY, "all"), "0" * 16, pl.DataFrame({"example_id": ids, **columns}))
    run.write_header(
        RunHeader(
            id=name,
            suite=suite,
            model=name,
            data="x",
            modality="image",
            status=status,
            started=started,
            versions={"torch": "2.13"},
        )
    )
    facts: dict[str, Any] = {
        "architecture": "mlp",
        "config": {"hidden": 32},
        "code_version": "0",
        "parameters": 1,
        "weights_digest": "w" * 64,
        **record,
    }
    checks = configs or {check: {} for check in {m.check for m in measurements}}
    results = Results(
        run=name,
        verdict="pass",
        partial=False,
        subject=SubjectCard(name=name, version=1, record=TrainingRecord(**facts)),
        data=DataCard(name="x", modality="image", classes=("a", "b"), digest=digest, sizes={}, audited=n),
        seed=0,
        checks=tuple(
            CheckOutcome(check=check, question="?", status="ran", config=config)
            for check, config in checks.items()
        ),
        measurements=tuple(measurements),
        verdicts=(),
    )
    (run.folder / "results.json").write_text(results.model_dump_json())
    (run.folder / "spec.lock.yaml").write_text(yaml.safe_dump(spec or {"run": {"seed": 0}}))
    return run


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.at(tmp_path)


def right(n: int, *wrong: range) -> np.ndarray[Any, Any]:
    found = np.ones(n, dtype=bool)
    for each in wrong:
        found[each] = False
    return found


def accuracy_run(home: Home, name: str, correct: np.ndarray[Any, Any], **more: Any) -> Run:
    columns = {"accuracy.correct": correct, **more.pop("columns", {})}
    return make(home, name, columns, [of_column(columns, ACCURACY, "accuracy", "accuracy.correct")], **more)


def only(deltas: Sequence[Delta]) -> Delta:
    assert len(deltas) == 1
    return deltas[0]


# Statistics


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (7, 0), (12, 3), (5, 5), (1, 19)])
def test_yes_no_is_mcnemar_and_bonett_price(gained: int, lost: int) -> None:
    n = 60
    ours, reference = right(n, range(40, 40 + lost)), right(n, range(gained))
    pairs = Pairs(pl.Series(range(n)), ours.astype(float), reference.astype(float), 1)
    tested = yes_no_test(pairs, 0.95)
    p = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert tested.p == pytest.approx(p)
    assert tested.difference == pytest.approx((gained - lost) / n)
    a, b = (gained + 1) / (n + 2), (lost + 1) / (n + 2)
    half = 1.959963985 * np.sqrt((a + b - (a - b) ** 2) / (n + 2))
    assert tested.low == pytest.approx(a - b - half)
    assert tested.high == pytest.approx(a - b + half)


def test_sign_flips_of_real_values_agree_with_all_flips() -> None:
    """Ten examples have 1024 sign patterns; 9999 random ones must come close to their share."""
    rng = np.random.default_rng(1)
    gains = rng.normal(0.4, 1, 10)
    signs = 1 - 2 * ((np.arange(1024)[:, None] >> np.arange(10)) & 1)
    exact = float((np.abs(signs @ gains) >= abs(gains.sum()) - 1e-12).mean())
    tested = means_test(Pairs(pl.Series(range(10)), gains, np.zeros(10), None), 0.95, rng)
    assert tested.p == pytest.approx(exact, abs=0.02)


@pytest.mark.parametrize("n", [40, 6000])
def test_under_the_null_a_twentieth_is_found(n: int) -> None:
    """Both ways of testing means, resampled and by the normal limit."""
    rng = np.random.default_rng(n)
    runs = 120 if n < 1000 else 200
    found = 0
    for _ in range(runs):
        gains = rng.exponential(1.0, n) * rng.choice([-1, 1], n)
        found += means_test(Pairs(pl.Series(range(n)), gains, np.zeros(n), None), 0.95, rng).p <= 0.05
    assert found / runs < 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)


def test_sums_that_tie_count_as_at_least_as_large() -> None:
    """Seven gains of 0.1 and a loss of 0.1: |sum| ≥ 0.6 has probability 18/256, without ties 2/256."""
    gains = np.array([0.1] * 7 + [-0.1])
    tested = means_test(Pairs(pl.Series(range(8)), gains, np.zeros(8), None), 0.95, np.random.default_rng(0))
    assert tested.p == pytest.approx(18 / 256, abs=0.012)


def test_counts_are_tested_exactly() -> None:
    """Shares of four answers are whole quarters: the convolution is exact, without random signs."""
    ours, reference = np.array([0.25, 0.75, 1.0, 0.5, 0.5]), np.array([0.0, 0.0, 0.5, 0.75, 0.5])
    pairs = Pairs(pl.Series(range(5)), ours, reference, 4)
    net = np.array([1, 3, 2, -1])
    signs = 1 - 2 * ((np.arange(16)[:, None] >> np.arange(4)) & 1)
    exact = float((np.abs(signs @ net) >= net.sum()).mean())
    assert means_test(pairs, 0.95, np.random.default_rng(0)).p == pytest.approx(exact)


def test_very_many_counts_are_tested_in_a_moment() -> None:
    """Shares of 75 answers on 20,000 examples: counting all their sums would take hours."""
    rng = np.random.default_rng(0)
    ours, reference = (rng.binomial(75, share, 20_000) / 75 for share in (0.7, 0.7005))
    started = time.process_time()
    tested = means_test(Pairs(pl.Series(range(20_000)), ours, reference, 75), 0.95, rng)
    assert time.process_time() - started < 3
    assert tested.low is not None
    assert tested.high is not None
    assert (tested.p < 0.05) == (not tested.low <= 0 <= tested.high)


@pytest.mark.parametrize(("a", "b"), [(30, 10), (20, 18), (18, 20), (0, 0)])
def test_the_unpaired_p_value_and_interval_say_the_same(a: int, b: int) -> None:
    tested = unpaired_test(a / 100, wilson(a, 100), b / 100, wilson(b, 100), 0.95)
    assert tested.low is not None
    assert tested.high is not None
    assert (tested.p < 0.05) == (not tested.low <= 0 <= tested.high)
    two_sided = unpaired_test(b / 100, wilson(b, 100), a / 100, wilson(a, 100), 0.95)
    assert two_sided.p == pytest.approx(tested.p)


def test_the_p_value_of_two_areas_agrees_with_their_interval() -> None:
    rng = np.random.default_rng(3)
    for shift in (0.0, 0.2, 0.5, 1.0):
        shared_pos, shared_neg = rng.normal(1, 1, 80), rng.normal(0, 1, 90)
        sides = (
            shared_pos + shift + rng.normal(0, 0.5, 80),
            shared_neg + rng.normal(0, 0.5, 90),
            shared_pos,
            shared_neg,
        )
        low, high = paired_auc_difference(*sides)
        assert (paired_auc_p(*sides) < 0.05) == (not low <= 0 <= high)


# What is paired


def test_an_improvement_and_which_examples_it_fixed(home: Home) -> None:
    base = accuracy_run(home, "base", right(100, range(20)))
    ours = accuracy_run(home, "ours", right(100, range(5), range(98, 100)))
    found = compare_runs([base, ours])
    delta = only(found.paired)
    assert (delta.kind, delta.reference, delta.value, delta.n) == ("yes/no", 0.8, 0.93, 100)
    assert delta.difference == pytest.approx(0.13)
    assert (delta.fixed, delta.broken, delta.outcome) == (15, 2, "better")
    assert delta.p == pytest.approx(binomtest(2, 17).pvalue)
    (changed,) = found.changed
    assert changed.fixed == tuple(f"t{i:04d}" for i in range(5, 20))
    assert changed.broken == ("t0098", "t0099")


def test_where_lower_is_better_fewer_are_fixed_examples(home: Home) -> None:
    def run(name: str, wrong: range) -> Run:
        columns = {"wrong": ~right(100, wrong)}
        return make(home, name, columns, [of_column(columns, ACCURACY, "error", "wrong", better="lower")])

    found = compare_runs([run("base", range(30)), run("ours", range(25, 32))])
    delta = only(found.paired)
    assert (delta.kind, delta.outcome, delta.fixed, delta.broken) == ("yes/no", "better", 25, 2)
    assert found.changed[0].broken == ("t0030", "t0031")
    assert len(found.changed[0].fixed) == 25


def test_what_one_test_would_find_many_need_not(home: Home) -> None:
    """Eight gained, one lost: p = 0.039 alone, undecided beside three others."""
    base = accuracy_run(home, "base", right(100, range(20)))
    ours = accuracy_run(home, "ours", right(100, range(12), range(99, 100)))
    assert only(compare_runs([base, ours]).paired).outcome == "better"
    four = compare_runs([base, ours, *[base] * 3]).paired
    assert four[0].p == pytest.approx(binomtest(1, 9).pvalue)
    assert four[0].outcome == "undecided"


def test_robust_accuracy_is_paired_through_its_broken_column(home: Home) -> None:
    def run(name: str, broken: int) -> Run:
        columns = {"e.broken": np.arange(100) < broken}
        return make(
            home, name, columns, [of_column(columns, EVASION, "robust_accuracy", "e.broken", where=PGD)]
        )

    delta = only(compare_runs([run("base", 60), run("ours", 10)]).paired)
    assert (delta.kind, delta.outcome) == ("yes/no", "better")
    assert delta.difference == pytest.approx(0.5)
    assert (delta.fixed, delta.broken) == (50, 0)


def test_means_shares_of_several_columns_and_gains_are_paired(home: Home) -> None:
    rng = np.random.default_rng(0)

    def run(name: str, shift: float) -> Run:
        loss = rng.exponential(1.0, 200) + shift
        views = {f"c{i}.correct": rng.random(200) < 0.7 - shift for i in range(4)}
        random, deletion = rng.random(200), rng.random(200) - shift
        columns = {"loss": loss, **views, "random": random, "deletion": deletion}
        error = 1 - float(np.mean([views[name] for name in views]))
        measurements = [
            of_column(columns, ACCURACY, "log_loss", "loss", unit="nats", better="lower"),
            measured("robustness.corruption", "mean_corruption_error", error, *views, better="lower"),
            measured("x", "gain", float(np.mean(random - deletion)), "random", "deletion"),
        ]
        return make(home, name, columns, measurements)

    found = compare_runs([run("base", 0.0), run("ours", 0.4)])
    kinds = {delta.metric: (delta.kind, delta.outcome) for delta in found.paired}
    assert kinds == {
        "log_loss": ("mean", "worse"),
        "mean_corruption_error": ("mean", "worse"),
        "gain": ("mean", "better"),
    }
    assert found.unpaired == ()


def test_what_is_no_mean_is_unpaired_by_mover(home: Home) -> None:
    def run(name: str, k: int) -> Run:
        low, high = wilson(k, 50)
        gap = measured(
            "fairness.groups",
            "accuracy_difference",
            k / 50,
            "accuracy.correct",
            low=low,
            high=high,
            better="lower",
            where={"attribute": "sex"},
        )
        return make(home, name, {"accuracy.correct": right(100, range(10))}, [gap])

    delta = only(compare_runs([run("base", 20), run("ours", 3)]).unpaired)
    l1, u1 = wilson(3, 50)
    l2, u2 = wilson(20, 50)
    assert delta.kind == "unpaired"
    assert delta.low == pytest.approx(-0.34 - np.hypot(0.06 - l1, u2 - 0.4))
    assert delta.high == pytest.approx(-0.34 + np.hypot(u1 - 0.06, 0.4 - l2))
    assert delta.outcome == "better"


def test_numbers_without_an_interval_are_shown_and_not_judged(home: Home) -> None:
    runs = [
        make(home, name, {"a": right(10)}, [measured("privacy.accounting", "epsilon", value, better="lower")])
        for name, value in (("base", 8.0), ("ours", 2.0))
    ]
    delta = only(compare_runs(runs).unpaired)
    assert (delta.difference, delta.low, delta.p, delta.outcome) == (-6.0, None, None, "unjudged")


def test_membership_areas_are_paired_on_the_same_members(home: Home) -> None:
    rng = np.random.default_rng(0)
    member = np.arange(200) < 100
    scores = {name: rng.normal(0, 1, 200) + shift * member for name, shift in (("base", 0.2), ("ours", 1.5))}

    def run(name: str) -> Run:
        columns = {
            "membership.member": member,
            "membership.loss": -scores[name],
            "membership.loss.score": scores[name],
        }
        area = auc_delong(scores[name][member], scores[name][~member])
        assert area.value is not None
        found = measured(
            "privacy.membership",
            "membership_auc",
            area.value,
            "membership.member",
            "membership.loss.score",
            better="lower",
            low=area.low,
            high=area.high,
            where={"attack": "loss"},
        )
        return make(home, name, columns, [found])

    found = compare_runs([run("base"), run("ours")])
    delta = only(found.paired)
    a, b = ((scores[name][member], scores[name][~member]) for name in ("ours", "base"))
    assert (delta.low, delta.high) == pytest.approx(tuple(paired_auc_difference(*a, *b)))
    assert delta.outcome == "worse"


def test_the_same_quantity_under_two_names_counts_once_and_equal_attacks_twice(home: Home) -> None:
    def run(name: str, wrong: int) -> Run:
        columns = {
            "accuracy.correct": right(100, range(wrong)),
            "e.clean_broken": ~right(100, range(wrong)),
            "e.broken": ~right(100, range(wrong + 5)),
            "f.broken": ~right(100, range(wrong + 5)),
        }
        return make(
            home,
            name,
            columns,
            [
                of_column(columns, ACCURACY, "accuracy", "accuracy.correct"),
                measured(EVASION, "clean_accuracy", 1 - wrong / 100, "e.clean_broken", where=PGD),
                of_column(columns, EVASION, "robust_accuracy", "e.broken", where=PGD),
                of_column(columns, EVASION, "robust_accuracy", "f.broken", where={**PGD, "attack": "fgsm"}),
            ],
        )

    found = compare_runs([run("base", 10), run("ours", 20)])
    assert [delta.metric for delta in found.paired] == ["accuracy", "robust_accuracy", "robust_accuracy"]


# Multiplicity


def test_holm_is_over_all_runs_of_a_table(home: Home) -> None:
    base = accuracy_run(home, "base", right(100, range(20)))
    runs = [accuracy_run(home, f"r{k}", right(100, range(20 - k))) for k in (6, 7, 8)]
    found = compare_runs([base, *runs])
    p = sorted(binomtest(k, k).pvalue for k in (6, 7, 8))
    expected = {8: 3 * p[0], 7: max(3 * p[0], 2 * p[1]), 6: max(3 * p[0], 2 * p[1], p[2])}
    assert [delta.p_holm for delta in found.paired] == pytest.approx([expected[k] for k in (6, 7, 8)])


def test_many_slices_have_a_table_of_their_own(home: Home) -> None:
    def run(name: str) -> Run:
        columns = {f"c{i}.correct": right(50, range(i)) for i in range(8)}
        return make(
            home,
            name,
            columns,
            [
                of_column(
                    columns,
                    "robustness.corruption",
                    "corruption_accuracy",
                    column,
                    where={"corruption": column},
                )
                for column in columns
            ],
        )

    found = compare_runs([run("base"), run("ours")])
    assert (found.paired, len(found.slices), found.changed) == ((), 8, ())


# Groups


def test_a_group_that_pays_for_the_average_is_found(home: Home) -> None:
    """240 of 300 gain, and the 60 of group b lose: better on average, clearly worse for b."""
    group = ["a"] * 240 + ["b"] * 60
    columns = {"group.sex": group}
    base = accuracy_run(home, "base", right(300, range(120)), columns=columns)
    ours = accuracy_run(home, "ours", right(300, range(10), range(240, 270)), columns=columns)
    found = compare_runs([base, ours])
    assert only(found.paired).outcome == "better"
    by_group = {delta.group: delta for delta in found.groups}
    assert by_group["sex", "a"].outcome == "better"
    hurt = by_group["sex", "b"]
    assert (hurt.outcome, hurt.n, hurt.reference, hurt.value) == ("worse", 60, 1.0, 0.5)
    assert (hurt.fixed, hurt.broken) == (0, 30)
    assert hurt.p == pytest.approx(binomtest(0, 30).pvalue)
    assert by_group["sex", "a"].p_holm == pytest.approx(2 * binomtest(0, 110).pvalue)


def test_groups_of_a_few_are_not_shown(home: Home) -> None:
    columns = {"group.sex": ["a"] * 91 + ["b"] * 9}
    runs = [accuracy_run(home, name, right(100, range(5)), columns=columns) for name in ("base", "ours")]
    assert [delta.group for delta in compare_runs(runs).groups] == [("sex", "a")]


# What differs, and what cannot be compared


def test_every_field_of_the_specs_that_differs_is_named(home: Home) -> None:
    spec = {
        "run": {"seed": 0, "device": "cpu"},
        "model": {"name": "m", "recipe": {"epochs": 3}},
        "checks": [
            {
                "use": EVASION,
                "with": {"eps": [0.1], "steps": 10},
                "gate": [{"metric": "robust_accuracy", "min": 0.4}],
            },
            {"use": EVASION, "with": {"eps": [0.2], "steps": 10}, "gate": []},
        ],
        "resolved": {"data_digest": "x", "check_versions": {ACCURACY: 1}},
    }
    other = yaml.safe_load(yaml.safe_dump(spec))
    other["run"]["seed"] = 1
    other["checks"][1]["with"]["steps"] = 40
    other["checks"][0]["gate"][0]["min"] = 0.5
    other["resolved"]["check_versions"][ACCURACY] = 2
    correct = right(50, range(5))
    base = accuracy_run(home, "base", correct, spec=spec, seed=4, code_version="1")
    ours = accuracy_run(home, "ours", correct, spec=other, seed=5, code_version="2", config={"hidden": 64})
    named = {(each.topic, each.key): each.values for each in compare_runs([base, ours]).differences}
    assert named == {
        ("seed", "run.seed"): ("0", "1"),
        ("code", f"version of {ACCURACY}"): ("1", "2"),
        ("code", "trained by raiaudit"): ("1", "2"),
        ("model", "name"): ("base", "ours"),
        ("model", "training seed"): ("4", "5"),
        ("model", "config.hidden"): ("32", "64"),
        ("checks", f"checks[{EVASION}].gate[robust_accuracy].min"): ("0.4", "0.5"),
        ("checks", f"checks[{EVASION} #2].with.steps"): ("10", "40"),
    }


def test_a_run_and_itself_differ_in_nothing(home: Home) -> None:
    run = accuracy_run(home, "base", right(50, range(5)))
    found = compare_runs([run, run])
    assert found.differences == ()
    assert only(found.paired).outcome == "unchanged"
    assert [each.name for each in found.runs] == ["base (1)", "base (2)"]


def test_other_data_other_examples_predictions_and_one_run_are_refused(home: Home) -> None:
    base = accuracy_run(home, "base", right(50, range(5)))
    others = {
        "other data": accuracy_run(home, "data", right(50, range(5)), digest="e" * 64),
        "40 examples": accuracy_run(home, "fewer", right(40, range(5))),
        "file of predictions": accuracy_run(home, "file", right(50, range(5)), architecture="predictions"),
    }
    for words, other in others.items():
        with pytest.raises(NotComparableError, match=words) as caught:
            compare_runs([base, other])
        assert caught.value.exit_code == 2
    with pytest.raises(UsageError, match="two runs"):
        compare_runs([base])


def robust(
    home: Home, name: str, config: dict[str, object], where: dict[str, Any] = PGD, version: int = 1
) -> Run:
    columns = {"e.broken": np.arange(60) < 20}
    found = of_column(columns, EVASION, "robust_accuracy", "e.broken", where=where)
    spec = {"resolved": {"check_versions": {EVASION: version}}}
    return make(home, name, columns, [found], configs={EVASION: config}, spec=spec)


def test_a_weaker_attack_of_the_same_name_is_not_compared(home: Home) -> None:
    config: dict[str, object] = {"norm": "linf", "eps": [0.1], "attack": "pgd", "steps": 40, "shard": 64}
    base = robust(home, "base", config)
    weaker = compare_runs([base, robust(home, "weaker", {**config, "steps": 5})])
    assert weaker.paired == ()
    assert weaker.not_compared[0].metrics == ("robust_accuracy",)
    assert "steps 40 → 5" in weaker.not_compared[0].reason
    harmless = {**config, "eps": [0.1, 0.2], "shard": 8}
    assert len(compare_runs([base, robust(home, "alike", harmless)]).paired) == 1


def test_another_threat_is_named_on_both_sides(home: Home) -> None:
    config: dict[str, object] = {"eps": [0.1]}
    base, ours = robust(home, "base", config), robust(home, "ours", config, {**PGD, "eps": 0.2})
    found = compare_runs([base, ours])
    assert found.paired == ()
    assert [gap.reason for gap in found.not_compared] == [
        "eps = 0.1 only in the reference",
        "eps = 0.2 only in the run",
    ]


def test_another_version_of_a_check_is_not_compared(home: Home) -> None:
    config: dict[str, object] = {"eps": [0.1]}
    found = compare_runs([robust(home, "base", config), robust(home, "ours", config, version=2)])
    assert found.paired == ()
    assert "version" in found.not_compared[0].reason


def test_a_check_that_saw_other_examples_is_not_paired(home: Home) -> None:
    def run(name: str, skipped: int) -> Run:
        values = [None if i == skipped else i < 20 for i in range(60)]
        kept = [value for value in values if value is not None]
        found = measured(EVASION, "robust_accuracy", 1 - sum(kept) / 59, "e.broken", where=PGD, n=59)
        return make(home, name, {"e.broken": values}, [found])

    found = compare_runs([run("base", 30), run("ours", 31)])
    assert found.paired == ()
    assert "others" in found.not_compared[0].reason


# Names


def test_runs_are_named_by_id_beginning_suite_and_latest(home: Home) -> None:
    for name, suite, started in (
        ("old-a", "one-aaaaaaaaaa", "1"),
        ("new-b", "two-bbbbbbbbbb", "3"),
        ("new-a", "two-bbbbbbbbbb", "2"),
    ):
        accuracy_run(home, name, right(20), suite=suite, started=started)
    accuracy_run(home, "new-c", right(20), suite="two-bbbbbbbbbb", started="4", status="failed")

    def ids(*names: str) -> list[str]:
        return [run.id for run in named_runs(home, names)]

    assert ids("old-a", "new-b") == ["old-a", "new-b"]
    assert ids("old") == ["old-a"]
    assert ids("two-bbbbbbbbbb") == ids("two") == ids("latest") == ["new-a", "new-b"]
    assert ids("new-b", "latest") == ["new-b", "new-a"]
    assert ids("old-a", "old-a") == ["old-a", "old-a"]
    with pytest.raises(UnknownNameError, match="nobody"):
        ids("nobody")


def test_a_comparison_is_json_and_back(home: Home) -> None:
    runs = [accuracy_run(home, name, right(50, range(k))) for name, k in (("base", 5), ("ours", 9))]
    found = compare_runs(runs)
    assert Comparison.model_validate_json(found.model_dump_json()) == found
    assert isinstance(Interval(0, 1), tuple)
