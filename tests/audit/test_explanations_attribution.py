"""Attributions against what they must be: linear models, captum, planted evidence, a null."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor, nn

from raiaudit.attacks.spaces import Column, ImageBox, TableSchema
from raiaudit.audit.explanations.attribution import Attribution, AttributionConfig
from raiaudit.audit.explanations.methods.integrated_gradients import integrated_gradients
from raiaudit.audit.explanations.methods.views import View, view_of
from raiaudit.audit.explanations.quality.perturbation import area, ranking, shuffled, trace
from raiaudit.models.architectures.classifier import Classifier
from raiaudit.models.data.dataset import Dataset, Split

if TYPE_CHECKING:
    from raiaudit.attacks.spaces import InputSpace
    from raiaudit.audit.ledger import Ledger
    from raiaudit.audit.subject import Subject


class Planted(Classifier):
    """Any function of the flattened input to a score; logits are (0, score)."""

    architecture = "planted"
    modality = "image"

    def __init__(self, score: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.score = score
        self.classes = 2

    def forward(self, inputs: Tensor) -> Tensor:
        score_B = self.score(inputs.flatten(1))
        return torch.stack([torch.zeros_like(score_B), score_B], dim=1)


def data(inputs: np.ndarray, space: InputSpace, modality: Any = "image") -> Dataset:
    ids = pl.Series([f"e{row:03d}" for row in range(len(inputs))])
    split = Split(ids, inputs.astype(np.float32), np.ones(len(inputs), dtype=np.int64))
    splits = {"train": split, "validation": split.take(slice(0, 0)), "test": split}
    return Dataset("planted", modality, ("no", "yes"), space, splits, digest="planted")


def images(n: int = 24, side: int = 6, seed: int = 0) -> Dataset:
    pixels = np.random.default_rng(seed).random((n, 1, side, side))
    return data(pixels, ImageBox((1, side, side)))


def rngs(n: int, seed: int = 1) -> list[np.random.Generator]:
    return [np.random.default_rng([seed, row]) for row in range(n)]


def test_a_linear_model_is_attributed_input_times_weight() -> None:
    torch.manual_seed(0)
    x, weight_EK = torch.randn(7, 5), torch.randn(5, 3)
    baseline, target_B = torch.randn(7, 5), torch.arange(7) % 3
    found = integrated_gradients(lambda points, _rows: points @ weight_EK, x, baseline, target_B)
    torch.testing.assert_close(found.values, (x - baseline) * weight_EK.T[target_B])
    assert float(found.error_B.max()) < 1e-6
    assert set(found.nodes_B.tolist()) == {16}


def test_a_polynomial_has_its_closed_form() -> None:
    """f = x₀²x₁ from 0: ∫ 2α²x₀x₁·x₀ = ⅔f for x₀, ⅓f for x₁."""
    x = torch.tensor([[1.0, 2.0], [-2.0, 3.0]])

    def logits(points: Tensor, _rows: Tensor) -> Tensor:
        return (points[:, :1] ** 2) * points[:, 1:]

    found = integrated_gradients(logits, x, torch.zeros_like(x), torch.zeros(2, dtype=torch.int64))
    value_B = x[:, 0] ** 2 * x[:, 1]
    torch.testing.assert_close(found.values, torch.stack([2 * value_B / 3, value_B / 3], dim=1))


def test_captum_with_many_steps_agrees() -> None:
    from captum.attr import IntegratedGradients

    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 4))
    x, baseline, target_B = torch.randn(9, 6), torch.zeros(9, 6), torch.arange(9) % 4
    ours = integrated_gradients(
        lambda points, _rows: model(points), x, baseline, target_B, tolerance=1e-4, max_nodes=512
    )
    theirs = IntegratedGradients(model).attribute(
        x, baselines=baseline, target=target_B, n_steps=2000, method="riemann_middle"
    )
    torch.testing.assert_close(ours.values, theirs, atol=2e-3, rtol=0.0)


def test_nodes_are_doubled_only_where_completeness_fails() -> None:
    """A steep step along the path needs many nodes; a linear row needs none."""
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0]])

    def logits(points: Tensor, _rows: Tensor) -> Tensor:
        return points[:, :1] + torch.sigmoid(200 * (points[:, 1:] - 0.37))

    target_B = torch.zeros(2, dtype=torch.int64)
    refined = integrated_gradients(logits, x, torch.zeros_like(x), target_B)
    assert int(refined.nodes_B[0]) == 16
    assert int(refined.nodes_B[1]) > 16
    assert float(refined.error_B.max()) <= 0.01
    coarse = integrated_gradients(logits, x, torch.zeros_like(x), target_B, max_nodes=8)
    assert float(coarse.error_B[1]) > 0.01


def test_chunks_do_not_change_the_result() -> None:
    torch.manual_seed(4)
    model = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 2)).double()
    x = torch.randn(11, 5, dtype=torch.float64)
    target_B = torch.zeros(11, dtype=torch.int64)
    whole, pieces = (
        integrated_gradients(
            lambda points, _rows: model(points), x, torch.zeros_like(x), target_B, chunk=chunk
        ).values
        for chunk in (4096, 7)
    )
    torch.testing.assert_close(whole, pieces)


def view_over(score: Callable[[Tensor], Tensor], x: Tensor) -> View:
    model = Planted(score)
    return View(
        x=x,
        baseline=torch.zeros_like(x),
        feature_E=torch.arange(x.shape[1]),
        present_BF=torch.ones(x.shape, dtype=torch.bool),
        logits=lambda points, _rows: model(points),
        names=None,
    )


def test_the_deletion_trace_is_the_enumerated_one() -> None:
    """Three features removed one by one, against softmax written out."""
    x = torch.tensor([[2.0, -1.0, 0.5]])
    view = view_over(lambda flat: flat.sum(1), x)
    rank_BF = np.array([[0, 2, 1]])
    target_B = torch.ones(1, dtype=torch.int64)
    left = np.array([1.5, -0.5, -1.0, 0.0])
    np.testing.assert_allclose(trace(view, rank_BF, target_B, levels=3)[0], 1 / (1 + np.exp(-left)))
    kept = np.array([0.0, 2.0, 2.5, 1.5])
    inserted = trace(view, rank_BF, target_B, levels=3, insert=True)[0]
    np.testing.assert_allclose(inserted, 1 / (1 + np.exp(-kept)))


def test_the_area_of_a_straight_line_is_a_half() -> None:
    np.testing.assert_allclose(area(np.linspace(1, 0, 8)[None]), [0.5])
    np.testing.assert_allclose(area(np.full((2, 5), 0.3)), [0.3, 0.3])


def test_padding_is_ranked_last_and_never_removed() -> None:
    present_BF = np.array([[True, False, True, False]])
    rank_BF = ranking(np.array([[0.1, 9.0, 0.2, 8.0]]), present_BF, rngs(1))
    assert rank_BF[0, [2, 0]].tolist() == [0, 1]
    view = view_over(lambda flat: flat.sum(1), torch.ones(1, 4))
    view = View(view.x, view.baseline, view.feature_E, torch.from_numpy(present_BF), view.logits, None)
    curve = trace(view, rank_BF, torch.ones(1, dtype=torch.int64), levels=4)
    np.testing.assert_allclose(curve[0, -1], 1 / (1 + np.exp(-2.0)))  # the two absent ones stay


def test_a_constant_map_is_worth_a_random_one() -> None:
    """Ties are broken at random: a map that says nothing gains nothing, whatever the pixel order means."""
    weight = torch.linspace(3, -3, 36)  # index order would be the perfect ranking
    x = torch.rand(200, 36)
    view = view_over(lambda flat: flat @ weight, x)
    target_B = torch.ones(200, dtype=torch.int64)
    present_BF = view.present_BF.numpy()
    constant = area(trace(view, ranking(np.ones((200, 36)), present_BF, rngs(200, 5)), target_B, levels=12))
    null = area(trace(view, shuffled(present_BF, rngs(200, 6)), target_B, levels=12))
    gain = null - constant
    assert abs(gain.mean()) < 3 * gain.std() / np.sqrt(200)
    perfect = area(
        trace(view, ranking(np.tile(-np.arange(36.0), (200, 1)), present_BF, rngs(200)), target_B, levels=12)
    )
    assert (null - perfect).mean() > 0.1


def measured(
    check: Attribution, ledger: Ledger, subject: Subject, config: AttributionConfig
) -> dict[str, Any]:
    return {m.label(): m for m in check.summarise(ledger, subject, config)}


def patch(flat: Tensor) -> Tensor:
    """Looks at the first four pixels only."""
    return 6 * flat[:, :4].mean(1) - 1


def test_a_planted_patch_is_found(make_subject: Any, run_check: Any) -> None:
    check, config = Attribution(), AttributionConfig(examples=24, shard=10, baseline="zeros", maps=3)
    subject = make_subject(Planted(patch), images())
    ledger = run_check(check, subject, config)
    found = measured(check, ledger, subject, config)
    assert found["deletion_gain"].low > 0.05
    assert found["insertion_gain"].low > 0.05
    assert found["completeness_error (statistic=max)"].value < 1e-4
    evidence = check.evidence(ledger, subject, config)
    curve = evidence["curve"]
    assert curve["removed"].to_list() == pytest.approx(np.linspace(0, 1, 21))
    middle = curve.row(10, named=True)
    assert middle["integrated_gradients"] < middle["random"] - 0.05
    assert curve["integrated_gradients"][0] == pytest.approx(curve["random"][0])
    maps = evidence["maps"]
    assert maps.height == 3
    assert maps["shape"].to_list() == [[1, 6, 6]] * 3
    saliency = np.abs(np.array(maps["map"].to_list()))
    assert (saliency[:, 4:] == 0).all()
    np.testing.assert_allclose(
        np.array(maps["input"].to_list()), subject.test.inputs[:3].reshape(3, -1), rtol=1e-6
    )


def test_a_model_that_ignores_its_input_gains_nothing(make_subject: Any, run_check: Any) -> None:
    check, config = Attribution(), AttributionConfig(examples=24)
    subject = make_subject(Planted(lambda flat: 0 * flat.sum(1) + 1), images())
    found = measured(check, run_check(check, subject, config), subject, config)
    assert found["deletion_gain"].value == pytest.approx(0)
    assert found["completeness_error (statistic=max)"].value == 0


def test_shards_do_not_change_the_rows(make_subject: Any) -> None:
    check, subject = Attribution(), make_subject(Planted(patch), images())
    frames = []
    for shard in (24, 5):
        config = AttributionConfig(examples=24, shard=shard, maps=7)
        parts: dict[str, list[pl.DataFrame]] = {}
        for task in check.tasks(subject, config):
            parts.setdefault(task.params["method"], []).append(check.execute(task, subject))
        shared, explained = (pl.concat(parts[name]) for name in ("", "integrated_gradients"))
        frames.append(shared.join(explained, on="example_id"))
    assert frames[0].columns == frames[1].columns
    for frame in frames:
        assert frame["attribution.integrated_gradients.map"].null_count() == 17
    for name in ("integrated_gradients.deletion", "integrated_gradients.insertion", "random"):
        np.testing.assert_allclose(
            frames[0][f"attribution.{name}"], frames[1][f"attribution.{name}"], rtol=1e-5
        )


def test_the_levels_of_a_category_are_one_feature(make_subject: Any) -> None:
    schema = TableSchema(
        (Column("age", "integer", 18, 90), Column("colour", "category", categories=("red", "green", "blue")))
    )
    rows = np.array([[40, 0, 1, 0], [20, 0, 0, 1]])
    subject = make_subject(
        Planted(lambda flat: flat @ torch.tensor([0.1, 1.0, 2.0, 3.0])), data(rows, schema, "tabular")
    )
    view = view_of(subject, subject.test.inputs, "zeros")
    assert view.by_feature(torch.ones(2, 4)).tolist() == [[1, 3], [1, 3]]
    assert view.names == [["age = 40", "colour = green"], ["age = 20", "colour = blue"]]
    removed = view.without(torch.tensor([0]), torch.tensor([[False, True]]))
    assert removed.tolist() == [[40, 0, 0, 0]]
    assert view_of(subject, subject.test.inputs, "mean").baseline[0].tolist() == [30, 0, 0.5, 0.5]


def test_large_whole_numbers_are_named_in_full(make_subject: Any) -> None:
    schema = TableSchema((Column("income", "integer", 0, 1e7), Column("share", "real", 0, 1)))
    subject = make_subject(
        Planted(lambda flat: flat[:, 0]), data(np.array([[1234567, 0.25]]), schema, "tabular")
    )
    view = view_of(subject, subject.test.inputs, "zeros")
    assert view.names == [["income = 1234567", "share = 0.25"]]


def test_a_wide_table_is_described_in_time_that_grows_as_its_width(
    make_subject: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the columns lie is worked out once, and not anew for every value of every row."""
    asked = 0
    width = Column.width.fget  # type: ignore[attr-defined]  # of a property

    def counted(column: Column) -> int:
        nonlocal asked
        asked += 1
        return int(width(column))

    monkeypatch.setattr(Column, "width", property(counted))
    W, n = 60, 20
    schema = TableSchema(tuple(Column(f"c{at}", "real", 0, 1) for at in range(W)))
    subject = make_subject(Planted(lambda flat: flat[:, 0]), data(np.zeros((n, W)), schema, "tabular"))
    asked = 0
    view_of(subject, subject.test.inputs, "zeros")
    assert asked <= 4 * W  # n · W² = 72,000 before


def test_bytes_are_scaled_before_the_mean(make_subject: Any) -> None:
    dataset = images(4)
    bytes_ = (np.ones((4, 1, 6, 6)) * 51).astype(np.uint8)
    split = Split(dataset.splits["test"].ids, bytes_, dataset.splits["test"].labels)
    subject = make_subject(
        Planted(patch),
        Dataset("b", "image", ("no", "yes"), dataset.space, {"train": split, "test": split}, digest="b"),
    )
    view = view_of(subject, bytes_, "mean")
    torch.testing.assert_close(view.baseline, torch.full((4, 1, 6, 6), 0.2))
