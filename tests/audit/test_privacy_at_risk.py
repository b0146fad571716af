"""Planted risk is found where it was planted, none where there is none, and a planted onion peels."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import false_discovery_control, kstest

from raiaudit.attacks.spaces import Column, TableSchema
from raiaudit.audit.ledger import Ledger
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.privacy.inference.membership_summary import membership_scores
from raiaudit.audit.privacy.inference.rates import smallest_fpr, threshold_at_fpr
from raiaudit.audit.privacy.risk.at_risk import AtRisk, AtRiskConfig
from raiaudit.audit.privacy.risk.exposed_examples import exposed_examples
from raiaudit.audit.privacy.risk.onion import newly_exposed, onion_measurements, onion_tasks
from raiaudit.audit.privacy.risk.risk_by_group import auc_gap_p_value
from raiaudit.audit.statistics.intervals import clopper_pearson
from raiaudit.audit.statistics.multiplicity import benjamini_hochberg
from raiaudit.models.data.dataset import Dataset, Split

if TYPE_CHECKING:
    from pathlib import Path

    from raiaudit.audit.subject import Subject

MEMBERS = 600


class Planted:
    """A ledger of whatever columns a test plants."""

    def __init__(self, folder: Path) -> None:
        self.ledger = Ledger(folder)
        self.ids = [f"row{i:04d}" for i in range(2 * MEMBERS)]

    def put(self, name: str, **columns: Any) -> None:
        from raiaudit.audit.check import Task

        frame = pl.DataFrame(
            {"example_id": self.ids, **{k.replace("__", "."): v for k, v in columns.items()}}
        )
        self.ledger.append(Task(check="privacy.membership", name=name), "0" * 64, frame)


@pytest.fixture
def planted(tmp_path: Path) -> Planted:
    return Planted(tmp_path)


@pytest.fixture
def subject(make_subject: Any) -> Subject:
    """Labels are the last digit of the row."""
    rows = Split(
        pl.Series([f"row{i:04d}" for i in range(MEMBERS)]),
        np.zeros((MEMBERS, 1), dtype=np.float32),
        np.arange(MEMBERS) % 2,
    )
    schema = TableSchema((Column("c", "real", -1, 1),))
    dataset = Dataset(
        "planted", "tabular", ("even", "odd"), schema, {"train": rows, "test": rows}, digest="0"
    )
    made: Subject = make_subject(SimpleNamespace(knowledge="white"), dataset)
    return made


def plant(planted: Planted, shift: dict[str, float], *, second: bool = False) -> None:
    """φ is normal; of members of a group it is shifted. A second group column is drawn by lot."""
    rng = np.random.default_rng(5)
    member = np.arange(2 * MEMBERS) < MEMBERS
    groups = np.array(list(shift))[np.arange(2 * MEMBERS) % len(shift)]
    phi = rng.normal(size=2 * MEMBERS) + member * np.array([shift[group] for group in groups])
    columns = {"membership__group__where": groups.tolist()}
    if second:
        columns["membership__group__lot"] = rng.choice(["x", "y"], size=2 * MEMBERS).tolist()
    planted.put(
        "target",
        membership__member=member,
        membership__phi=phi.astype(np.float32),
        membership__loss__score=-np.logaddexp(0, -phi),
        **columns,
    )


def measured(ledger: Ledger, subject: Subject, **options: Any) -> dict[str, Measurement]:
    return {m.label(): m for m in AtRisk().summarise(ledger, subject, AtRiskConfig(**options))}


def test_a_group_whose_members_stand_out_is_found(planted: Planted, subject: Subject) -> None:
    plant(planted, {"safe": 0.0, "seen": 2.0}, second=True)
    found = measured(planted.ledger, subject)
    at = "attack=loss, fpr=0.1"
    safe, seen = (found[f"group_tpr (attribute=where, group={g}, {at})"] for g in ("safe", "seen"))
    # Of N(0,1) a tenth lies above its 90 % quantile 1.28, of N(2,1) 76 %.
    assert safe.low is not None
    assert seen.low is not None
    assert safe.low < 0.1 < (safe.high or 0)
    assert seen.low < 0.764 < (seen.high or 0)
    for group in ("safe", "seen"):  # non-members are alike
        fpr = found[f"group_fpr (attribute=where, group={group}, {at})"]
        assert fpr.low is not None
        assert fpr.low < 0.1 < (fpr.high or 0)
        assert 0 < fpr.n < MEMBERS / 2  # only those that did not set the threshold
    gap = found[f"group_tpr_difference (attribute=where, {at})"]
    assert (gap.low or 0) > 0.5
    assert gap.reason == "highest seen, lowest safe"
    for test in (f"group_tpr_p_value (attribute=%s, {at})", "group_auc_p_value (attribute=%s, attack=loss)"):
        p, lot = found[test % "where"], found[test % "lot"]
        assert p.value == pytest.approx(2 / 2000)  # the smallest there is, doubled for two columns
        assert "adjusted for 2 group columns" in (p.reason or "")
        assert (lot.value or 0) > 0.01


def test_a_group_too_small_says_which_pool_would_do(planted: Planted, subject: Subject) -> None:
    plant(planted, {"a": 0.0, "b": 0.0, "c": 0.0})  # 200 members each
    found = measured(planted.ledger, subject, min_group=250)
    tpr = found["group_tpr (attribute=where, group=a, attack=loss, fpr=0.1)"]
    assert tpr.value is None
    assert tpr.low is None
    assert tpr.reason == "200 members of the pool's 600, 250 are needed: a pool of about 750"
    for test in (
        "group_tpr_p_value (attribute=where, attack=loss, fpr=0.1)",
        "group_auc_p_value (attribute=where, attack=loss)",
    ):
        assert found[test].value is None
        assert "fewer than two groups" in (found[test].reason or "")


def test_what_cannot_be_known_says_why(planted: Planted, subject: Subject) -> None:
    planted.put("other", else__where=[0] * 2 * MEMBERS)
    (nothing,) = measured(planted.ledger, subject).values()
    assert "use: privacy.membership" in (nothing.reason or "")
    assert AtRisk().evidence(planted.ledger, subject, AtRiskConfig()) == {}
    plant(planted, {"a": 0.0, "b": 0.0})
    (fine,) = measured(planted.ledger, subject, fpr=0.001).values()
    assert "a pool of 20000 non-members" in (fine.reason or "")
    onion = measured(planted.ledger, subject, onion=0.1)["onion_effect (attack=loss, fpr=0.1, share=0.1)"]
    assert "not known" in (onion.reason or "")
    assert AtRisk().follow_up(planted.ledger, subject, AtRiskConfig(onion=0.1)) == []


def test_the_permutation_test_of_the_auc_is_uniform_under_the_null() -> None:
    """Groups of unequal size and ties among the scores; 120 null data sets."""
    rng = np.random.default_rng(0)
    p_values = []
    for _ in range(120):
        groups = [
            (rng.normal(1, 1, n).round(1), rng.normal(0, 1, m).round(1)) for n, m in ((15, 40), (40, 25))
        ]
        p_values.append(auc_gap_p_value(groups, rng=rng, draws=99))
    assert kstest(p_values, "uniform").pvalue > 0.01
    assert np.mean(np.array(p_values) <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 120)


def test_the_permutation_test_of_the_auc_agrees_with_all_permutations() -> None:
    """Two groups of two members and two non-members: 6 × 6 ways to deal them out."""
    from itertools import combinations

    inside, outside = np.array([3.0, 2.5, 1.0, 0.5]), np.array([2.7, 0.7, 0.2, 0.1])

    def gap(a: tuple[int, ...], b: tuple[int, ...]) -> float:
        areas = []
        for mine, theirs in ((set(a), set(b)), ({0, 1, 2, 3} - set(a), {0, 1, 2, 3} - set(b))):
            pairs = [(inside[i], outside[j]) for i in mine for j in theirs]
            areas.append(float(np.mean([(x > y) + 0.5 * (x == y) for x, y in pairs])))
        return abs(areas[0] - areas[1])

    seen = gap((0, 1), (2, 3))
    ways = [gap(a, b) for a in combinations(range(4), 2) for b in combinations(range(4), 2)]
    exact = np.mean([way >= seen - 1e-12 for way in ways])
    groups = [(inside[:2], outside[2:]), (inside[2:], outside[:2])]
    p = auc_gap_p_value(groups, rng=np.random.default_rng(0), draws=4000)
    assert p == pytest.approx(exact, abs=0.03)


def test_the_adjusted_p_values_are_those_of_scipy() -> None:
    p_values = [0.01, None, 0.04, 0.03, 0.2, 0.04]
    adjusted = benjamini_hochberg(p_values)
    assert adjusted[1] is None
    expected = false_discovery_control([p for p in p_values if p is not None])
    assert [p for p in adjusted if p is not None] == pytest.approx(expected)


def test_the_threshold_is_set_by_one_half_and_judged_by_the_other() -> None:
    scores = np.random.default_rng(1).normal(size=1000)
    found, why = threshold_at_fpr(scores, 0.02, np.random.default_rng(0))
    assert found is not None, why
    setters = np.setdiff1d(np.arange(1000), found.judges)
    assert len(setters) == 500
    assert (scores[setters] > found.value).sum() == 10
    assert smallest_fpr(1000) == 0.02
    assert smallest_fpr(20) is None
    assert threshold_at_fpr(scores, 0.019, np.random.default_rng(0))[0] is None


def with_shadows(planted: Planted, phi_N: np.ndarray[Any, Any], shadows: int = 8) -> np.ndarray[Any, Any]:
    """Shadows that saw a row are 3 surer of it, but for noise of 0.5; half of them saw each row."""
    rng = np.random.default_rng(7)
    rows = len(phi_N)
    keep_MN = rng.permuted(np.tile((np.arange(shadows) < shadows // 2)[:, None], (1, rows)), axis=0)
    phi_MN = 3.0 * keep_MN + rng.normal(0, 0.5, size=(shadows, rows))
    for index in range(shadows):
        at = f"membership__shadow__{index:02d}"
        planted.put(
            f"shadow-{index}",
            **{f"{at}__phi": phi_MN[index].astype(np.float32), f"{at}__keep": keep_MN[index]},
        )
    planted.put(
        "target", membership__member=np.arange(rows) < MEMBERS, membership__phi=phi_N.astype(np.float32)
    )
    return keep_MN


def test_the_most_exposed_are_those_that_were_planted(planted: Planted, subject: Subject) -> None:
    phi_N = np.random.default_rng(3).normal(0, 0.5, size=2 * MEMBERS)
    told = [17, 4, 301]
    phi_N[told] = [6.0, 5.0, 4.0]
    with_shadows(planted, phi_N)
    table = AtRisk().evidence(planted.ledger, subject, AtRiskConfig(exposed=3))["exposed"]
    assert table["example_id"].to_list() == ["row0017", "row0004", "row0301"]
    assert table["rank"].to_list() == [1, 2, 3]
    assert table["fpr"].to_list() == [0.0] * 3
    assert table["fpr_high"][0] == pytest.approx(clopper_pearson(0, MEMBERS).high)
    assert (table["posterior"] > 0.99).all()
    assert (table["reaching_out"] == 0).all()
    assert table["shadows_in"].to_list() == table["shadows_out"].to_list() == [4, 4, 4]
    assert table["mean_in"].to_numpy() == pytest.approx(3, abs=1)
    assert table["mean_out"].to_numpy() == pytest.approx(0, abs=1)
    assert not {"label", "input", "labels"} & set(table.columns)
    labelled = AtRisk().evidence(planted.ledger, subject, AtRiskConfig(exposed=2, show="labels"))["exposed"]
    assert labelled["label"].to_list() == ["odd", "even"]


def test_the_rank_of_a_member_is_the_share_of_non_members_above_it(planted: Planted) -> None:
    plant(planted, {"a": 0.0})
    scores = membership_scores(planted.ledger)
    table = exposed_examples(planted.ledger, "loss", scores, MEMBERS)
    outside = scores.filter(~pl.col("member"))["score"].to_numpy()
    for score, fpr in table.select("score", "fpr").gather_every(50).iter_rows():
        assert fpr == pytest.approx((outside >= score).mean())


def test_a_planted_onion_peels(planted: Planted) -> None:
    """60 of the members are sheltered by the 60 most exposed: without those, their φ rises above all."""
    rng = np.random.default_rng(2)
    phi_N = rng.normal(0, 0.5, size=2 * MEMBERS)
    phi_N[:60] = 6.0
    with_shadows(planted, phi_N)
    scores = membership_scores(planted.ledger)
    tasks = {task.name: task for task in onion_tasks("privacy.at_risk", 1, "lira", scores, 0.1, seed=0)}
    exposed, random = (set(tasks[f"onion-{name}"].params["removed"]) for name in ("exposed", "random"))
    assert exposed == set(planted.ids[:60])
    assert len(random) == 60
    assert random != exposed
    for name, removed, sheltered in (("exposed", exposed, 5.0), ("random", random, 0.0)):
        again_N = phi_N + rng.normal(0, 0.1, size=2 * MEMBERS)
        again_N[60:120] += sheltered
        columns: dict[str, Any] = {f"at_risk__onion__{name}__phi": again_N.astype(np.float32)}
        columns[f"at_risk__onion__{name}__removed"] = np.isin(planted.ids, list(removed))
        planted.put(f"onion-{name}", **columns)
    limit = float(np.quantile(scores.filter(~pl.col("member"))["score"].to_numpy(), 0.9))
    rows = newly_exposed(planted.ledger, "lira", scores, limit)
    below = set(scores.filter(pl.col("member") & (pl.col("score") <= limit))["example_id"])
    assert set(rows["example_id"]) == below - exposed - random
    sheltered_ids = set(planted.ids[60:120]) & set(rows["example_id"])
    assert sheltered_ids <= set(rows.filter("exposed")["example_id"])
    found = {m.label(): m for m in onion_measurements(rows, check="c", confidence=0.95, where={})}
    effect = found["onion_effect"]
    share = len(sheltered_ids) / rows.height
    assert effect.low is not None
    assert effect.low < share < (effect.high or 0)
    assert (found["onion_effect_p_value"].value or 1) < 1e-6
    assert found["newly_exposed (removed=random)"].value == pytest.approx(rows["random"].mean())


def test_an_onion_without_layers_shows_no_effect() -> None:
    """Both trainings move members up alike: what one exposes, the other might have."""
    rng = np.random.default_rng(0)
    p_values = []
    for _ in range(200):
        rows = pl.DataFrame({"exposed": rng.random(150) < 0.1, "random": rng.random(150) < 0.1})
        *_, p = onion_measurements(rows, check="c", confidence=0.95, where={})
        p_values.append(p.value or 0)
    assert np.mean(np.array(p_values) <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


SPEC = """\
data: {name: digits}
model:
  name: tiny
  recipe: {architecture: mlp, options: {hidden: 16}, epochs: 2, train_limit: 240, batch_size: 40}
