"""HotFlip on models whose best flips are known, and on tokenizers that read a flip back as something else."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, product
from typing import Any

import pytest
import torch
from torch import Tensor

from raiaudit.attacks.evasion.texts.hotflip import HotFlip
from raiaudit.attacks.evasion.texts.tokens import NEGATIONS, STOP_WORDS
from raiaudit.attacks.spaces import ImageBox, TokenSpace
from raiaudit.attacks.threats import ThreatModel
from raiaudit.errors import CapabilityError, UsageError

SPACE = TokenSpace(30, 32)
WORDS = ["red", "green", "blue", "pink", "grey", "gold", "white", "black"]
Model = Callable[..., Any]


def attack(model: Any, texts: list[str], eps: float, **options: Any) -> Any:
    budget = options.pop("budget", None)
    labels = options.pop("labels", torch.ones(len(texts), dtype=torch.int64))
    threat = ThreatModel("l0", eps, budget=budget)
    return HotFlip(**options)(model, texts, labels, threat, space=SPACE, seed=0)


def total(weight: list[float], offset: float = 0.5) -> Callable[[Tensor], Tensor]:
    """w·(sum of the vectors) + offset: whole-number vectors make every sum exact."""

    def margin(embedded_BLD: Tensor) -> Tensor:
        return embedded_BLD.sum(1) @ torch.tensor(weight) + offset

    return margin


def linear(pieces: Model) -> Any:
    """A linear bag of eight words with whole-number vectors."""
    vectors = torch.randint(-6, 7, (8, 3), generator=torch.Generator().manual_seed(3)).float()
    return pieces([f" {word}" for word in WORDS], vectors.tolist(), total([1.0, 2.0, -1.0], 70.5))


def sentences(count: int, length: int) -> list[str]:
    draws = torch.randint(0, 8, (count, length), generator=torch.Generator().manual_seed(5))
    return [" ".join(WORDS[word] for word in row) for row in draws.tolist()]


def score(model: Any, word: int) -> float:
    return float(model.vectors[2 + word].detach() @ torch.tensor([1.0, 2.0, -1.0]))


@pytest.mark.parametrize("flips", [1, 2, 3])
def test_a_linear_model_falls_exactly_when_the_best_flips_suffice(pieces: Model, flips: int) -> None:
    """A flip of word u gains at most s(u) − min s: the largest of those decide, at one question a round."""
    model, texts = linear(pieces), sentences(60, 6)
    scores = [score(model, word) for word in range(8)]
    result = attack(model, texts, flips / 6 + 0.01, beam=1, candidates=1)
    expected, needed = [], []
    for text in texts:
        own = [scores[WORDS.index(word)] for word in text.split()]
        gains = sorted((value - min(scores) for value in own), reverse=True)
        margin = sum(own) + 70.5
        falls = [count for count in range(flips + 1) if margin - sum(gains[:count]) < 0]
        expected.append(bool(falls))
        needed.append(falls[0] / 6 if falls else 0.0)
    assert result.broken_B.tolist() == expected
    assert 0 < sum(expected) < 60
    assert result.norm_B.tolist() == pytest.approx(needed)
    assert torch.equal(model(result.adversarial).argmax(1) == 0, result.broken_B)
    assert result.details["satisfied"].all()


def test_the_beam_finds_what_greedy_misses(pieces: Model) -> None:
    """Loss −1.5 + .5x₁ + .4y₂ + .6z₁ + 2x₁y₂: z₁ is the best first flip and leads nowhere."""

    def margin(embedded_BLD: Tensor) -> Tensor:
        first, second = embedded_BLD[:, 1], embedded_BLD[:, 2]
        x, z, y = first[:, 0], first[:, 2], second[:, 1]
        return 1.5 - 0.5 * x - 0.4 * y - 0.6 * z - 2 * x * y

    vectors = [[0.0] * 3, [0.0] * 3, [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    model = pieces([" a", " b", " x", " y", " z"], vectors, margin)
    texts = [" ".join(pair) for pair in product("abxyz", repeat=2)]
    assert [text for text in texts if float(margin(embed(model, text).detach())) < 0] == ["x y"]
    assert not attack(model, ["a b"], 1.0, beam=1).broken_B.any()
    found = attack(model, ["a b"], 1.0, beam=2)
    assert found.adversarial == ["x y"]
    assert found.broken_B.tolist() == [True]
    assert found.norm_B.tolist() == [1.0]


def test_a_good_flip_of_a_bad_variant_does_not_crowd_out_the_better_text(pieces: Model) -> None:
    """x₁ then z₃ breaks the text; after y₂, u₁ and v₁ gain more and end lower."""

    def margin(embedded_BLD: Tensor) -> Tensor:
        first, second, third = (embedded_BLD[:, place] for place in (1, 2, 3))
        x, y, z, u, v = first[:, 0], second[:, 1], third[:, 2], first[:, 3], first[:, 4]
        return 5 - 4 * x - 1.6 * y - 1.5 * z - y * (3 * u + 2.5 * v - 3 * x)

    names = [" a", " b", " c", " x", " y", " z", " u", " v"]
    model = pieces(names, [[0.0] * 5] * 3 + torch.eye(5).tolist(), margin)
    found = attack(model, ["a b c"], 0.67, beam=2, candidates=2)
    assert found.adversarial == ["x b z"]


def test_an_error_that_does_not_last_is_no_error(pieces: Model) -> None:
    """A model that errs on a text only when it first reads it."""

    class Fickle(pieces):  # type: ignore[misc,valid-type]  # the fixture's class
        def forward(self, texts: list[str]) -> Tensor:
            wrong = [text != "good" and text not in self.asked for text in texts]
            self.asked += texts
            return torch.tensor([[float(errs), 0.5] for errs in wrong])

    model = Fickle([" good", " bad"], [[1.0], [-9.0]], total([1.0]))
    result = attack(model, ["good"], 1.0)
    assert result.broken_B.tolist() == [False]
    assert model.asked == ["good", "bad", "bad"]


def embed(model: Any, text: str) -> Tensor:
    vectors: Tensor = model.vectors[model.tokens([text]).ids_BL]
    return vectors


def test_a_flip_that_is_read_back_differently_is_never_asked(pieces: Model) -> None:
    """un+do → un+til is written "until", which the tokenizer reads as one token that changes nothing."""
    names = [" un", "do", "til", "it", " until", " unit"]
    for survivor in (False, True):
        # "til" and "it" would break the text; " until" and " unit" stand in their way.
        values = [[0.0], [1.0], [-9.0], [-4.0], [1.0], [1.0]]
        kept = names if not survivor else names[:-1]
        model = pieces(kept, values[: len(kept)], total([1.0]))
        result = attack(model, ["undo"], 1.0)
        assert "until" not in model.asked
        assert result.broken_B.tolist() == [survivor]
        assert result.adversarial == ["unit" if survivor else "undo"]


def test_only_the_answer_to_the_text_counts(pieces: Model) -> None:
    """The vectors promise an error that no text gives."""

    class Steadfast(pieces):  # type: ignore[misc,valid-type]  # the fixture's class
        def forward(self, texts: list[str]) -> Tensor:
            self.asked += texts
            return torch.tensor([[0.0, 1.0]]).repeat(len(texts), 1)

    model = Steadfast([" good", " bad"], [[1.0], [-9.0]], total([1.0]))
    result = attack(model, ["good good"], 1.0)
    assert not result.broken_B.any()
    assert result.adversarial == ["good good"]
    assert {"bad good", "good bad", "bad bad"} <= set(model.asked)


def test_letters_flip_under_a_tokenizer_of_letters(pieces: Model) -> None:
    """One letter of each of at most two words, an initial for an initial, an inner one for an inner one."""
    alphabet = "abcdeq"
    values = [[1.0]] * 5 + [[-3.0]] + [[1.0]] * 5 + [[-2.0]]
    model = pieces([f" {a}" for a in alphabet] + list(alphabet), values, total([1.0]))
    result = attack(
        model, ["Ab cad dad"], 0.7
    )  # 8 letters: margin 8.5; an initial q takes 4 off, an inner one 3
    assert not result.broken_B.any()
    result = attack(model, ["Ab cad dad"], 1.0)
    assert result.adversarial == ["Qb qad qad"]
    assert result.norm_B.tolist() == [1.0]
    with pytest.raises(StopIteration):
        model.tokens(["xyz"])


def test_what_may_not_flip_stays(pieces: Model) -> None:
    """Numbers, punctuation, protected words, and pieces that are no letters."""
    names = [" film", " not", " 7", " !", " s", "'", "s", " poor", " 8", " ?"]
    values = [[1.0], [1.0], [1.0], [1.0], [1.0], [1.0], [1.0], [-3.0], [-90.0], [-90.0]]
    model = pieces(names, values, total([1.0]))
    result = attack(model, ["film not 7 ! film's"], 1.0, protected=NEGATIONS)
    assert result.broken_B.tolist() == [True]
    assert set(result.adversarial[0].split()) <= {"film", "poor", "not", "7", "!", "film's", "poor's"}
    assert " not 7 ! " in result.adversarial[0]
    every = NEGATIONS | STOP_WORDS | {"film", "film's"}
    assert not attack(model, ["film not 7 ! film's"], 1.0, protected=every).broken_B.any()
    assert not [text for text in model.asked if "8" in text or "?" in text]


def test_similarity_is_demanded_and_reported(pieces: Model) -> None:
    """Cosines with "good": fine 0.6, evil −1. Only the flip the threshold allows is made."""
    vectors = [[1.0, 0.0], [0.6, 0.8], [-1.0, 0.0]]

    def margin(embedded_BLD: Tensor) -> Tensor:
        return embedded_BLD[..., 0].sum(1) - 0.9

    model = pieces([" good", " fine", " evil"], vectors, margin)
    free = attack(model, ["good"], 1.0)
    assert free.adversarial == ["evil"]
    assert free.details["similarity"].tolist() == pytest.approx([-1.0])
    bound = attack(model, ["good"], 1.0, similarity=0.59)
    assert bound.adversarial == ["fine"]
    assert bound.details["similarity"].tolist() == pytest.approx([0.6])
    assert bound.details["mean_similarity"].tolist() == pytest.approx([0.6])
    assert bound.details["satisfied"].tolist() == [True]
    none = attack(model, ["good"], 1.0, similarity=0.61)
    assert none.broken_B.tolist() == [False]
    assert none.details["similarity"].tolist() == [1.0]


@pytest.mark.parametrize("budget", [None, 1, 4, 9, 40])
def test_passes_are_counted_and_capped(pieces: Model, budget: int | None) -> None:
    model, texts = linear(pieces), sentences(30, 6)
    result = attack(model, texts, 0.5, beam=2, candidates=5, batch_size=7, budget=budget)
    assert len(model.asked) + model.forwards == int(result.forwards_B.sum())
    assert model.backwards == int(result.backwards_B.sum())
    if budget is not None:
        assert int(result.forwards_B.max()) <= budget
    assert (budget == 1) == (model.backwards == 0)


def test_invariant_to_batch_order_and_neighbours(pieces: Model) -> None:
    texts = [text for length in (3, 6, 9) for text in sentences(12, length)]
    whole = attack(linear(pieces), texts, 0.34, beam=2, candidates=4)
    assert 0 < int(whole.broken_B.sum()) < len(texts)
    order = torch.randperm(len(texts), generator=torch.Generator().manual_seed(0)).tolist()
    for part in (order[:13], order[13:]):
        shard = attack(linear(pieces), [texts[i] for i in part], 0.34, beam=2, candidates=4, batch_size=3)
        assert shard.adversarial == [whole.adversarial[i] for i in part]
        assert torch.equal(shard.broken_B, whole.broken_B[part])
        assert torch.equal(shard.forwards_B, whole.forwards_B[part])
        assert torch.equal(shard.backwards_B, whole.backwards_B[part])


def test_a_budget_of_words_is_kept_and_success_is_monotone(pieces: Model) -> None:
    texts = sentences(40, 7)
    before: Tensor | None = None
    for eps in (0.0, 0.14, 0.15, 0.3, 0.6, 1.0):
        result = attack(linear(pieces), texts, eps, beam=2)
        assert float(result.norm_B.max()) <= eps + 1e-7
        for text, changed, norm in zip(texts, result.adversarial, result.norm_B.tolist(), strict=True):
            differ = sum(a != b for a, b in zip(text.split(), changed.split(), strict=True))
            assert differ / 7 == pytest.approx(norm)
        assert before is None or not bool((before & ~result.broken_B).any())
        before = result.broken_B
        if eps == 0.14:  # less than one word of seven
            assert result.adversarial == texts


def test_the_search_is_as_good_as_trying_everything(pieces: Model) -> None:
    """A model of products of neighbouring words, against all pairs of flips of a text of four words."""
    vectors = torch.randint(-2, 3, (8, 2), generator=torch.Generator().manual_seed(1)).float()

    def margin(embedded_BLD: Tensor) -> Tensor:
        products_B = (embedded_BLD[:, 1:-1] * embedded_BLD[:, 2:]).sum((1, 2))
        return products_B + embedded_BLD.sum((1, 2)) + 9.5

    model = pieces([f" {word}" for word in WORDS], vectors.tolist(), margin)
    texts = sentences(25, 4)
    result = attack(model, texts, 0.5, beam=8, candidates=32)
    possible = []
    for text in texts:
        words = text.split()
        variants = {text}
        for places, new in product(combinations(range(4), 2), product(WORDS, repeat=2)):
            changed = list(words)
            for place, word in zip(places, new, strict=True):
                changed[place] = word
            variants.add(" ".join(changed))
        with torch.no_grad():
            possible.append(bool((model(sorted(variants)).argmax(1) == 0).any()))
    assert 0 < sum(possible) < 25
    found = result.broken_B.tolist()
    assert all(can for can, did in zip(possible, found, strict=True) if did)
    assert sum(found) >= 0.9 * sum(possible)


def test_the_model_is_left_as_it_was(pieces: Model) -> None:
    model = linear(pieces).train()
    attack(model, sentences(5, 4), 0.5)
    assert model.training
    assert model.vectors.requires_grad
    assert model.vectors.grad is None


def test_texts_with_nothing_to_flip_are_left_alone(pieces: Model) -> None:
    result = attack(linear(pieces), ["", "red"], 1.0, labels=torch.tensor([0, 1]))
    assert result.adversarial[0] == ""
    assert result.broken_B.tolist()[0] is True  # an empty sum is class 1
    assert attack(linear(pieces), [], 1.0).adversarial == []


def test_bad_input_is_named(pieces: Model) -> None:
    model = linear(pieces)
    y = torch.ones(1, dtype=torch.int64)
    flip, threat = HotFlip(), ThreatModel("l0", 0.5)
    with pytest.raises(UsageError, match="l0"):
        flip(model, ["red"], y, ThreatModel("linf", 0.1), space=SPACE, seed=0)
    with pytest.raises(UsageError, match="texts"):
        flip(model, ["red"], y, threat, space=ImageBox((1, 2, 2)), seed=0)
    with pytest.raises(UsageError, match="int64"):
        flip(model, ["red"], y.float(), threat, space=SPACE, seed=0)
    with pytest.raises(CapabilityError, match="tokens and embeddings"):
        flip(lambda texts: model(texts), ["red"], y, threat, space=SPACE, seed=0)
    with pytest.raises(ValueError, match="candidates"):
        HotFlip(beam=5, candidates=3)


def test_a_model_without_gradient_or_with_nan_is_refused(pieces: Model) -> None:
    flat = pieces([" a", " b"], [[1.0], [2.0]], lambda embedded: embedded.detach().sum((1, 2)))
    with pytest.raises(CapabilityError, match="no gradient"):
        attack(flat, ["a"], 1.0)
    broken = pieces([" a"], [[float("nan")]], lambda embedded: embedded.sum((1, 2)))
    with pytest.raises(CapabilityError, match="NaN"):
        attack(broken, ["a", "a"], 1.0)
    assert attack(broken, ["a"], 1.0).broken_B.tolist() == [True]  # alone it may be the text's fault


def test_an_example_with_nan_gradients_does_not_take_its_batch_down(pieces: Model) -> None:
    """The square root of the first text's vectors has an infinite slope at 0."""

    def margin(embedded_BLD: Tensor) -> Tensor:
        return embedded_BLD[..., 0].sum(1) + 0.5 + embedded_BLD[..., 1].sum(1).sqrt() * 0

    model = pieces([" a", " b", " c"], [[1.0, 0.0], [1.0, 4.0], [-9.0, 1.0]], margin)
    result = attack(model, ["a a", "b b"], 0.5)
    assert result.broken_B.tolist() == [True, True]
