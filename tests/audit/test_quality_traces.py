"""The perturbation trace and its metrics against enumeration, closed forms and maps whose worth is known."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest
import torch
from torch import Tensor

from raiaudit.audit.explanations.methods.views import View
from raiaudit.audit.explanations.quality.concentration import complexity, sparseness
from raiaudit.audit.explanations.quality.infidelity import infidelity, patch_effects, patches
from raiaudit.audit.explanations.quality.localisation import pointing_game, relevance_mass, relevance_rank
from raiaudit.audit.explanations.quality.perturbation import area, ranking, trace
from raiaudit.audit.explanations.quality.sensitivity import max_sensitivity
from raiaudit.audit.explanations.quality.trace_metrics import (
    TRACE_METRICS,
    aopc,
    comprehensiveness,
    deletion_auc,
    insertion_auc,
    monotonicity,
    pixel_flipping,
    sufficiency,
)
from raiaudit.audit.explanations.quality.traces import Trace, perturb


def rngs(n: int, seed: int = 1) -> list[np.random.Generator]:
    return [np.random.default_rng([seed, row]) for row in range(n)]


def view_over(score: Callable[[Tensor], Tensor], x: Tensor, present: Tensor | None = None) -> View:
    """A view of rows whose logits are (0, score)."""

    def logits(points: Tensor, _rows: Tensor) -> Tensor:
        score_R = score(points.flatten(1))
        return torch.stack([torch.zeros_like(score_R), score_R], dim=1)

    return View(
        x=x,
        baseline=torch.zeros_like(x),
        feature_E=torch.arange(x[0].numel()),
        present_BF=torch.ones(x.flatten(1).shape, dtype=torch.bool) if present is None else present,
        logits=logits,
        names=None,
    )


def sigmoid(values: object) -> np.ndarray:
    return 1 / (1 + np.exp(-np.asarray(values, dtype=np.float64)))


WEIGHT = torch.tensor([2.0, -1.0, 0.5, 1.0])


def linear_trace(rank: list[int]) -> Trace:
    x = torch.ones(1, 4, dtype=torch.float64)
    view = view_over(lambda flat: flat @ WEIGHT.double(), x)
    return perturb(view, [np.array([rank])], torch.ones(1, dtype=torch.int64), levels=4)[0]


def test_a_linear_model_is_traced_as_written_out() -> None:
    """Ranks 0, 3, 2, 1: features go in the order 0, 3, 2, 1 (weights 2, 1, ½, −1)."""
    found = linear_trace([0, 3, 2, 1])
    most = np.array([2.5, 0.5, -0.5, -1.0, 0.0])
    least = np.array([2.5, 3.5, 3.0, 2.0, 0.0])
    np.testing.assert_allclose(found.most_BT[0], sigmoid(most))
    np.testing.assert_allclose(found.least_BT[0], sigmoid(least))
    np.testing.assert_allclose(found.logit_BT[0], most)
    assert found.moved_BT.tolist() == [[0, 1, 2, 3, 4]]
    p, q = sigmoid(most), sigmoid(least)
    assert deletion_auc(found)[0] == pytest.approx((p[0] / 2 + p[1] + p[2] + p[3] + p[4] / 2) / 4)
    assert insertion_auc(found)[0] == pytest.approx((q[0] / 2 + q[1] + q[2] + q[3] + q[4] / 2) / 4)
    assert aopc(found)[0] == pytest.approx(p[0] - p.mean())
    assert pixel_flipping(found)[0] == pytest.approx(2.5 - most.mean())
    assert monotonicity(found)[0] == pytest.approx(3 / 4)  # the last step takes away −1 and raises p


def test_comprehensiveness_and_sufficiency_at_erasers_shares() -> None:
    """Twenty features of weight 1 … 20, most relevant first: what is left is a sum of integers."""
    x = torch.ones(1, 20, dtype=torch.float64)
    weight = torch.arange(20, 0, -1, dtype=torch.float64) / 30
    view = view_over(lambda flat: flat @ weight, x)
    found = perturb(view, [np.arange(20)[None]], torch.ones(1, dtype=torch.int64), levels=20)[0]
    p = sigmoid(7.0)
    top = np.array([20, 39, 74, 155]) / 30  # the first 1, 2, 4 and 10 weights
    assert comprehensiveness(found)[0] == pytest.approx(np.mean(p - sigmoid(7.0 - top)))
    assert sufficiency(found)[0] == pytest.approx(np.mean(p - sigmoid(top)))
    assert monotonicity(found)[0] == 1


def test_the_best_of_all_rankings_is_the_one_by_weight() -> None:
    """All 24 orders of an additive model: no other has a smaller deletion area or a larger insertion area."""
    areas = {}
    for rank in permutations(range(4)):
        found = linear_trace(list(rank))
        areas[rank] = (deletion_auc(found)[0], -insertion_auc(found)[0], -aopc(found)[0])
    best = tuple(np.argsort(np.argsort(-WEIGHT.numpy())).tolist())
    for metric in range(3):
        assert min(areas, key=lambda rank: areas[rank][metric]) == best


def test_the_trace_is_the_one_of_two_separate_walks() -> None:
    """One trace of two rankings, with padding, against deletion and insertion walked by `trace`."""
    torch.manual_seed(0)
    x, present = torch.randn(5, 9), torch.rand(5, 9) > 0.3
    layer = torch.nn.Linear(9, 1)
    view = view_over(lambda flat: torch.tanh(layer(flat))[:, 0] * 3, x, present)
    target_B = torch.tensor([1, 0, 1, 0, 1])
    ranks = [ranking(np.random.default_rng(i).random((5, 9)), present.numpy(), rngs(5)) for i in range(2)]
    for found, rank_BF in zip(perturb(view, ranks, target_B, levels=6, chunk=4), ranks, strict=True):
        deletion = trace(view, rank_BF, target_B, levels=6)
        insertion = trace(view, rank_BF, target_B, levels=6, insert=True)
        np.testing.assert_allclose(found.most_BT, deletion, atol=1e-6)
        np.testing.assert_allclose(insertion_auc(found), area(insertion), atol=1e-6)


def test_steps_that_remove_nothing_do_not_count() -> None:
    """Two features on twenty levels: two steps are real. No feature at all: undefined."""
    view = view_over(lambda flat: flat @ torch.tensor([1.0, -1.0]), torch.ones(1, 2))
    found = perturb(view, [np.array([[0, 1]])], torch.ones(1, dtype=torch.int64), levels=20)[0]
    assert monotonicity(found)[0] == 0.5
    empty = view_over(lambda flat: flat.sum(1), torch.ones(1, 2), torch.zeros(1, 2, dtype=torch.bool))
    found = perturb(empty, [np.array([[0, 1]])], torch.ones(1, dtype=torch.int64), levels=20)[0]
    assert np.isnan(monotonicity(found)[0])
    assert deletion_auc(found)[0] == pytest.approx(sigmoid(2.0))


def test_a_model_that_ignores_its_input_gives_neutral_metrics() -> None:
    view = view_over(lambda flat: 0 * flat.sum(1) + 1, torch.rand(3, 8))
    rank_BF = ranking(np.ones((3, 8)), view.present_BF.numpy(), rngs(3))
    found = perturb(view, [rank_BF], torch.ones(3, dtype=torch.int64), levels=8)[0]
    for name in ("aopc", "pixel_flipping", "comprehensiveness", "sufficiency"):
        np.testing.assert_allclose(TRACE_METRICS[name].of(found), 0, atol=1e-7)
    assert (monotonicity(found) == 1).all()
    removed = patches(view.present_BF.numpy(), rngs(3), samples=5, shape=None)
    effects = patch_effects(view, removed, torch.ones(3, dtype=torch.int64))
    assert np.isnan(infidelity(np.ones((3, 8)), removed, effects)).all()


def test_additive_maps_foretell_every_patch_and_scaled_ones_too() -> None:
    x = torch.rand(4, 36, generator=torch.Generator().manual_seed(0))
    weight = torch.linspace(-2, 3, 36)
    view = view_over(lambda flat: flat @ weight, x)
    removed = patches(view.present_BF.numpy(), rngs(4), samples=16, shape=(6, 6))
    effects = patch_effects(view, removed, torch.ones(4, dtype=torch.int64))
    true_map = (x * weight).double().numpy()
    np.testing.assert_allclose(infidelity(true_map, removed, effects), 0, atol=1e-9)
    np.testing.assert_allclose(infidelity(7 * true_map, removed, effects), 0, atol=1e-9)
    np.testing.assert_allclose(infidelity(-true_map, removed, effects), 1)  # no praise for the opposite
    assert (infidelity(np.zeros((4, 36)), removed, effects) == 1).all()
    flat = infidelity(np.ones((4, 36)), removed, effects)
    assert ((flat > 0.05) & (flat <= 1)).all()


def test_infidelity_is_the_least_error_over_all_scalings() -> None:
    generator = np.random.default_rng(0)
    scores, effects = generator.random((3, 12)), generator.random((3, 7))
    removed = generator.random((3, 7, 12)) < 0.4
    foretold = np.einsum("bsf,bf->bs", removed, scores)
    scales = np.linspace(0, 3, 30001)
    errors = ((scales[:, None, None] * foretold - effects) ** 2).sum(2) / (effects**2).sum(1)
    np.testing.assert_allclose(infidelity(scores, removed, effects), errors.min(0), atol=1e-6)


def test_captums_normalised_infidelity_agrees() -> None:
    """The same patches given to captum, whose maps are per unit of input: its error divided by E[effect²]."""
    from captum.metrics import infidelity as captum_infidelity

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(12, 20), torch.nn.Tanh(), torch.nn.Linear(20, 2)).double()
    x = torch.rand(5, 12, dtype=torch.float64) + 0.5
    target_B = torch.ones(5, dtype=torch.int64)
    point = x.clone().requires_grad_()
    (per_unit,) = torch.autograd.grad(model(point)[:, 1].sum(), point)
    removed = patches(np.ones((5, 12), dtype=bool), rngs(5), samples=30, shape=None)
    view = View(
        x=x,
        baseline=torch.zeros_like(x),
        feature_E=torch.arange(12),
        present_BF=torch.ones(5, 12, dtype=torch.bool),
        logits=lambda points, _rows: model(points),
        names=None,
    )
    effects = patch_effects(view, removed, target_B)

    def take(inputs: Tensor) -> tuple[Tensor, Tensor]:
        gone = inputs * torch.from_numpy(removed).view(-1, 12)
        return gone, inputs - gone

    theirs = captum_infidelity(
        model, take, x, per_unit, target=target_B, n_perturb_samples=30, normalize=True
    )
    ours = infidelity((per_unit * x).numpy(), removed, effects)
    foretold = np.einsum("bsf,bf->bs", removed, (per_unit * x).numpy())
    positive = (foretold * effects).sum(1) > 0  # captum also scales by negative factors
    assert positive.any()
    expected = theirs.detach().numpy() / (effects**2).mean(1)
    np.testing.assert_allclose(ours[positive], expected[positive], rtol=1e-6)


def test_patches_keep_to_what_is_there() -> None:
    present = np.array([[True, False, True, True, False], [False] * 5])
    for ordered in (True, False):
        removed = patches(present, rngs(2), samples=30, shape=None, ordered=ordered)
        assert not (removed & ~present[:, None]).any()
        assert removed[0].any(axis=1).all()
        assert not removed[1].any()


def test_sensitivity_of_a_linear_map_is_bounded_by_its_norm() -> None:
    """Φ(x) = x moves by δ: at most r·√F / ‖x‖. A map that ignores the input does not move."""
    x = torch.ones(3, 16)
    view = view_over(lambda flat: flat.sum(1), x)

    def own(moved: View) -> np.ndarray:
        return moved.x.double().numpy()

    def constant(moved: View) -> np.ndarray:
        return np.ones((len(moved.x), 16))

    def fresh(draw: int) -> list[np.random.Generator]:
        return rngs(3, draw)

    radius = torch.tensor(0.1)
    found = max_sensitivity(own, view, own(view), fresh, draws=8, radius=radius)
    assert ((found > 0.04) & (found <= 0.1)).all()
    assert (max_sensitivity(constant, view, constant(view), fresh, draws=2, radius=radius) == 0).all()
    nothing = np.zeros((3, 16))
    assert np.isnan(max_sensitivity(lambda _v: nothing, view, nothing, fresh, draws=1, radius=radius)).all()


def test_complexity_and_sparseness_at_their_extremes() -> None:
    maps = np.array([[1.0, 1, 1, 1, 9], [0, -3, 0, 0, 9], [0, 0, 0, 0, 9], [1, 2, 3, 4, 9]])
    present = np.array([[True] * 4 + [False]] * 4)
    found = complexity(maps, present)
    assert found[0] == pytest.approx(1)
    assert found[1] == pytest.approx(0)
    assert np.isnan(found[2])
    gini = sparseness(maps, present)
    assert gini[0] == pytest.approx(0)
    assert gini[1] == pytest.approx(3 / 4)
    assert np.isnan(gini[2])
    pairs = np.abs(np.subtract.outer([1, 2, 3, 4], [1, 2, 3, 4])).sum() / (2 * 16 * 2.5)
    assert gini[3] == pytest.approx(pairs)  # mean absolute difference over twice the mean


def test_localisation_of_a_planted_region() -> None:
    truth = np.zeros((4, 6), dtype=bool)
    truth[:3, :2] = True
    maps = np.array([[3.0, 1, 0, 0, 0, -9], [0, 0, 2, 2, 0, 0], [-1, -1, -1, -1, -1, -1], [1] * 6])
    assert relevance_mass(maps, truth)[:2].tolist() == [1, 0]
    assert relevance_rank(maps, truth)[:2].tolist() == [1, 0]
    assert pointing_game(maps, truth)[:2].tolist() == [1, 0]
    for metric in (relevance_mass, relevance_rank, pointing_game):
        assert np.isnan(metric(maps, truth)[2:]).all()  # nothing speaks for the class; nothing was planted
    assert pointing_game(np.ones((1, 6)), truth[:1])[0] == pytest.approx(1 / 3)
