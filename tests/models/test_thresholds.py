"""Thresholds by group and for all, against every choice there is, and against fairlearn's randomised ones."""

from __future__ import annotations

import itertools
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from raiaudit.models.recipe import Criterion
from raiaudit.models.training.thresholds import Cuts, disparities, least_disparity, within_bound

CRITERIA: tuple[Criterion, ...] = get_args(Criterion)
Part = tuple[NDArray[np.float64], NDArray[np.bool_]]


def people(seed: int, sizes: tuple[int, ...], *, ties: bool) -> list[Part]:
    """Scores and truth by group; later groups score lower."""
    rng = np.random.default_rng(seed)
    parts = []
    for place, n in enumerate(sizes):
        truth = rng.random(n) < 0.5 - 0.1 * place
        score = rng.normal(truth * 1.2 - 0.5 * place, 1.0)
        parts.append((np.round(score) if ties else score, truth))
    return parts


def rates(selected: NDArray[np.bool_], truth: NDArray[np.bool_], criterion: Criterion) -> list[float]:
    """By definition; a condition that nobody meets has rate 0."""

    def share(condition: NDArray[np.bool_]) -> float:
        return float(selected[condition].mean()) if condition.any() else 0.0

    return {
        "demographic_parity": [share(np.ones(len(truth), dtype=bool))],
        "equal_opportunity": [share(truth)],
        "equalized_odds": [share(truth), share(~truth)],
    }[criterion]


def judged(parts: list[Part], thresholds: tuple[float, ...], criterion: Criterion) -> tuple[int, float]:
    """Examples that are right, and the widest gap of any rate."""
    chosen = [score > cut for (score, _), cut in zip(parts, thresholds, strict=True)]
    right = sum(int((pick == truth).sum()) for pick, (_, truth) in zip(chosen, parts, strict=True))
    by_group = [rates(pick, truth, criterion) for pick, (_, truth) in zip(chosen, parts, strict=True)]
    return right, max(float(np.ptp(same)) for same in zip(*by_group, strict=True))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize(("sizes", "bound"), [((9, 12), 0.1), ((6, 5, 6), 0.25), ((10, 5), 0.0)])
def test_no_other_choice_within_the_bound_is_right_more_often(
    criterion: Criterion, sizes: tuple[int, ...], bound: float, ties: bool
) -> None:
    for seed in range(3):
        parts = people(seed, sizes, ties=ties)
        cuts = [Cuts.of(*part, criterion) for part in parts]
        every = itertools.product(*(own.threshold_T.tolist() for own in cuts))
        best = max(
            right for t in every for right, gap in [judged(parts, t, criterion)] if gap <= bound + 1e-9
        )
        places = within_bound(cuts, criterion, bound)
        taken = tuple(float(own.threshold_T[k]) for own, k in zip(cuts, places, strict=True))
        right, gap = judged(parts, taken, criterion)
        assert gap <= bound + 1e-9
        assert right == best


@pytest.mark.parametrize("criterion", CRITERIA)
def test_the_shared_threshold_is_the_least_apart_within_the_budget(criterion: Criterion) -> None:
    for seed in range(3):
        parts = people(seed, (15, 11, 9), ties=seed % 2 == 1)
        score, truth = (np.concatenate(column) for column in zip(*parts, strict=True))
        everybody = Cuts.of(score, truth, criterion)
        cuts = [Cuts.at(*part, everybody.threshold_T) for part in parts]
        fewest = 22
        place = least_disparity(cuts, criterion, fewest)
        options = [judged(parts, (t,) * 3, criterion) for t in everybody.threshold_T.tolist()]
        np.testing.assert_allclose(disparities(cuts, criterion), [gap for _, gap in options])
        allowed = [(gap, -right) for right, gap in options if right >= fewest]
        right, gap = options[place]
        assert (gap, -right) == min(allowed)


@pytest.mark.parametrize("criterion", ["demographic_parity", "equal_opportunity"])
def test_beside_fairlearns_randomised_thresholds(criterion: Criterion) -> None:
    """What chance adds (the convex hull of the ROC curves) is worth half a point at most; the bound holds."""
    postprocessing = pytest.importorskip("fairlearn.postprocessing")
    linear_model = pytest.importorskip("sklearn.linear_model")
    names = {"demographic_parity": "demographic_parity", "equal_opportunity": "true_positive_rate_parity"}
    parts = people(3, (1500, 900), ties=False)
    score, truth = (np.concatenate(column) for column in zip(*parts, strict=True))
    group = np.repeat([0, 1], [1500, 900])

    theirs = postprocessing.ThresholdOptimizer(
        estimator=linear_model.LogisticRegression(),  # of the score alone: it keeps the order
        constraints=names[criterion],
        objective="accuracy_score",
        predict_method="decision_function",
    )
    theirs.fit(score[:, None], truth.astype(int), sensitive_features=group)
    chance = theirs._pmf_predict(score[:, None], sensitive_features=group)[:, 1]
    expected = float(np.where(truth, chance, 1 - chance).mean())
    cuts = [Cuts.of(*part, criterion) for part in parts]
    places = within_bound(cuts, criterion, 0.002)
    taken = tuple(float(own.threshold_T[k]) for own, k in zip(cuts, places, strict=True))
    right, gap = judged(parts, taken, criterion)
    assert gap <= 0.002 + 1e-9
    assert right / len(truth) > expected - 0.005


def test_many_scores_are_cut_at_a_thousand_places_by_rank() -> None:
    rng = np.random.default_rng(0)
    score, truth = rng.normal(size=20_000), rng.random(20_000) < 0.3
    cuts = Cuts.of(score, truth, "equalized_odds")
    assert len(cuts.threshold_T) == 1024
    assert (cuts.true_T[0], cuts.true_T[-1], cuts.false_T[-1]) == (0, truth.sum(), (~truth).sum())
    assert np.abs(np.diff(cuts.true_T + cuts.false_T) - 20_000 / 1023).max() <= 1
