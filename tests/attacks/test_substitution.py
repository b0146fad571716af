"""Word substitution on models whose neighbours and best substitutes are known, and what guards it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from raiaudit.attacks.evasion.texts.constraints import Kept
from raiaudit.attacks.evasion.texts.lexicon import MARGIN, Lexicon
from raiaudit.attacks.evasion.texts.substitution import Substitution
from raiaudit.attacks.evasion.texts.tokens import NEGATIONS, STOP_WORDS
from raiaudit.attacks.spaces import ImageBox, TokenSpace
from raiaudit.attacks.threats import ThreatModel
from raiaudit.errors import CapabilityError, UsageError

SPACE = TokenSpace(30, 32)
WORDS = ["red", "green", "blue", "pink", "grey", "gold", "white", "black", "beige", "brown"]
WEIGHT = torch.tensor([1.0, 2.0, -1.0])
OFFSET = 30.5
VECTORS = torch.randint(-6, 7, (10, 3), generator=torch.Generator().manual_seed(3)).float()
Model = Callable[..., Any]


def attack(model: Any, texts: list[str], eps: float, **options: Any) -> Any:
    labels = torch.ones(len(texts), dtype=torch.int64)
    threat = ThreatModel("l0", eps, budget=options.pop("budget", None))
    return Substitution(**options)(model, texts, labels, threat, space=SPACE, seed=0)


def along(*weight: float, offset: float = 0.5) -> Callable[[Tensor], Tensor]:
    def margin(embedded_BLD: Tensor) -> Tensor:
        return embedded_BLD.sum(1) @ torch.tensor(weight) + offset

    return margin


def linear(pieces: Model) -> Any:
    """A linear bag of ten words; whole-number vectors make every sum exact."""
    return pieces([f" {word}" for word in WORDS], VECTORS.tolist(), along(1.0, 2.0, -1.0, offset=OFFSET))


def sentences(count: int, length: int) -> list[str]:
    draws = torch.randint(0, 10, (count, length), generator=torch.Generator().manual_seed(5))
    return [" ".join(WORDS[word] for word in row) for row in draws.tolist()]


def fallen(text: str, similarity: float, allowed: int) -> int | None:
    """How few substitutions break a linear model: the largest gains within the neighbourhoods decide."""
    cosine_WW = functional.cosine_similarity(VECTORS[:, None], VECTORS[None], dim=2)
    scores = VECTORS @ WEIGHT
    own = [WORDS.index(word) for word in text.split()]
    gains = sorted(
        (float((scores[word] - scores)[cosine_WW[word] >= similarity].max()) for word in own), reverse=True
    )
    margin = float(scores[own].sum()) + OFFSET
    return next((count for count in range(allowed + 1) if margin - sum(gains[:count]) < 0), None)


@pytest.mark.parametrize("similarity", [-1.0, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("allowed", [1, 3])
def test_a_linear_model_falls_exactly_when_the_best_neighbours_suffice(
    pieces: Model, similarity: float, allowed: int
) -> None:
    texts = sentences(60, 6)
    result = attack(linear(pieces), texts, allowed / 6 + 0.01, similarity=similarity)
    expected = [fallen(text, similarity, allowed) for text in texts]
    assert result.broken_B.tolist() == [count is not None for count in expected]
    assert result.norm_B.tolist() == pytest.approx([(count or 0) / 6 for count in expected])
    assert result.details["satisfied"].all()


def test_the_thresholds_tell_something_apart() -> None:
    """The closed form above is not the same for every threshold and budget."""
    falls = {
        (similarity, allowed): sum(fallen(text, similarity, allowed) is not None for text in sentences(60, 6))
        for similarity in (-1.0, 0.2, 0.5, 0.9)
        for allowed in (1, 3)
    }
    assert len(set(falls.values())) >= 6


def test_every_substitution_is_near_and_reported(pieces: Model) -> None:
    texts = sentences(60, 6)
    result = attack(linear(pieces), texts, 0.5, similarity=0.2)
    for text, changed, lowest, mean in zip(
        texts,
        result.adversarial,
        result.details["similarity"].tolist(),
        result.details["mean_similarity"].tolist(),
        strict=True,
    ):
        pairs = [(a, b) for a, b in zip(text.split(), changed.split(), strict=True) if a != b]
        cosines = [
            float(functional.cosine_similarity(VECTORS[WORDS.index(a)], VECTORS[WORDS.index(b)], dim=0))
            for a, b in pairs
        ] or [1.0]
        assert lowest == pytest.approx(min(cosines), abs=1e-6)
        assert mean == pytest.approx(float(np.mean(cosines)), abs=1e-6)
        assert lowest >= 0.2


def test_a_word_of_several_tokens_is_their_sum(pieces: Model) -> None:
    """un (0, 1) and do (2, 1): "undo" points as (1, 1) does, and losing it to "fix" takes 2.2 off the margin;
    "dye" for "dip" takes 3. The estimate must be exact, for there is one question to each budget.
    """
    names = [" un", "do", " fix", " dip", " dye"]
    vectors = [[0.0, 1.0], [2.0, 1.0], [0.9, 0.9], [30.0, 10.0], [28.5, 8.5]]
    options: dict[str, Any] = {"similarity": 0.999, "candidates": 1}
    model = pieces(names, vectors, along(1.0, 1.0, offset=-41.5))  # 2.5 as it is
    result = attack(model, ["Undo dip"], 0.5, **options)
    assert model.asked == ["Undo dip", "Undo dye", "Undo dye"]
    assert result.broken_B.tolist() == [True]
    model = pieces(names, vectors, along(1.0, 1.0, offset=-1.9))  # 2.1
    result = attack(model, ["Undo"], 1.0, **options)
    assert result.adversarial == ["Fix"]
    assert result.details["similarity"].tolist() == pytest.approx([1.0])


def test_protected_words_numbers_and_clitics_stay(pieces: Model) -> None:
    names = [" film", " not", " 7", " was", " '", "s", " plot", " never", " 8", " s", " poor"]
    model = pieces(names, [[1.0]] * 10 + [[-1.5]], along(1.0))
    options: dict[str, Any] = {"similarity": -1.0}
    result = attack(model, ["film 's not 7 was film"], 1.0, **options)
    # Seven tokens of 1 each and ½; only the two nouns may become −1.5.
    assert result.broken_B.tolist() == [False]
    assert not [text for text in model.asked if " 's not 7 was " not in text]
    assert "never" not in " ".join(model.asked)
    result = attack(model, ["film 's not 7 was film"], 1.0, protected=frozenset(), **options)
    assert result.broken_B.tolist() == [True]  # three of four suffice
    assert not [text for text in model.asked if " 's " not in text or " 7 " not in text or "8" in text]
    assert {"not", "never"} <= NEGATIONS
    assert "was" in STOP_WORDS


def test_the_lexicon_offers_words_and_guards_the_label(pieces: Model) -> None:
    """All neighbours are near. "awful" speaks for class 0: it may not replace what speaks for class 1 or
    for nothing, but may replace what speaks for 0; "plain" speaks for nothing and may replace anything.
    """
    texts = ["great great film plain"] * 50 + ["awful bad film plain"] * 50
    lexicon = Lexicon.of(texts, [1] * 50 + [0] * 50)
    assert [lexicon.lean(word) for word in ("great", "Awful", "bad", "film", "plain", "new")] == [
        1,
        0,
        0,
        None,
        None,
        None,
    ]
    names = [" great", " awful", " bad", " film", " plain", " rare"]
    vectors = [[9.0, 1.0], [9.0, -1.0], [9.0, 1.0], [9.0, 1.0], [9.0, -0.5], [9.0, -9.0]]
    for text, expected in (("great", "plain"), ("film", "plain"), ("bad", "awful")):
        model = pieces(names, vectors, along(0.0, 1.0, offset=0.0))
        assert attack(model, [text], 1.0, lexicon=lexicon).adversarial == [expected]
        # Without the guard the best neighbour is chosen, which here is a word of another class.
        model = pieces(names, vectors, along(0.0, 1.0, offset=0.0))
        free = Lexicon({word: {0: 50, 1: 50} for word in lexicon.usage}, lexicon.base)
        assert attack(model, [text], 1.0, lexicon=free).adversarial == ["awful"]
    # What the lexicon does not hold, or not often enough, is not offered.
    model = pieces(names, vectors, along(0.0, 1.0, offset=0.0))
    assert not attack(model, ["great"], 1.0, lexicon=lexicon, at_least=101).broken_B.any()
    assert model.asked == ["great"]


def test_few_words_lean_by_chance() -> None:
    """Words whose true share is at the limit lean in about 2.5 % of cases, unbiased ones hardly ever."""
    rng = np.random.default_rng(0)
    base, n = 0.4, 200
    for share, low, high in ((base + MARGIN, 0.01, 0.04), (base, 0.0, 0.002)):
        drawn = rng.binomial(n, share, size=3000).tolist()
        lexicon = Lexicon(
            {str(row): {1: count, 0: n - count} for row, count in enumerate(drawn)}, {0: 1 - base, 1: base}
        )
        leaning = np.mean([lexicon.lean(str(row)) == 1 for row in range(3000)])
        assert low <= leaning <= high
    assert Lexicon({"w": {1: 160, 0: 40}}, {0: 0.6, 1: 0.4}).lean("w") == 1


@pytest.mark.parametrize("budget", [None, 1, 4, 9, 40])
def test_passes_are_counted_and_capped(pieces: Model, budget: int | None) -> None:
    model, texts = linear(pieces), sentences(30, 6)
    result = attack(model, texts, 0.5, candidates=5, batch_size=7, budget=budget, similarity=0.0)
    assert len(model.asked) + model.forwards == int(result.forwards_B.sum())
    assert model.backwards == int(result.backwards_B.sum())
    if budget is not None:
        assert int(result.forwards_B.max()) <= budget


def test_invariant_to_batch_order_and_neighbours(pieces: Model) -> None:
    texts = [text for length in (3, 6, 9) for text in sentences(12, length)]
    options: dict[str, Any] = {"similarity": 0.2, "beam": 2, "candidates": 4}
    whole = attack(linear(pieces), texts, 0.34, **options)
    assert 0 < int(whole.broken_B.sum()) < len(texts)
    order = torch.randperm(len(texts), generator=torch.Generator().manual_seed(0)).tolist()
    for part in (order[:13], order[13:]):
        shard = attack(linear(pieces), [texts[i] for i in part], 0.34, batch_size=3, **options)
        assert shard.adversarial == [whole.adversarial[i] for i in part]
        assert torch.equal(shard.forwards_B, whole.forwards_B[part])
        assert torch.equal(shard.details["similarity"], whole.details["similarity"][part])


@pytest.mark.parametrize(
    ("changed", "cosines", "kept"),
    [
        ("a good film not bad", [0.9], True),
        ("a good film not bad", [0.4], False),  # not similar
        ("one good movie not bad", [0.9, 0.9, 0.9], False),  # three of five words
        ("a fine film never bad", [0.9], False),  # a negation
        ("a fine film not  bad", [0.9], False),  # a blank between words
        ("a fine film not", [0.9], False),  # a word lost
        ("a fine film not worse", [0.9], False),  # a pair that is not permitted
        ("a good film not bad", None, False),
    ],
)
def test_constraints_are_judged_from_the_two_texts(
    changed: str, cosines: list[float] | None, kept: bool
) -> None:
    rule = Kept(0.4, NEGATIONS, 0.5, lambda old, new: (old, new) != ("bad", "worse"))
    assert rule.by("a fine film not bad", changed, cosines) is kept


def test_bad_input_is_named(pieces: Model) -> None:
    model, y = linear(pieces), torch.ones(1, dtype=torch.int64)
    substitution, threat = Substitution(), ThreatModel("l0", 0.5)
    with pytest.raises(UsageError, match="l0"):
        substitution(model, ["red"], y, ThreatModel("l2", 0.1), space=SPACE, seed=0)
    with pytest.raises(UsageError, match="texts"):
        substitution(model, ["red"], y, threat, space=ImageBox((1, 2, 2)), seed=0)
    with pytest.raises(CapabilityError, match="characters"):
        substitution(lambda texts: model(texts), ["red"], y, threat, space=SPACE, seed=0)
    with pytest.raises(ValueError, match="cosine"):
        Substitution(similarity=1.5)
    with pytest.raises(ValueError, match="candidates"):
        Substitution(beam=30)
    assert attack(model, [], 0.5).adversarial == []
