"""Concepts against what they must find: planted ones, unrelated ones, random ones, and sklearn."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from raiaudit.attacks.spaces import Column, ImageBox, TableSchema, TokenSpace
from raiaudit.audit.explanations.concepts.concept_sets import ConceptSet, concept_sets, holding
from raiaudit.audit.explanations.concepts.concepts import Concepts, ConceptsConfig
from raiaudit.audit.explanations.concepts.layers import activations, gradients, last_linear, log_odds
from raiaudit.audit.explanations.concepts.tcav import Pool, p_value, score
from raiaudit.audit.explanations.concepts.vectors import Directions, drawn
from raiaudit.errors import CapabilityError, UnknownNameError, UsageError
from raiaudit.models.architectures.classifier import Classifier
from raiaudit.models.architectures.cnn import ConvNet
from raiaudit.models.architectures.text_transformer import TextTransformer
from raiaudit.models.data.dataset import Dataset, Split

WIDTH = 8


class Planted(Classifier):
    """Column 0 speaks for class 1 and nothing else does; `layers.0` is the identity on 8 columns."""

    architecture = "planted"
    modality = "tabular"

    def __init__(self, weight: float = 2.0) -> None:
        super().__init__()
        self.classes = 2
        self.first, last = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 2, bias=False)
        self.layers = nn.Sequential(self.first, nn.ReLU(inplace=True), last)
        with torch.no_grad():
            self.first.weight.copy_(torch.eye(WIDTH))
            self.first.bias.fill_(10.0)
            last.weight.zero_()
            last.weight[1, 0] = weight

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.layers(inputs)
        return logits


def table(n: int = 400, seed: int = 0) -> Dataset:
    """Column 0 is higher in `striped` examples, column 1 in `dotted` ones; `nothing` is a coin."""
    rng = np.random.default_rng(seed)
    levels = {name: rng.random(n) < 0.5 for name in ("striped", "dotted", "nothing")}
    rows = rng.normal(size=(n, WIDTH))
    rows[:, 0] += 2 * levels["striped"]
    rows[:, 1] += 2 * levels["dotted"]
    groups = pl.DataFrame({name: np.where(held, "yes", "no") for name, held in levels.items()})
    groups = groups.with_columns(rare=pl.Series(["yes"] * 5 + ["no"] * (n - 5)))
    ids = pl.Series([f"e{row:04d}" for row in range(n)])
    split = Split(ids, rows.astype(np.float32), (rng.random(n) < 0.5).astype(np.int64), groups)
    half = n // 2
    return Dataset(
        name="planted",
        modality="tabular",
        classes=("no", "yes"),
        space=TableSchema(tuple(Column(f"c{i}", "real", -9, 9) for i in range(WIDTH))),
        splits={"train": split.take(slice(0, half)), "test": split.take(slice(half, n))},
        digest="planted",
        group_names=tuple(groups.columns),
    )


def config(**changes: Any) -> ConceptsConfig:
    concepts = {
        name: ConceptSet(column=name, level="yes") for name in ("striped", "dotted", "nothing", "rare")
    }
    return ConceptsConfig(**{"concepts": concepts, "examples": 150, "runs": 60, **changes})


def found(check: Concepts, subject: Any, run_check: Any, asked: ConceptsConfig) -> dict[str, Any]:
    ledger = run_check(check, subject, asked)
    return {measurement.label(): measurement for measurement in check.summarise(ledger, subject, asked)}


@pytest.mark.parametrize("layer", ["penultimate", "layers.0"])
@pytest.mark.parametrize("vectors", ["classifier", "pattern"])
def test_a_planted_concept_scores_one_and_an_unrelated_one_is_not_significant(
    make_subject: Any, run_check: Any, layer: str, vectors: str
) -> None:
    subject = make_subject(Planted(), table())
    by = found(Concepts(), subject, run_check, config(layers=(layer,), vectors=vectors))

    def at(metric: str, concept: str, name: str = "yes") -> Any:
        return by[f"{metric} (class={name}, concept={concept}, layer={layer})"]

    assert at("tcav_score", "striped").value == at("tcav_score", "striped").low == 1.0
    assert at("tcav_score", "striped", "no").value == at("tcav_score", "striped", "no").high == 0.0
    assert at("tcav_p_value", "striped").value < 1e-6
    assert by[f"cav_accuracy (concept=striped, layer={layer})"].low > 0.7
    assert (
        by[f"cav_accuracy (concept=dotted, layer={layer})"].low > 0.7
    )  # a real direction, of no consequence
    assert at("tcav_p_value", "dotted").value > 0.05
    assert at("tcav_score", "nothing").value is None
    assert "no better than chance" in at("tcav_score", "nothing").reason
    assert at("tcav_p_value", "rare").value is None
    assert at("tcav_score", "rare").reason == "5 training examples of the concept; 20 are needed"


def pooled(concept: np.ndarray, others: np.ndarray) -> Pool:
    member = np.arange(len(concept) + len(others)) < len(concept)
    return Pool(np.concatenate([concept, others]), member, ~member, ~member)


def test_a_direction_the_class_ignores_is_called_significant_as_rarely_as_the_level_says() -> None:
    """Concepts that differ, at the population, in what the class does not answer to: about 5 % below 0.05."""
    rng = np.random.default_rng(1)
    gradient = np.zeros((40, 6))
    gradient[:, 0] = 1.0
    mixing = np.linalg.qr(rng.normal(size=(6, 6)))[0] * np.array([3, 1, 1, 0.5, 2, 1])
    covariance = mixing.T @ mixing
    covariance += np.trace(covariance) / 6 * np.eye(6)
    ahead = np.linalg.solve(covariance, gradient[0])
    p_values, accuracies = [], []
    for _ in range(600):
        others = rng.normal(size=(300, 6)) @ mixing
        directions = Directions(others)
        shift = rng.normal(size=6)
        shift -= ahead * (shift @ ahead) / (ahead @ ahead)  # orthogonal to the gradient, by (Σ + λI)⁻¹
        concept = rng.normal(size=(60, 6)) @ mixing + 2 * shift / np.linalg.norm(shift)
        draws = drawn(directions, concept, others, runs=20, rng=rng)
        accuracies.append(draws.accuracy)
        p_values.append(score(directions, pooled(concept, others), gradient, draws, rng=rng).p_value)
    assert np.mean(accuracies) > 0.75
    below = np.mean(np.array(p_values) < 0.05)
    assert 0.025 < below < 0.075  # 2.8 standard errors around 5 %


def test_random_concepts_keep_the_level_where_repeated_counterparts_do_not() -> None:
    """Random sets as concepts: a t-test over draws of the counterpart calls half of them significant."""
    from scipy.stats import ttest_1samp

    rng = np.random.default_rng(2)
    activation, gradient = rng.normal(size=(500, 5)), rng.normal(size=(30, 5))
    directions = Directions(activation)
    ours, paper = [], []
    for _ in range(500):
        concept_N = np.isin(np.arange(500), rng.choice(500, 50, replace=False))
        pool = Pool(activation, concept_N, ~concept_N, np.ones(500, dtype=bool))
        concept, others = pool.sides
        vector = directions.solve((concept.mean(0) - others.mean(0))[None])[0]
        ours.append(p_value(directions, pool, gradient.mean(0), vector))
        means = np.array([others[rng.choice(450, 50)].mean(0) for _ in range(10)])
        runs = (gradient @ directions.solve(concept.mean(0) - means).T > 0).mean(0)
        paper.append(ttest_1samp(runs, 0.5).pvalue if np.ptp(runs) else 0.0)
    assert 0.025 < np.mean(np.array(ours) < 0.05) < 0.078
    assert np.mean(np.array(paper) < 0.05) > 0.3


def test_the_vector_is_sklearns_ridge_and_is_the_same_in_few_dimensions_and_in_many() -> None:
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(3)
    for width in (6, 90):  # fewer and more than the 60 examples
        activation = rng.normal(size=(60, width)) * rng.uniform(0.5, 3, width)
        member = np.arange(60) < 25
        directions = Directions(activation)
        ours = directions.solve((activation[member].mean(0) - activation[~member].mean(0))[None])[0]
        penalty = 60 * activation.var(0).mean()
        theirs = Ridge(alpha=penalty).fit(activation, member.astype(float)).coef_
        cosine = ours @ theirs / np.linalg.norm(ours) / np.linalg.norm(theirs)
        assert cosine == pytest.approx(1, abs=1e-9)


def test_a_patterns_p_value_is_welchs_and_that_of_a_permutation() -> None:
    from scipy.stats import ttest_ind

    rng = np.random.default_rng(4)
    concept, others = rng.normal(0.2, 1, (70, 3)), rng.normal(0, 1, (200, 3))
    gradient = np.array([1.0, -0.5, 0.3])
    directions, pool = Directions(others, "pattern"), pooled(concept, others)
    ours = p_value(directions, pool, gradient, concept.mean(0) - others.mean(0))
    a, b = concept @ gradient, others @ gradient
    assert ours == pytest.approx(ttest_ind(a, b, equal_var=False).pvalue, rel=1e-6)
    both, gap = np.concatenate([a, b]), abs(a.mean() - b.mean())
    shuffled = np.array([rng.permutation(both) for _ in range(4000)])
    gaps = np.abs(shuffled[:, :70].mean(1) - shuffled[:, 70:].mean(1))
    assert ours == pytest.approx((gaps >= gap).mean(), abs=0.025)


def test_what_an_example_adds_is_the_derivative_by_its_weight() -> None:
    """The sway of the covariance against a re-estimate with one example counted a little more."""
    rng = np.random.default_rng(5)
    random, gradient, gap = rng.normal(size=(40, 4)), rng.normal(size=4), rng.normal(size=4)

    def derivative(weight_N: np.ndarray) -> float:
        weight_N = weight_N / weight_N.sum()
        centred = random - weight_N @ random
        covariance = (centred * weight_N[:, None]).T @ centred
        ridge = np.trace(covariance) / 4 * np.eye(4)
        return float(gradient @ np.linalg.solve(covariance + ridge, gap))

    directions = Directions(random)
    ahead, vector = directions.solve(np.stack([gradient, gap]))
    ours = -directions.sway(random, ahead, vector)
    for place in (0, 7, 39):
        more, less = np.ones(40), np.ones(40)
        more[place] += 1e-5
        less[place] -= 1e-5
        assert ours[place] == pytest.approx((derivative(more) - derivative(less)) / 2e-5, rel=1e-5)


def test_constant_activations_and_a_class_that_ignores_the_layer_have_no_score(
    make_subject: Any, run_check: Any
) -> None:
    model = Planted()
    with torch.no_grad():
        model.first.weight.zero_()
        model.first.bias.fill_(0.3)
    constant = found(Concepts(), make_subject(model, table()), run_check, config())
    reasons = {m.reason for name, m in constant.items() if "striped" in name}
    assert reasons == {"the layer gives every example the same activations"}
    blind = found(Concepts(), make_subject(Planted(weight=0.0), table()), run_check, config())
    reason = blind["tcav_score (class=yes, concept=striped, layer=penultimate)"].reason
    assert reason == "the class does not depend on this layer"


def test_shards_do_not_change_a_number(make_subject: Any, run_check: Any) -> None:
    subject = make_subject(Planted(), table())
    whole, parts = (found(Concepts(), subject, run_check, config(shard=shard)) for shard in (1000, 17))
    assert whole == parts


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ({"layers": ("layers.22",)}, r"did you mean 'layers\.2'\?"),
        ({"classes": ("yess",)}, "unknown class 'yess'"),
        ({"concepts": {"a": {"column": "colr", "level": "x"}}}, "unknown column 'colr'"),
    ],
)
def test_an_unknown_name_is_refused_before_anything_runs(
    asked: dict[str, Any], near: str, make_subject: Any
) -> None:
    with pytest.raises(UnknownNameError, match=near):
        Concepts().tasks(make_subject(Planted(), table()), config(**asked))


def test_a_network_without_a_last_linear_layer_is_told_to_name_one() -> None:
    network = nn.Sequential(nn.Conv2d(1, 3, 4), nn.Flatten())
    with pytest.raises(CapabilityError, match="name a layer"):
        last_linear(network, torch.zeros(2, 1, 4, 4))


def test_the_gradient_is_that_of_a_shift_of_all_positions() -> None:
    """Finite differences: every position of a feature map moved alike, inside a small CNN."""
    torch.manual_seed(0)
    model = ConvNet([1, 8, 8], 3, width=4, hidden=8).eval().double()
    x, target = torch.rand(5, 1, 8, 8, dtype=torch.float64), torch.tensor([0, 1, 2, 1, 0])
    found = gradients(model, x, target, "features")
    direction = torch.randn(8, dtype=torch.float64)

    def moved(by: float) -> Tensor:
        handle = model.features.register_forward_hook(
            lambda _m, _i, output: output + by * direction[None, :, None, None]
        )
        try:
            with torch.no_grad():
                return log_odds(model(x), target)
        finally:
            handle.remove()

    slope = (moved(1e-5) - moved(-1e-5)) / 2e-5
    torch.testing.assert_close((found.double() @ direction), slope, rtol=1e-4, atol=1e-6)
    pooled = activations(model, x, "features")
    torch.testing.assert_close(
        pooled.double(), model.features(model.standardize(x)).mean((2, 3)), atol=1e-5, rtol=1e-5
    )


def test_log_odds_do_not_see_a_number_added_to_all_logits() -> None:
    logits = torch.randn(6, 4)
    target = torch.arange(6) % 4
    probability = logits.softmax(1).gather(1, target[:, None])[:, 0]
    torch.testing.assert_close(log_odds(logits, target), (probability / (1 - probability)).log())
    torch.testing.assert_close(log_odds(logits + 5, target), log_odds(logits, target))


def texts() -> Dataset:
    words = ["good film", "a bad film", "GOOD plot, slow and long", "the goods", "so bad and so very dull"]
    split = Split(pl.Series([f"t{i}" for i in range(5)]), words, np.array([1, 0, 1, 1, 0]))
    return Dataset(
        "texts", "text", ("bad", "good"), TokenSpace(60, 12), {"train": split, "test": split}, digest="t"
    )


def test_padding_of_a_sequence_layer_does_not_count() -> None:
    torch.manual_seed(0)
    dataset = texts()
    model = TextTransformer.for_dataset(dataset, width=8, heads=2, depth=1).eval()
    split = dataset.splits["test"]
    together = model.encode(split.inputs)
    target = torch.from_numpy(split.labels)
    for layer in ("penultimate", "encoder"):
        for place, text in enumerate(split.inputs):
            alone = model.encode([text])
            torch.testing.assert_close(
                activations(model, together, layer)[place],
                activations(model, alone, layer)[0],
                atol=1e-5,
                rtol=1e-4,
            )
            torch.testing.assert_close(
                gradients(model, together, target, layer)[place],
                gradients(model, alone, target[place : place + 1], layer)[0],
                atol=1e-5,
                rtol=1e-4,
            )


def test_concepts_are_levels_classes_or_words() -> None:
    dataset = texts()
    split = dataset.splits["train"]
    assert list(concept_sets(dataset, None)) == ["bad", "good"]
    assert holding(dataset, split, ConceptSet(words=("good",)), "g").tolist() == [
        True,
        False,
        True,
        False,
        False,
    ]
    assert holding(dataset, split, ConceptSet.model_validate({"class": "bad"}), "b").tolist() == [
        False, True, False, False, True,
    ]  # fmt: skip
    with pytest.raises(UnknownNameError, match="did you mean 'good'"):
        holding(dataset, split, ConceptSet.model_validate({"class": "goodd"}), "b")
    planted = table()
    names = list(concept_sets(planted, None))
    assert names[:2] == ["striped: no", "striped: yes"]
    assert len(names) == 8
    train = planted.splits["train"]
    with pytest.raises(UnknownNameError, match="did you mean 'striped'"):
        holding(planted, train, ConceptSet(column="stripe", level="yes"), "x")
    with pytest.raises(UnknownNameError, match="choices: no, yes"):
        holding(planted, train, ConceptSet(column="striped", level="maybe"), "x")
    with pytest.raises(UsageError, match="words are in texts"):
        holding(planted, train, ConceptSet(words=("a",)), "x")
    for wrong in ({}, {"column": "a"}, {"class": "a", "words": ["b"]}):
        with pytest.raises(ValidationError):
            ConceptSet.model_validate(wrong)


def test_a_tables_own_category_is_a_concept() -> None:
    schema = TableSchema(
        (Column("age", "integer", 18, 90), Column("colour", "category", categories=("red", "blue")))
    )
    split = Split(
        pl.Series(["a", "b"]), np.array([[40, 0, 1], [20, 1, 0]], dtype=np.float32), np.array([0, 1])
    )
    dataset = Dataset("t", "tabular", ("n", "y"), schema, {"train": split, "test": split}, digest="t")
    held = holding(dataset, split, ConceptSet(column="colour", level="blue"), "blue")
    assert held.tolist() == [True, False]
    with pytest.raises(UnknownNameError, match="unknown column 'age'"):
        holding(dataset, split, ConceptSet(column="age", level="40"), "x")


def test_an_image_without_groups_has_its_classes_for_concepts(make_subject: Any, run_check: Any) -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=120)
    pixels = rng.random((120, 1, 8, 8)) * 0.5
    for place, label in enumerate(labels):
        pixels[place, 0, 2 * label : 2 * label + 2] += 0.5
    ids = pl.Series([f"i{row}" for row in range(120)])
    split = Split(ids, pixels.astype(np.float32), labels)
    dataset = Dataset(
        "images", "image", ("a", "b", "c"), ImageBox((1, 8, 8)),
        {"train": split.take(slice(0, 80)), "test": split.take(slice(80, 120))}, digest="i",
    )  # fmt: skip
    subject = make_subject(ConvNet([1, 8, 8], 3, width=4, hidden=8), dataset)
    asked = ConceptsConfig(fewest=10, runs=20, classes=("b",))
    by = found(Concepts(), subject, run_check, asked)
    assert {m.where["class"] for m in by.values() if m.metric == "tcav_score"} == {"b"}
    assert {m.where["concept"] for m in by.values()} == {"a", "b", "c"}
