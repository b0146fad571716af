"""Generalized entropy of benefits: person by person, decomposed, and the coverage of its intervals."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from raiaudit.audit.fairness.by_group.attribute import reporter
from raiaudit.audit.fairness.by_group.benefits import benefit_inequality, inequality
from raiaudit.audit.fairness.by_group.metrics import Confusion
from raiaudit.audit.fairness.counting.tally import Tally
from raiaudit.audit.measurement import Measurement


def _entropies(benefit: np.ndarray) -> tuple[float, float]:
    """GE(2) and Theil's, of people (Speicher et al., equation 2)."""
    x = benefit / benefit.mean()
    logs = np.log(np.where(x > 0, x, 1.0))
    return float(((x**2 - 1) / 2).mean()), float((x * logs).mean())


def _rows(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    group, label = rng.integers(3, size=n), rng.integers(2, size=n)
    return group, label, np.where(rng.random(n) < 0.7 + 0.1 * group, label, 1 - label)


def _tally(group: np.ndarray, label: np.ndarray, predicted: np.ndarray) -> Tally:
    rows = pl.DataFrame({"g": group, "label": label, "predicted": predicted})
    return Tally.of(rows, attributes=["g"], classes=("no", "yes"), positive=1)


def _measured(tally: Tally) -> dict[str, Measurement]:
    report = reporter(tally, "g", check="c", confidence=0.95, seed=0, permutations=99)
    return {m.metric: m for m in benefit_inequality(report, tally.sample("g"), 1)}


def test_it_is_that_of_the_people_and_decomposes() -> None:
    group, label, predicted = _rows(300)
    benefit = predicted - label + 1
    found = inequality(Confusion.of(_tally(group, label, predicted).cells("g").counts, 1))
    assert (found.generalized_entropy, found.theil_index) == pytest.approx(_entropies(benefit))
    means = np.array([benefit[group == g].mean() for g in range(3)])
    between = _entropies(means[group])
    assert (found.generalized_entropy_between, found.theil_index_between) == pytest.approx(between)
    # What is left is within groups: Σ share · (μ_g/μ)^α · GE_g.
    within = [0.0, 0.0]
    for g in range(3):
        mine = benefit[group == g]
        share, ratio = len(mine) / 300, mine.mean() / benefit.mean()
        for index, power in ((0, 2), (1, 1)):
            within[index] += share * ratio**power * _entropies(mine)[index]
    assert within[0] + between[0] == pytest.approx(float(found.generalized_entropy))
    assert within[1] + between[1] == pytest.approx(float(found.theil_index))


@pytest.mark.parametrize("accuracy", [(0.8, 0.8), (0.9, 0.6)])
def test_intervals_cover_also_where_groups_are_alike(accuracy: tuple[float, float]) -> None:
    """Benefits of two groups: false positives and negatives by halves in one, all negatives in the other."""
    rng, runs = np.random.default_rng(1), 120
    share = np.array([0.7, 0.3])
    errors = 1 - np.array(accuracy)
    low = errors * np.array([0.5, 0.5 if accuracy[0] == accuracy[1] else 1.0])
    chances = np.stack([low, np.array(accuracy), errors - low], axis=1) * share[:, None]
    true = inequality(
        Confusion(tp=chances[:, 1] / 2, fp=chances[:, 2], fn=chances[:, 0], tn=chances[:, 1] / 2)
    )
    covered = dict.fromkeys(true._fields[:4], 0)
    for _ in range(runs):
        group, benefit = np.unravel_index(rng.choice(6, 400, p=chances.ravel()), (2, 3))
        label = np.where(benefit == 1, rng.integers(2, size=400), benefit == 0).astype(int)
        measured = _measured(_tally(group, label, benefit + label - 1))
        for name in covered:
            m = measured[name]
            assert m.low is not None
            assert m.high is not None
            covered[name] += m.low - 1e-12 <= float(getattr(true, name)) <= m.high
    for name, count in covered.items():
        assert count / runs >= 0.9, name
    assert covered["generalized_entropy"] < runs


def test_nobody_with_a_benefit_is_undefined() -> None:
    n = 40
    tally = _tally(np.arange(n) % 2, np.ones(n, dtype=int), np.zeros(n, dtype=int))
    measured = _measured(tally)
    assert {m.value for m in measured.values()} == {None}
    assert "all predictions are false negatives" in (measured["theil_index"].reason or "")
