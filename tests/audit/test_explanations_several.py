"""Several methods in one check, and what maps say together by class and by group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor, nn

from raiaudit.attacks.spaces import Column, ImageBox, TableSchema, TokenSpace
from raiaudit.audit.explanations.attribution import Attribution, AttributionConfig
from raiaudit.audit.explanations.attribution.aggregation import (
    compare_groups,
    mean_shares,
    shares_of,
    top_words,
)
from raiaudit.audit.explanations.attribution.rows import pooled
from raiaudit.audit.explanations.attribution.tables import BEATEN
from raiaudit.audit.explanations.quality.faithfulness import Faithfulness
from raiaudit.audit.explanations.quality.randomisation import Randomisation
from raiaudit.audit.explanations.stability.stability import Stability
from raiaudit.audit.subject import Subject
from raiaudit.errors import CapabilityError, SubjectUnavailableError, UnknownNameError
from raiaudit.models.architectures.classifier import Classifier
from raiaudit.models.black_box import from_callable, version_of
from raiaudit.models.data.dataset import Dataset, Split

if TYPE_CHECKING:
    from collections.abc import Callable

    from raiaudit.audit.measurement import Measurement

N = 80
SCHEMA = TableSchema(
    (
        Column("age", "real", -3, 3),
        Column("sex", "category", categories=("Female", "Male")),
        Column("job", "real", -3, 3),
        Column("noise", "real", -3, 3),
    )
)


class Scored(Classifier):
    """Logits (−score, score) of the encoded row or image."""

    architecture = "planted"
    modality = "tabular"

    def __init__(self, score: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.score = score
        self.classes = 2

    def forward(self, inputs: Tensor) -> Tensor:
        score_B = self.score(inputs.flatten(1))
        return torch.stack([-score_B, score_B], 1)


def table() -> Dataset:
    """Encoded rows: age, sex (Female, Male), job, noise; half of each sex."""
    rng = np.random.default_rng(0)
    male = np.arange(N) % 2
    rows = np.c_[rng.choice([-1.0, 1.0], N), 1 - male, male, rng.choice([-1.0, 1.0], N), rng.normal(size=N)]
    groups = pl.DataFrame({"sex": np.where(male, "Male", "Female")})
    ids = pl.Series([f"p{row:03d}" for row in range(N)])
    split = Split(ids, rows.astype(np.float32), np.arange(N) % 2, groups)
    splits = {"train": split, "validation": split, "test": split}
    return Dataset("people", "tabular", ("no", "yes"), SCHEMA, splits, "t" * 64, ("sex",))


def audited(
    run_check: Any, subject: Subject, **options: Any
) -> tuple[dict[str, Measurement], dict[str, pl.DataFrame]]:
    check = Attribution()
    config = AttributionConfig.model_validate({"examples": N, "baseline": "zeros", **options})
    ledger = run_check(check, subject, config)
    found = {m.label(): m for m in check.summarise(ledger, subject, config)}
    return found, dict(check.evidence(ledger, subject, config))


def test_the_share_on_the_sensitive_column_is_what_was_planted(make_subject: Any, run_check: Any) -> None:
    """score = 3·Male − 3·Female + job: |attribution| 3 of 4 on sex, 1 of 4 on job, whoever it is."""
    subject = make_subject(Scored(lambda x: 3 * (x[:, 2] - x[:, 1]) + x[:, 3]), table())
    found, tables = audited(run_check, subject, methods=["integrated_gradients", "shapley"])
    for method in ("integrated_gradients", "shapley"):
        share = found[f"sensitive_attribution_share (method={method})"]
        assert share.value == pytest.approx(0.75)
        assert share.low == pytest.approx(0.75)
        assert share.high == pytest.approx(0.75)
        p = found[f"attribution_distance_p_value (method={method}, attribute=sex)"]
        assert p.value == pytest.approx(1)  # both sexes have the same shares
        assert p.support == N // 2
    everyone = tables["shares"].filter((pl.col("by") == "all") & (pl.col("method") == "shapley"))
    assert everyone["share"].to_list() == pytest.approx([0, 0.75, 0.25, 0])
    assert everyone["watched"].to_list() == [False, True, False, False]
    assert set(tables["shares"]["by"]) == {"all", "predicted", "sex"}
    assert tables["maps"]["method"].unique().sort().to_list() == ["integrated_gradients", "shapley"]
    assert set(tables["maps"]["verdict"]) == {"beats random rankings"}
    assert tables["curve"].columns == ["removed", "integrated_gradients", "shapley", "random"]


def test_named_proxies_count_and_unknown_ones_are_refused(make_subject: Any, run_check: Any) -> None:
    subject = make_subject(Scored(lambda x: 3 * (x[:, 2] - x[:, 1]) + x[:, 3]), table())
    found, _ = audited(run_check, subject, proxies=["job"])
    assert found["sensitive_attribution_share"].value == pytest.approx(1)
    with pytest.raises(UnknownNameError, match="jobs") as caught:
        audited(run_check, subject, proxies=["jobs"])
    assert "did you mean 'job'" in str(caught.value)


def test_a_model_that_treats_groups_by_other_columns_is_seen(make_subject: Any, run_check: Any) -> None:
    """For men by age, for women by job: the mean shares have nothing in common but sex."""
    subject = make_subject(Scored(lambda x: x[:, 2] * x[:, 0] + x[:, 1] * x[:, 3]), table())
    found, tables = audited(run_check, subject, methods=["occlusion"], permutations=199)
    assert found["attribution_distance (attribute=sex)"].value == pytest.approx(0.5)
    assert found["attribution_distance_p_value (attribute=sex)"].value == pytest.approx(1 / 200)
    men = tables["shares"].filter((pl.col("by") == "sex") & (pl.col("level") == "Male"))
    assert men["share"].to_list() == pytest.approx([0.5, 0.5, 0, 0])
    assert men.filter(pl.col("column") == "age")["p"].item() < 0.05
    assert men.filter(pl.col("column") == "noise")["p"].item() == 1


def test_the_test_between_groups_keeps_its_level() -> None:
    """Groups drawn at random: p ≤ 0.1 in about a tenth of 150 simulations (at most 0.175, 3 deviations)."""
    rng = np.random.default_rng(5)
    low = 0
    for _ in range(150):
        share_NF = shares_of(rng.normal(size=(40, 5)))
        low += compare_groups(share_NF, rng.permutation(np.arange(40) % 3), rng=rng, draws=99).p <= 0.1
    assert low / 150 <= 0.175


def test_the_interval_of_a_share_covers_it() -> None:
    """Of 100 samples of 60, at least 86 % cover the true mean (95 % less 3 deviations and the small n)."""
    rng = np.random.default_rng(6)
    covered = 0
    for _ in range(100):
        share_NF = rng.beta(2, 5, size=(60, 1))
        _, low, high = mean_shares(share_NF, rng)
        covered += low[0] <= 2 / 7 <= high[0]
    assert covered / 100 >= 0.86


def test_maps_without_mass_have_no_part_in_shares(make_subject: Any, run_check: Any) -> None:
    """The score of a third of the rows is flat: only the others, all sex, are counted."""
    subject = make_subject(Scored(lambda x: (x[:, 0] > 0) * (1 + x[:, 2])), table())
    found, _ = audited(run_check, subject, methods=["saliency"])
    share = found["sensitive_attribution_share"]
    assert share.value == pytest.approx(1)
    assert share.n == int((table().splits["test"].inputs[:, 0] > 0).sum())
    flat, tables = audited(run_check, make_subject(Scored(lambda x: 0 * x[:, 0]), table()))
    assert "zero in every column" in (flat["sensitive_attribution_share"].reason or "")
    assert "shares" not in tables


def test_pooling_keeps_the_sum_and_the_place() -> None:
    plane = np.zeros((1, 50, 30))
    plane[0, 49, 29] = 2.0
    coarse = pooled(plane)
    assert coarse.shape == (1, 28, 28)
    assert coarse[0, 27, 27] == 2
    assert pooled(np.ones((3, 8, 8))).shape == (3, 8, 8)


def test_a_method_that_the_model_cannot_give_is_undefined_with_its_reason(
    make_subject: Any, run_check: Any
) -> None:
    subject = make_subject(Scored(lambda x: x[:, 0]), table())
    found, tables = audited(run_check, subject, methods=["saliency", "attention_rollout", "grad_cam"])
    rollout = found["deletion_gain (method=attention_rollout)"]
    assert rollout.value is None
    assert "no transformer" in (rollout.reason or "")
    assert "not defined for tabular data" in (found["deletion_gain (method=grad_cam)"].reason or "")
    assert found["deletion_gain (method=saliency)"].value is not None
    assert tables["curve"].columns == ["removed", "saliency", "random"]


def test_maps_that_say_nothing_bear_that_verdict(make_subject: Any, run_check: Any) -> None:
    subject = make_subject(Scored(lambda x: 0 * x[:, 0] + 1), table())
    _, tables = audited(run_check, subject)
    assert set(tables["maps"]["verdict"]) == {BEATEN}


def test_more_methods_change_nothing_of_the_first(make_subject: Any, run_check: Any) -> None:
    subject = make_subject(Scored(lambda x: x[:, 0] * x[:, 2] + torch.sin(x[:, 4])), table())
    alone, _ = audited(run_check, subject, examples=20)
    both, _ = audited(run_check, subject, examples=20, methods=["smoothgrad", "integrated_gradients"])
    gain = both["deletion_gain (method=integrated_gradients)"]
    assert (gain.value, gain.low) == (alone["deletion_gain"].value, alone["deletion_gain"].low)


# Black boxes


def box(function: Callable[[Any], Any], dataset: Dataset, returns: Any = "scores") -> Subject:
    classifier = from_callable(function, returns=returns, classes=dataset.classes, space=dataset.space)
    version = version_of(classifier, dataset, name="box")
    return Subject("box", dataset, version.record, version, seed=0, device_name="cpu")


def probabilities(score: Any) -> Any:
    yes = 1 / (1 + np.exp(-np.asarray(score, dtype=np.float64)))
    return np.stack([1 - yes, yes], axis=1)


BLACK = ["kernel_shap", "shapley", "occlusion", "integrated_gradients"]


def test_a_black_box_of_images_is_explained_by_its_scores(run_check: Any) -> None:
    pixels = np.random.default_rng(0).random((12, 1, 6, 6)).astype(np.float32)
    split = Split(pl.Series([f"e{row}" for row in range(12)]), pixels, np.ones(12, dtype=np.int64))
    dataset = Dataset("i", "image", ("no", "yes"), ImageBox((1, 6, 6)), {"test": split}, "i" * 64)
    subject = box(lambda x: probabilities(8 * x[:, 0, :2, :2].mean((1, 2))), dataset)
    found, tables = audited(run_check, subject, methods=BLACK, min_group=5)
    for method in BLACK[:3]:
        assert (found[f"deletion_gain (method={method})"].low or 0) > 0.01, method
    assert "no gradients" in (found["deletion_gain (method=integrated_gradients)"].reason or "")
    assert set(tables["class_maps"]["method"]) == set(BLACK[:3])
    whole = np.array(tables["class_maps"].filter(pl.col("method") == "shapley")["map"][0]).reshape(6, 6)
    assert whole[:2, :2].sum() == pytest.approx(1, abs=1e-4)


def test_a_black_box_of_texts_is_explained_word_by_word(run_check: Any) -> None:
    lines = [f"a {'splendid ' if row % 2 else ''}film number {row}" for row in range(12)]
    lines[1] = " ".join(["splendid", *["word"] * 30])  # longer than can be enumerated: runs of words
    split = Split(pl.Series([f"t{row}" for row in range(12)]), lines, np.arange(12) % 2)
    dataset = Dataset("t", "text", ("dull", "good"), TokenSpace(100, 64), {"test": split}, "t" * 64)
    subject = box(lambda x: probabilities([8 * line.split().count("splendid") - 4 for line in x]), dataset)
    found, tables = audited(run_check, subject, methods=BLACK[:3])
    for row in tables["maps"].filter(pl.col("predicted") == "good").iter_rows(named=True):
        assert row["features"][int(np.argmax(row["map"]))] == "splendid" or row["method"] == "shapley"
    words = tables["words"].filter((pl.col("class") == "good") & (pl.col("method") == "occlusion"))
    assert words.row(0, named=True)["word"] == "splendid"
    assert words.row(0, named=True)["texts"] == 6
    assert (found["deletion_gain (method=occlusion)"].low or 0) > 0


def shy(refuses: Callable[[Any], bool]) -> Callable[[Any], Any]:
    """A service that fails every batch with an image it would rather not see."""

    def answer(x: Any) -> Any:
        if any(refuses(one) for one in x):
            raise ValueError("no such picture")
        return probabilities(8 * x[:, 0, :2, :2].mean((1, 2)) - 2)

    return answer


def test_examples_a_black_box_will_not_answer_about_are_left_out(run_check: Any) -> None:
    """It answers no changed image with a bright last pixel; of those that have none, nothing changes."""
    pixels = np.random.default_rng(0).random((12, 1, 6, 6)).astype(np.float32) * 0.9
    marked = [1, 4, 5]
    pixels[marked, 0, 5, 5] = 1
    clean = {one.tobytes() for one in pixels}
    split = Split(pl.Series([f"e{row:02d}" for row in range(12)]), pixels, np.ones(12, dtype=np.int64))
    dataset = Dataset("i", "image", ("no", "yes"), ImageBox((1, 6, 6)), {"test": split}, "i" * 64)
    options = {"methods": ["occlusion", "kernel_shap"], "min_group": 2, "shard": 4, "baseline": "zeros"}
    subject = box(shy(lambda one: one[0, 5, 5] == 1 and one.tobytes() not in clean), dataset)
    found, tables = audited(run_check, subject, **options)
    usual, other = audited(run_check, box(shy(lambda one: False), dataset), **options)
    for method in ("occlusion", "kernel_shap"):
        gain = found[f"deletion_gain (method={method})"]
        assert gain.n == 9
        assert gain.reason is not None
        assert gain.reason.startswith(
            "3 of 12 examples are left out: the model did not answer about a changed"
        )
        assert gain.reason.endswith("raised ValueError: no such picture")
        assert usual[f"deletion_gain (method={method})"].reason is None
    left = tables["maps"].filter(pl.col("method") == "occlusion")
    assert set(left["example_id"]) == {f"e{row:02d}" for row in range(12) if row not in marked}
    same = other["maps"].filter(pl.col("example_id").is_in(left["example_id"].to_list()))
    assert left["map"].to_list() == same.filter(pl.col("method") == "occlusion")["map"].to_list()

    never, _ = audited(run_check, box(shy(lambda one: one.tobytes() not in clean), dataset), **options)
    assert never["deletion_gain (method=occlusion)"].value is None
    assert "12 of 12" in (never["deletion_gain (method=occlusion)"].reason or "")

    clear, _ = audited(
        run_check, box(shy(lambda one: one.tobytes() == pixels[2].tobytes()), dataset), **options
    )
    assert clear["deletion_gain (method=occlusion)"].n == 11
    assert "about an example" in (clear["deletion_gain (method=occlusion)"].reason or "")


def test_a_black_box_that_went_away_is_an_error(run_check: Any) -> None:
    pixels = np.random.default_rng(0).random((12, 1, 6, 6)).astype(np.float32)
    split = Split(pl.Series([f"e{row:02d}" for row in range(12)]), pixels, np.ones(12, dtype=np.int64))
    dataset = Dataset("i", "image", ("no", "yes"), ImageBox((1, 6, 6)), {"test": split}, "i" * 64)
    here = [True]
    subject = box(shy(lambda one: not here[0]), dataset)
    here[0] = False
    with pytest.raises(SubjectUnavailableError):
        audited(run_check, subject, methods=["occlusion"], baseline="zeros")


def test_a_black_box_of_rows_is_asked_about_levels_not_means(run_check: Any) -> None:
    asked: list[Any] = []

    def answer(rows: Any) -> Any:
        asked.extend(row["sex"] for row in rows)
        return probabilities([4.0 if row["sex"] == "Male" else -4.0 for row in rows])

    found, _ = audited(run_check, box(answer, table()), methods=["kernel_shap"], baseline="mean", examples=20)
    assert set(asked) == {"Female", "Male"}
    assert found["sensitive_attribution_share"].value == pytest.approx(1)


def test_labels_alone_or_no_method_that_can_be_asked_is_not_run() -> None:
    check = Attribution()
    labels = box(lambda rows: ["no"] * len(rows), table(), "labels")
    with pytest.raises(CapabilityError, match="no probabilities"):
        check.tasks(labels, AttributionConfig(methods=("kernel_shap",)))
    with pytest.raises(CapabilityError, match="no gradients"):
        check.tasks(box(lambda rows: probabilities([0.0] * len(rows)), table()), AttributionConfig())


def test_words_are_put_together_and_need_support() -> None:
    words = [["[CLS]", "un", "##happ", "##y", "film"], ["[CLS]", "unhappy", "end"], ["[CLS]", "film"]]
    maps = [[0.0, 1.0, 1.0, 2.0, -1.0], [0.0, 3.0, 1.0], [0.0, 2.0]]
    found = top_words(words, maps, ["bad", "bad", "good"], support=2)
    assert found.rows() == [("bad", "unhappy", pytest.approx((4 / 5 + 3 / 4) / 2), 2)]


def test_a_blank_that_is_a_token_of_its_own_is_no_word() -> None:
    words = [["[CLS]", " ", "##film", " ", "'", "##s"]]
    found = top_words(words, [[0.0, 1.0, 2.0, -1.0, 1.0, 1.0]], ["good"], support=1)
    assert dict(found.select("word", "mean").rows()) == {
        "film": pytest.approx(3 / 6),
        "'s": pytest.approx(2 / 6),
    }


MAKERS: tuple[Any, ...] = (Attribution(), Faithfulness(), Randomisation(), Stability())


@pytest.mark.parametrize("check", MAKERS, ids=lambda check: check.id)
def test_an_unknown_layer_is_refused_before_anything_runs(check: Any, make_subject: Any) -> None:
    subject = make_subject(Scored(lambda x: x[:, 0]), table())
    with pytest.raises(UnknownNameError, match=r"unknown layer 'feature\.4'"):
        check.tasks(subject, check.Config(methods=("saliency",), layer="feature.4"))


class Deep(Classifier):
    """Two convolutions; Grad-CAM of the first has the input's resolution, of the second half of it."""

    architecture = "deep"
    modality = "image"

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.classes = 2
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 2, 3, padding=1, stride=2)

    def forward(self, inputs: Tensor) -> Tensor:
        logits_BK: Tensor = self.second(self.first(inputs).relu()).relu().mean((2, 3))
        return logits_BK


@pytest.mark.parametrize("check", MAKERS, ids=lambda check: check.id)
def test_every_check_of_maps_looks_at_the_layer_that_is_named(check: Any, make_subject: Any) -> None:
    """A map that is shown and the map that is judged must be of one layer."""
    pixels = np.random.default_rng(0).random((4, 1, 8, 8)).astype(np.float32)
    split = Split(pl.Series(list("abcd")), pixels, np.arange(4) % 2)
    splits = {"train": split, "validation": split, "test": split}
    dataset = Dataset("p", "image", ("no", "yes"), ImageBox((1, 8, 8)), splits, digest="p")
    frames = []
    for layer in (None, "second", "first"):
        subject = make_subject(Deep(), dataset)
        config = check.Config(methods=("grad_cam",), layer=layer, examples=4)
        frames.append(check.execute(check.tasks(subject, config)[-1], subject))
    usual, second, first = frames
    assert usual.equals(second)
    assert not usual.equals(first)


def test_a_method_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        AttributionConfig.model_validate({"methods": ["saliency", "saliency"]})
