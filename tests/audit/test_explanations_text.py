"""Attributions of words: padding and [CLS] have no part, a planted word is found."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
import torch
from planted_texts import fitted_transformer, text_data

from raiaudit.audit.explanations.attribution import Attribution, AttributionConfig
from raiaudit.audit.explanations.methods import find_method
from raiaudit.audit.explanations.methods.gradient import Saliency
from raiaudit.audit.explanations.methods.integrated_gradients import integrated_gradients
from raiaudit.audit.explanations.methods.views import view_of
from raiaudit.audit.explanations.quality.controls import input_control
from raiaudit.audit.explanations.quality.faithfulness import Faithfulness, FaithfulnessConfig
from raiaudit.audit.explanations.quality.planted import PlantedEvidence
from raiaudit.audit.explanations.quality.randomisation import Randomisation, RandomisationConfig
from raiaudit.errors import CapabilityError
from raiaudit.models.architectures.classifier import Classifier
from raiaudit.models.architectures.text_transformer import TextTransformer
from raiaudit.models.data.dataset import Dataset

if TYPE_CHECKING:
    from raiaudit.audit.subject import Subject

WORDS = ["a", "film", "about", "the", "sea", "and", "its", "people", "told", "with", "patience"]


def texts(n: int = 40) -> Dataset:
    """The label is whether the word `splendid` occurs, somewhere among others."""
    rng = np.random.default_rng(0)
    lines = []
    for row in range(n):
        words = list(rng.choice(WORDS, size=rng.integers(3, 12)))
        if row % 2:
            words.insert(int(rng.integers(0, len(words) + 1)), "splendid")
        lines.append(" ".join(words))
    return text_data(lines, ("dull", "good"), 200)


@pytest.fixture(scope="module")
def reader() -> tuple[Dataset, TextTransformer]:
    dataset = texts()
    return dataset, fitted_transformer(dataset, 60)


class Opaque(Classifier):
    """Takes texts as code points, as a black box does; its score is how often `splendid` occurs."""

    architecture = "opaque"
    modality = "text"

    def encode(self, inputs: list[str]) -> torch.Tensor:
        return torch.tensor([[float(line.split().count("splendid"))] for line in inputs])

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.zeros_like(inputs), 3 * inputs], dim=1)


def maps(subject: Subject, lines: list[str]) -> torch.Tensor:
    view = view_of(subject, lines, "mean")
    target_B = torch.ones(len(lines), dtype=torch.int64)
    return view.by_feature(integrated_gradients(view.logits, view.x, view.baseline, target_B).values)


def test_padding_changes_no_attribution(reader: Any, make_subject: Any) -> None:
    subject = make_subject(reader[1], reader[0])
    short, long = "a splendid film", "the sea and the people and the patience and the splendid film"
    alone_BF, padded_BF = maps(subject, [short]), maps(subject, [short, long])[:1]
    length = alone_BF.shape[1]
    torch.testing.assert_close(padded_BF[:, :length], alone_BF, atol=1e-4, rtol=1e-3)
    assert (padded_BF[:, length:] == 0).all()
    assert (padded_BF[:, 0] == 0).all()  # [CLS] is its own baseline


def test_the_planted_word_carries_the_prediction(reader: Any, make_subject: Any, run_check: Any) -> None:
    subject = make_subject(reader[1], reader[0])
    check, config = Attribution(), AttributionConfig(examples=40, maps=40, shard=15)
    ledger = run_check(check, subject, config)
    found = {m.label(): m for m in check.summarise(ledger, subject, config)}
    # LayerNorm is nearly singular at the zero embedding: a few texts keep a residual at 256 nodes.
    assert (found["completeness_error (statistic=median)"].value or 0) <= config.tolerance
    assert (found["completeness_error (statistic=max)"].value or 0) <= 5 * config.tolerance
    shown = check.evidence(ledger, subject, config)["maps"].filter(pl.col("predicted") == "good")
    assert shown.height == 20
    assert shown["input"].null_count() == 20
    pairs = list(zip(shown["map"].to_list(), shown["features"].to_list(), strict=True))
    assert all(len(values) == len(words) for values, words in pairs)
    hits = sum(words[int(np.argmax(values))] == "splendid" for values, words in pairs)
    assert hits >= 15  # by chance about 3 of 20


def test_a_text_model_that_hides_its_embedding_has_words_but_no_gradients(make_subject: Any) -> None:
    view = view_of(make_subject(Opaque(), texts()), ["a splendid film", "sea"], "mean")
    assert view.names == [["a", "splendid", "film"], ["sea"]]
    assert view.present_BF.tolist() == [[True, True, True], [True, False, False]]
    with pytest.raises(CapabilityError, match="embedding"):
        Saliency().explain(view, torch.ones(2, dtype=torch.int64), rngs=[])


def test_maps_of_words_are_held_against_rare_words_however_the_model_reads(
    make_subject: Any, run_check: Any
) -> None:
    """`Opaque` reads one number a text: what is rare is counted in words, not in what the model is given."""
    dataset = texts()
    subject = make_subject(Opaque(), dataset)
    config = FaithfulnessConfig(methods=("occlusion",), examples=20, draws=1)
    ledger = run_check(Faithfulness(), subject, config)
    found = {m.label(): m for m in Faithfulness().summarise(ledger, subject, config)}
    gain = found["faithfulness_gain (method=occlusion, control=rarity)"]
    assert gain.value is not None
    moved = found["max_sensitivity (method=occlusion)"]
    assert moved.value is None
    assert "cannot be moved" in (moved.reason or "")
    split, view = subject.test, view_of(subject, subject.test.inputs, "mean")
    counted = Counter(word for line in split.inputs for word in line.split())
    wanted = [
        [-np.log((counted[word] + 1) / (counted.total() + len(counted) + 1)) for word in line.split()]
        for line in split.inputs
    ]
    control_BF = input_control(subject, view, split.inputs, torch.ones(()))
    for row_F, values in zip(control_BF, wanted, strict=True):
        np.testing.assert_allclose(row_F[: len(values)], values)


@pytest.mark.parametrize("name", ["occlusion", "kernel_shap", "gradient_rollout", "saliency", "smoothgrad"])
def test_the_planted_word_is_found_by_methods_of_every_kind(
    name: str, reader: Any, make_subject: Any
) -> None:
    subject = make_subject(reader[1], reader[0])
    lines = ["the splendid sea and its people", "a film told with splendid patience", "splendid"]
    view = view_of(subject, lines, "mean")
    scores_BF = (
        find_method(name)
        .explain(
            view,
            torch.ones(3, dtype=torch.int64),
            rngs=[np.random.default_rng(row) for row in range(3)],
        )
        .scores_BF
    )
    assert (scores_BF[~view.present_BF] == 0).all()
    assert view.names is not None
    hits = [names[int(row.argmax())] for names, row in zip(view.names, scores_BF, strict=True)]
    assert hits.count("splendid") >= 2, hits


def test_tokens_beyond_the_length_are_cut_and_empty_texts_have_empty_maps(
    reader: Any, make_subject: Any
) -> None:
    """The space takes 24 tokens: what the model does not read, no map speaks of."""
    subject = make_subject(reader[1], reader[0])
    view = view_of(subject, [" ".join(["film"] * 60), ""], "mean")
    assert view.names is not None
    assert len(view.names[0]) == view.present_BF.shape[1] == 24
    for name in ("occlusion", "kernel_shap", "shapley", "integrated_gradients"):
        maps = find_method(name).explain(view, torch.ones(2, dtype=torch.int64), rngs=[])
        assert maps.scores_BF.shape == (2, 24)
        assert bool(maps.scores_BF.isfinite().all())
        assert float(maps.scores_BF[1].abs().max()) == 0


def test_the_planted_word_beats_rare_words_and_depends_on_the_model(
    reader: tuple[Dataset, TextTransformer], make_subject: Any, run_check: Any
) -> None:
    """Faithfulness against word rarity, localisation of `splendid`, and the cascade; whatever the shards."""
    dataset, model = reader
    subject = make_subject(model, dataset)
    planted = PlantedEvidence(word="Splendid")
    frames = []
    for shard in (20, 7):
        config = FaithfulnessConfig(
            methods=("integrated_gradients",), examples=20, levels=6, shard=shard, planted=planted
        )
        check = Faithfulness()
        frames.append(pl.concat([check.execute(task, subject) for task in check.tasks(subject, config)]))
    for name in ("integrated_gradients.infidelity", "random.deletion_auc", "rarity.deletion_auc"):
        first, second = (frame[f"faithfulness.{name}"] for frame in frames)
        np.testing.assert_allclose(first.to_numpy(), second.to_numpy(), atol=1e-3, err_msg=name)
    ledger = run_check(check, subject, config)
    found: dict[str, Any] = {m.label(): m for m in check.summarise(ledger, subject, config)}
    assert found["relevance_mass (method=integrated_gradients)"].value > 0.5
    assert found["relevance_mass (method=integrated_gradients)"].n == 10  # half the texts hold the word
    assert found["faithfulness_gain (method=integrated_gradients, control=rarity)"].value is not None

    cascade, options = Randomisation(), RandomisationConfig(methods=("saliency",), examples=6, seeds=2)
    ledger = run_check(cascade, subject, options)
    label = "randomisation_similarity (method=saliency)"
    similar: dict[str, Any] = {m.label(): m for m in cascade.summarise(ledger, subject, options)}
    assert similar[label].value < 0.9
