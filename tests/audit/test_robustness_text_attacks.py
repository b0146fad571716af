"""HotFlip and substitution through the evasion check, on a text transformer with its own tokenizer."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from planted_ledger import Rows
from planted_texts import fitted_transformer, text_data
from torch import Tensor

from raiaudit.attacks.evasion.texts.tokens import TokenModel
from raiaudit.audit.robustness.evasion import Evasion, EvasionConfig
from raiaudit.audit.robustness.text_attacks import constraints
from raiaudit.errors import CapabilityError
from raiaudit.models.architectures.classifier import Classifier
from raiaudit.models.architectures.text_classifier import OnTexts
from raiaudit.models.architectures.text_transformer import TextTransformer
from raiaudit.models.architectures.tokenizer import PADDING
from raiaudit.models.data.dataset import Dataset, Inputs

GOOD = ["splendid", "charming", "warm", "lovely"]
BAD = ["dreary", "clumsy", "cold", "awful"]
PLAIN = ["film", "story", "people", "city", "music", "scenes", "told", "filled", "seen", "slowly"]


def texts(n: int = 60) -> Dataset:
    """Plain words, and two of the class's own."""
    rng = np.random.default_rng(0)
    lines = []
    for row in range(n):
        words = [*rng.choice(PLAIN, size=6), *rng.choice(GOOD if row % 2 else BAD, size=2)]
        lines.append(" ".join(rng.permutation(words)) + " .")
    return text_data(lines, ("bad", "good"), 120)


@pytest.fixture(scope="module")
def trained() -> tuple[Dataset, TextTransformer]:
    dataset = texts()
    return dataset, fitted_transformer(dataset, 40)


def test_the_transformer_shows_its_tokens(trained: tuple[Dataset, TextTransformer]) -> None:
    """Logits from vectors are those of the text; a token writes the characters its span covers."""
    dataset, model = trained
    shown = OnTexts(model)
    assert isinstance(shown, TokenModel)
    lines = [*dataset.splits["test"].inputs[:5], "Café FILM, 12!", ""]
    read = shown.tokens(lines)
    with torch.no_grad():
        direct = shown(lines)
        torch.testing.assert_close(shown.logits_from(shown.vectors[read.ids_BL], read.mask_BL), direct)
        torch.testing.assert_close(direct, model(model.encode(lines)))
    assert torch.equal(read.mask_BL, read.ids_BL != PADDING)
    written = 0
    for line, ids, spans in zip(lines[:5], read.ids_BL[:5].tolist(), read.spans[:5], strict=True):
        for token, (start, end) in zip(ids, spans, strict=True):
            if shown.pieces[token].strip().isalpha():
                assert line[start:end] == shown.pieces[token].strip()
                assert shown.pieces[token].startswith(" ") == (start == 0 or line[start - 1] == " ")
                written += end - start
    assert written == sum(char.isalpha() for line in lines[:5] for char in line)
    assert [shown.pieces[token] for token in range(3)] == ["", "", ""]


@pytest.mark.parametrize("attack", ["hotflip", "substitution"])
def test_a_spec_may_ask_for_it(
    attack: str, trained: tuple[Dataset, TextTransformer], make_subject: Any, run_check: Any
) -> None:
    dataset, model = trained
    subject = make_subject(model, dataset)
    config = EvasionConfig(eps=(0.13, 0.26, 0.4), attack=attack, shard=25)
    ledger = run_check(Evasion(), subject, config)
    measured = {m.label(): m for m in Evasion().summarise(ledger, subject, config)}
    robust = [
        measured[f"robust_accuracy (norm=l0, eps={eps:g}, attack={attack})"].value or 0.0
        for eps in config.eps
    ]
    assert robust == sorted(robust, reverse=True)
    if attack == "hotflip":  # two words of eight decide, and nothing is forbidden
        assert robust[2] < 0.5 < robust[0]
    where = f"(norm=l0, eps=0.4, attack={attack})"
    satisfied, similarity = (
        measured[f"{name} {where}"] for name in ("constraints_satisfied", "similarity_of_changes")
    )
    broken = ledger.scan(f"evasion.l0-0.4-{attack}.broken").collect().to_series(1)
    assert satisfied.n == int(broken.sum())
    if satisfied.n:
        assert satisfied.value == 1
    if attack == "substitution" and similarity.value is not None:
        assert similarity.value >= 0.5
    examples = Evasion().evidence(ledger, subject, config)["examples"]
    answers = subject.logits(examples["adversarial"].to_list()).argmax(1).tolist() if len(examples) else []
    assert [dataset.classes[answer] for answer in answers] == examples["predicted"].to_list()
    assert (examples["predicted"] != examples["label"]).all()


def test_the_lexicon_is_the_training_split(
    trained: tuple[Dataset, TextTransformer], make_subject: Any
) -> None:
    """Without similarity in the way, a good word may become a plain one and never a bad one."""
    from raiaudit.attacks.evasion.texts.substitution import Substitution
    from raiaudit.attacks.threats import ThreatModel
    from raiaudit.audit.robustness.text_attacks import for_texts

    dataset, model = trained
    attack, on_texts = for_texts(Substitution(similarity=-1.0), make_subject(model, dataset))
    split = dataset.splits["test"]
    result = attack(
        on_texts,
        split.inputs,
        torch.from_numpy(split.labels),
        ThreatModel("l0", 1.0),
        space=dataset.space,
        seed=0,
    )
    for text, changed, label in zip(split.inputs, result.adversarial, split.labels.tolist(), strict=True):
        new = set(changed.split()) - set(text.split())
        assert new.isdisjoint(BAD if label else GOOD)
    assert result.details["satisfied"].all()


class Opaque(Classifier):
    """Counts letters: a text model without tokens to show."""

    architecture = "planted"
    modality = "text"

    def encode(self, inputs: Inputs) -> Tensor:
        return torch.tensor([[float(len(text)), 0.0] for text in inputs])

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs


def test_a_model_without_tokens_is_refused_by_name(make_subject: Any, run_check: Any) -> None:
    subject = make_subject(Opaque(), texts(4))
    with pytest.raises(CapabilityError, match="hotflip"):
        run_check(Evasion(), subject, EvasionConfig(eps=(0.1,), attack="hotflip"))


def test_constraints_are_counted_among_what_was_broken() -> None:
    """Of five texts one is a clean error and one resists; of the other three one broke a constraint."""
    at = "evasion.l0-0.1-hotflip"
    frame = pl.DataFrame(
        {
            "example_id": list("abcde"),
            f"{at}.broken": [True, True, True, True, False],
            f"{at}.clean_broken": [True, False, False, False, False],
            f"{at}.similarity": [1.0, 0.2, 0.4, 0.6, 1.0],
            f"{at}.mean_similarity": [1.0, 0.3, 0.5, 0.7, 1.0],
            f"{at}.satisfied": [True, True, False, True, True],
        }
    )
    satisfied, similarity = constraints("c", Rows(frame), "l0", 0.1, "hotflip", seed=0)
    assert (satisfied.value, satisfied.n) == (2 / 3, 3)
    assert similarity.value == pytest.approx(0.5)
    assert similarity.low is not None
    assert similarity.low < 0.5
    none = frame.with_columns(pl.lit(False).alias(f"{at}.broken"))
    assert [m.value for m in constraints("c", Rows(none), "l0", 0.1, "hotflip", seed=0)] == [None, None]
    assert constraints("c", Rows(frame), "l0", 0.1, "characters", seed=0) == []