run: {seed: 3, device: cpu}
checks:
  - use: privacy.at_risk
    with: {onion: 0.2, permutations: 99}
  - use: privacy.membership
    with: {attack: loss, pool: 240, population: 0}
"""


def test_the_onion_follows_membership_and_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its tasks are planned once membership has run; a lost one alone is done again."""
    from raiaudit.audit.runner import run_suite
    from raiaudit.audit.spec import load_spec
    from raiaudit.audit.store import Home

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    path = tmp_path / "onion.yaml"
    path.write_text(SPEC)

    def done() -> tuple[Any, list[str], list[str]]:
        events: list[dict[str, Any]] = []
        home = Home.at(tmp_path / "home")
        (run,) = run_suite(load_spec(path), home, listener=events.append, documents=lambda _: None)
        tasks = [event["task"] for event in events if event["event"] == "task_finished"]
        return run, tasks, [event["text"] for event in events if event["event"] == "note"]

    run, tasks, _ = done()
    assert tasks == ["target", "onion-exposed", "onion-random"]
    found = {m.metric: m for m in run.results.measurements}
    effect = found["onion_effect"]
    assert effect.low is not None
    assert effect.low <= (effect.value or 0) <= (effect.high or 0)
    assert next(c.tasks for c in run.results.checks if c.check == "privacy.at_risk") == 2
    removed = run.ledger.scan("at_risk.onion.exposed.removed").collect()["at_risk.onion.exposed.removed"]
    assert removed.sum() == 48  # a fifth of 240
    exposed = run.evidence("privacy.at_risk", "exposed")
    assert exposed is not None
    assert set(exposed["example_id"]) <= set(removed_ids(run))
    for shard in list(run.ledger.shards()):
        if shard.task in ("target", "onion-random"):
            shard.path.unlink()
    _, tasks, notes = done()
    assert tasks == ["target", "onion-random"]  # the same are exposed, so what followed from them still holds
    assert not [note for note in notes if "removing" in note]


