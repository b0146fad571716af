"""The check as a whole: right maps win, useless ones do not, and shards change nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor

from raiaudit.attacks.spaces import Column, ImageBox, TableSchema
from raiaudit.audit.explanations import methods, options
from raiaudit.audit.explanations.methods.method import WHITE_BOX, Maps
from raiaudit.audit.explanations.quality.controls import blurred, edges, rarity
from raiaudit.audit.explanations.quality.faithfulness import Faithfulness, FaithfulnessConfig
from raiaudit.audit.explanations.quality.planted import PlantedEvidence, words_of
from raiaudit.errors import CapabilityError
from raiaudit.models.architectures.classifier import Classifier
from raiaudit.models.data.dataset import Dataset, Split

if TYPE_CHECKING:
    from raiaudit.attacks.spaces import InputSpace

SIDE = 8


class Scored(Classifier):
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


def watermark(flat: Tensor) -> Tensor:
    """Looks at a 3×3 stamp at row 1, column 4, and nowhere else."""
    pixels = flat.view(-1, SIDE, SIDE)
    return 8 * pixels[:, 1:4, 4:7].mean((1, 2)) - 1


STAMP = (1, 4, 3, 3)


def dataset(inputs: np.ndarray, space: InputSpace, modality: Any = "image") -> Dataset:
    ids = pl.Series([f"e{row:03d}" for row in range(len(inputs))])
    split = Split(ids, inputs.astype(np.float32), np.ones(len(inputs), dtype=np.int64))
    splits = {"train": split, "validation": split.take(slice(0, 0)), "test": split}
    return Dataset("planted", modality, ("no", "yes"), space, splits, digest="planted")


def images(n: int = 20) -> Dataset:
    pixels = np.random.default_rng(0).random((n, 1, SIDE, SIDE))
    return dataset(pixels, ImageBox((1, SIDE, SIDE)))


@pytest.fixture
def useless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two more methods: a constant map, and one that is refused."""

    class Constant:
        name: ClassVar[str] = "constant"
        modalities: ClassVar[frozenset[str]] = frozenset({"image"})
        needs = WHITE_BOX
        signed: ClassVar[bool] = False
        citation: ClassVar[str] = "none"

        def explain(self, view: Any, target_B: Tensor, *, rngs: Any) -> Maps:
            return Maps(torch.ones(view.present_BF.shape, dtype=torch.float64))

    class Refused(Constant):
        name: ClassVar[str] = "refused"

        def explain(self, view: Any, target_B: Tensor, *, rngs: Any) -> Maps:
            raise CapabilityError("there is no convolution to look at")

    for module in (methods, options):
        known = {**methods.METHODS, "constant": Constant, "refused": Refused}
        monkeypatch.setattr(module, "METHODS", known)


def by_label(check: Faithfulness, subject: Any, ledger: Any, config: FaithfulnessConfig) -> dict[str, Any]:
    return {m.label(): m for m in check.summarise(ledger, subject, config)}


@pytest.mark.usefixtures("useless")
def test_a_planted_watermark_is_found_and_a_constant_map_is_worth_a_random_one(
    make_subject: Any, run_check: Any
) -> None:
    check = Faithfulness()
    config = FaithfulnessConfig(
        methods=("integrated_gradients", "saliency", "constant", "refused"),
        examples=20,
        shard=8,
        baseline="zeros",
        planted=PlantedEvidence(region=STAMP),
    )
    subject = make_subject(Scored(watermark), images())
    ledger = run_check(check, subject, config)
    found = by_label(check, subject, ledger, config)
    for name in ("integrated_gradients", "saliency"):
        assert found[f"faithfulness_gain (method={name})"].low > 0.1
        assert found[f"relevance_mass (method={name})"].value == pytest.approx(1)
        assert found[f"pointing_game (method={name})"].value == 1
    assert found["infidelity (method=integrated_gradients)"].value == pytest.approx(0, abs=1e-6)
    constant = found["faithfulness_gain (method=constant, control=random)"]
    assert constant.low < 0 < constant.high
    assert found["faithfulness_gain (method=constant)"].low <= 0
    assert found["complexity (method=constant)"].value == pytest.approx(1)
    assert found["relevance_mass (method=constant)"].value == pytest.approx(9 / 64)
    assert found["max_sensitivity (method=constant)"].value == 0
    refused = found["faithfulness_gain (method=refused)"]
    assert refused.value is None
    assert "no convolution" in refused.reason

    tables = check.evidence(ledger, subject, config)
    tests = tables["tests"].filter(pl.col("metric") == "deletion_auc", pl.col("control") == "random")
    adjusted = dict(zip(tests["method"], tests["p_adjusted"], strict=True))
    assert adjusted["saliency"] < 0.01
    assert adjusted["constant"] > 0.01
    traces = tables["traces"]
    assert set(traces["map"]) == {"integrated_gradients", "saliency", "constant", "random", "edges"}
    ends = traces.filter(pl.col("removed") == 0)["probability"]
    assert ends.max() == pytest.approx(ends.min())