def removed_ids(run: Any) -> list[str]:
    column = "at_risk.onion.exposed.removed"
    ids: list[str] = run.ledger.scan(column).filter(pl.col(column)).collect()["example_id"].to_list()
    return ids


def test_a_large_group_that_stands_out_is_found_beside_small_ones(planted: Planted, subject: Subject) -> None:
    """A large group that stands out is found beside ten small ones that do not."""
    rng = np.random.default_rng(9)
    member = np.arange(2 * MEMBERS) < MEMBERS
    groups = np.where(rng.random(2 * MEMBERS) < 0.2, rng.integers(1, 6, 2 * MEMBERS), 0)
    groups[rng.random(2 * MEMBERS) < 0.4] = 9
    phi = rng.normal(size=2 * MEMBERS) + 0.9 * (member & (groups == 9))
    planted.put(
        "target",
        membership__member=member,
        membership__phi=phi.astype(np.float32),
        membership__loss__score=-np.logaddexp(0, -phi),
        membership__group__of=[f"g{group}" for group in groups],
    )
    found = measured(planted.ledger, subject)
    for test in (
        "group_tpr_p_value (attribute=of, attack=loss, fpr=0.1)",
        "group_auc_p_value (attribute=of, attack=loss)",
    ):
        assert (found[test].value or 1) < 0.01