def test_shards_and_batches_change_no_row(make_subject: Any) -> None:
    check, subject = Faithfulness(), make_subject(Scored(watermark), images(7))
    frames = []
    for shard in (7, 3, 1):
        config = FaithfulnessConfig(examples=7, shard=shard, levels=8)
        frames.append(pl.concat([check.execute(task, subject) for task in check.tasks(subject, config)]))
    for other in frames[1:]:
        assert other.columns == frames[0].columns
        for name in frames[0].columns[1:]:
            first, second = frames[0][name], other[name]
            if isinstance(first.dtype, pl.List):
                first, second = first.explode(), second.explode()
            np.testing.assert_allclose(first.to_numpy(), second.to_numpy(), atol=2e-5, err_msg=name)


def test_a_batch_of_one_has_values_without_intervals(make_subject: Any, run_check: Any) -> None:
    check, config = Faithfulness(), FaithfulnessConfig(examples=1, methods=("saliency",), draws=0)
    subject = make_subject(Scored(watermark), images(1))
    ledger = run_check(check, subject, config)
    found = by_label(check, subject, ledger, config)
    gain = found["faithfulness_gain (method=saliency)"]
    assert gain.value is not None
    assert gain.low is None
    assert "max_sensitivity (method=saliency)" not in found
    assert set(check.evidence(ledger, subject, config)) == {"tests", "traces"}


def test_constant_inputs_and_a_deaf_model_leave_undefined_what_is_undefined(
    make_subject: Any, run_check: Any
) -> None:
    check, config = Faithfulness(), FaithfulnessConfig(examples=6, methods=("input_x_gradient",))
    flat = dataset(np.full((6, 1, SIDE, SIDE), 0.5), ImageBox((1, SIDE, SIDE)))
    subject = make_subject(Scored(lambda x: 0 * x.sum(1) + 1), flat)
    found = by_label(check, subject, run_check(check, subject, config), config)
    assert found["faithfulness_gain (method=input_x_gradient)"].value == pytest.approx(0, abs=1e-7)
    for metric in ("infidelity", "max_sensitivity", "complexity", "sparseness"):
        undefined = found[f"{metric} (method=input_x_gradient)"]
        assert undefined.value is None
        assert undefined.reason


def test_a_table_is_held_against_the_size_of_its_values(make_subject: Any, run_check: Any) -> None:
    columns = ("age", "income", "noise", "more", "other")
    schema = TableSchema(tuple(Column(name, "real", -4, 4) for name in columns))
    rows = np.random.default_rng(0).normal(size=(200, 5))
    rows[:, 2:] = np.sign(rows[:, 2:]) * 3  # far from the mean in every row, and of no account
    subject = make_subject(Scored(lambda x: 4 * x[:, 0] - 5 * x[:, 1]), dataset(rows, schema, "tabular"))
    check = Faithfulness()
    planted = PlantedEvidence(column="income")
    config = FaithfulnessConfig(
        examples=200, shard=200, levels=5, methods=("integrated_gradients",), planted=planted
    )
    found = by_label(check, subject, run_check(check, subject, config), config)
    assert found["faithfulness_gain (method=integrated_gradients, control=magnitude)"].low > 0
    assert "detail_gain (method=integrated_gradients)" not in found
    assert found["relevance_mass (method=integrated_gradients)"].value > 0.4


def test_planted_evidence_must_fit_the_data(make_subject: Any) -> None:
    subject = make_subject(Scored(watermark), images(2))
    for planted in (PlantedEvidence(word="film"), PlantedEvidence(region=(6, 0, 3, 3))):
        with pytest.raises(CapabilityError, match="planted"):
            Faithfulness().tasks(subject, FaithfulnessConfig(planted=planted))
    with pytest.raises(ValueError, match="one of region, word, column"):
        PlantedEvidence(word="film", column="age")
    with pytest.raises(ValueError, match="unknown attribution method 'salience'"):
        FaithfulnessConfig(methods=("salience",))


def test_pieces_are_joined_into_words() -> None:
    assert words_of(["un", "##believ", "##able", "film"]) == [
        ("unbelievable", slice(0, 3)),
        ("film", slice(3, 4)),
    ]


def test_controls_know_the_input_alone() -> None:
    step = np.zeros((2, 2, 6, 6))
    step[0, ..., 3:] = 1
    strength, flat = edges(step).reshape(2, 6, 6)
    assert flat.max() == 0
    assert (strength[:, 2:4] > 0).all()
    assert strength[:, [0, 1, 4, 5]].max() == 0
    spike = np.zeros((1, 784))
    spike[0, 400] = 1
    smooth = blurred(spike, (28, 28))
    assert smooth.sum() == pytest.approx(1)
    assert smooth[0, 400] == pytest.approx(1 / (2 * np.pi * 4), rel=0.02)  # σ = 2 pixels
    surprise = rarity(np.array([[5, 6, 7]]), {5: 90, 6: 9}, 99)[0]
    np.testing.assert_allclose(surprise, -np.log(np.array([91, 10, 1]) / 102))
