"""Character noise by its definitions, and the search over it on models whose weak words are known."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from raiaudit.attacks.corruptions.characters import (
    KINDS,
    misspell,
    misspelt_words,
    perturb_text,
    read_misspellings,
    words_of,
)
from raiaudit.attacks.evasion.texts.characters import Characters
from raiaudit.attacks.spaces import ImageBox, TokenSpace
from raiaudit.attacks.threats import ThreatModel
from raiaudit.errors import CapabilityError, UnknownNameError, UsageError

SPACE = TokenSpace(1000, 64)
TEXT = "The quick brown foxes don't jump over 12 lazy dogs, however!"
MISSPELLINGS = {"quick": ("quik", "qiuck"), "however": ("howevr",)}


def words(text: str) -> list[str]:
    return [match.group() for match in words_of(text)]


class Keywords:
    """Class 1 while at least `needed` intact key words are left; counts the texts it reads."""

    def __init__(self, keys: set[str], needed: int) -> None:
        self.keys, self.needed, self.read = keys, needed, 0

    def __call__(self, texts: list[str]) -> Tensor:
        self.read += len(texts)
        counts = torch.tensor([float(sum(word in self.keys for word in words(text))) for text in texts])
        return torch.stack([torch.zeros(len(texts)), counts - self.needed + 0.5], dim=1)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_kind_does_what_it_says(kind: str) -> None:
    rng = random.Random(0)
    for word in ["noise", "Thing", "a", "it", "the", "eel", "aaaa", "quick", "however"] * 20:
        noisy = misspell(word, kind, rng, misspellings=MISSPELLINGS)
        if noisy is None:
            continue
        assert noisy != word
        if kind == "natural":
            assert noisy in MISSPELLINGS[word]
            continue
        assert len(noisy) == len(word)
        different = [place for place in range(len(word)) if noisy[place] != word[place]]
        if kind == "keyboard":
            assert len(different) == 1
            continue
        assert Counter(noisy) == Counter(word)
        if kind in ("swap", "middle_random"):
            assert len(word) >= 4
            assert (noisy[0], noisy[-1]) == (word[0], word[-1])
        if kind == "swap":
            assert len(different) == 2
            assert different[1] == different[0] + 1


def test_what_cannot_change_is_none() -> None:
    rng = random.Random(0)
    assert misspell("the", "swap", rng) is None
    assert misspell("aaaa", "fully_random", rng) is None
    assert misspell("é", "keyboard", rng) is None
    assert misspell("zebra", "natural", rng, misspellings=MISSPELLINGS) is None
    with pytest.raises(UnknownNameError, match="keyboard"):
        misspell("word", "keybord", rng)
    with pytest.raises(UsageError, match="natural"):
        misspell("word", "natural", rng)


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("fraction", [0.0, 0.3, 1.0])
def test_perturb_text_changes_at_most_its_fraction_and_words_only(kind: str, fraction: float) -> None:
    for seed in range(10):
        noisy = perturb_text(TEXT, kind, fraction, random.Random(seed), misspellings=MISSPELLINGS)
        before, after = words(TEXT), words(noisy)
        changed = sum(a != b for a, b in zip(before, after, strict=True))
        assert changed <= round(fraction * len(before))
        if kind == "keyboard":
            assert changed == round(fraction * len(before))
        between = [a for a in TEXT if not a.isalpha()]
        assert [a for a in noisy if not a.isalpha()] == between
    assert perturb_text("", kind, 1.0, random.Random(0), misspellings=MISSPELLINGS) == ""


def test_reading_the_authors_list(data_home: Path) -> None:
    lines = (data_home / "reference_noise" / "en.natural").read_text(encoding="utf-8").splitlines()
    found = read_misspellings(lines)
    assert "esteem" in found
    assert "estime" in found["esteem"]
    assert len(found) > 10_000
    assert all(word != wrong.lower() for word, wrongs in found.items() for wrong in wrongs)


def test_keyboard_agrees_with_the_authors_map(data_home: Path) -> None:
    """Every key we call a neighbour is one of theirs."""
    lines = (data_home / "reference_noise" / "en.key").read_text(encoding="utf-8").splitlines()
    theirs = {line.split()[0]: set(line.split()[1:]) for line in lines if line.split()}
    for letter in "abcdefghijklmnopqrstuvwxyz":
        ours = {misspell(letter, "keyboard", random.Random(seed)) for seed in range(40)}
        assert len(ours & theirs[letter]) >= len(ours) - 1, (letter, ours, theirs[letter])


@pytest.mark.parametrize("key_words", [1, 2, 3])
def test_breaks_exactly_when_the_budget_reaches_the_key_words(key_words: int) -> None:
    """k key words of 10, all needed intact but one: k must be misspelt to leave fewer than one."""
    keys = ["wonderful", "superb", "excellent"][:key_words]
    filler = ["this", "film", "with", "many", "people", "walking", "around", "town", "again", "today"]
    texts = [" ".join(filler[: 10 - key_words] + keys)] * 6
    model = Keywords(set(keys), needed=1)
    y = torch.ones(6, dtype=torch.int64)
    attack = Characters(candidates=24, rounds=6)
    for eps, expected in ((key_words / 10 - 0.01, False), (key_words / 10, True)):
        result = attack(model, texts, y, ThreatModel("l0", eps), space=SPACE, seed=0)
        assert set(result.broken_B.tolist()) == {expected}
        assert float(result.norm_B.max()) <= eps + 1e-7
        for text, adversarial, norm in zip(texts, result.adversarial, result.norm_B, strict=True):
            changed = sum(a != b for a, b in zip(words(text), words(adversarial), strict=True))
            assert changed == round(float(norm) * 10)
        assert torch.equal(model(result.adversarial).argmax(1) != y, result.broken_B)


def test_eps_zero_and_clean_errors() -> None:
    model = Keywords({"good"}, needed=1)
    texts = ["a good film", "a bad film", ""]
    y = torch.ones(3, dtype=torch.int64)
    result = Characters()(model, texts, y, ThreatModel("l0", 0.0), space=SPACE, seed=0)
    assert result.adversarial == texts
    assert result.broken_B.tolist() == [False, True, True]
    assert model.read == 3
    assert result.forwards_B.tolist() == [1, 1, 1]


@pytest.mark.parametrize("budget", [1, 5, 9, 30])
def test_queries_are_counted_and_capped(budget: int) -> None:
    texts = [f"some good film number {'x' * size} with great actors" for size in range(1, 8)]
    y = torch.ones(7, dtype=torch.int64)
    for needed in (1, 2):
        model = Keywords({"good", "great"}, needed)
        threat = ThreatModel("l0", 0.2, budget=budget)
        result = Characters()(model, texts, y, threat, space=SPACE, seed=0)
        assert model.read == int(result.forwards_B.sum())
        assert int(result.forwards_B.max()) <= budget
        assert int(result.backwards_B.sum()) == 0


def test_invariant_to_order_and_shard() -> None:
    texts = [f"some good film about item {'xyzw'[i % 4] * (i + 1)} with great actors" for i in range(12)]
    model: Any = Keywords({"good", "great"}, needed=2)
    y = torch.ones(12, dtype=torch.int64)
    threat = ThreatModel("l0", 0.15)
    whole = Characters(rounds=2, candidates=2)(model, texts, y, threat, space=SPACE, seed=3)
    assert 0 < int(whole.broken_B.sum()) < 12
    order = [5, 0, 11, 3, 7, 1, 2, 4, 6, 8, 9, 10]
    for part in (order[:5], order[5:]):
        shard = Characters(rounds=2, candidates=2, batch_size=3)(
            model, [texts[i] for i in part], y[part], threat, space=SPACE, seed=3, ids=part
        )
        assert shard.adversarial == [whole.adversarial[i] for i in part]
        assert shard.forwards_B.tolist() == whole.forwards_B[part].tolist()


def test_natural_misspellings_are_used_once_given() -> None:
    model = Keywords({"however"}, needed=1)
    attack = Characters(kinds=("natural",), misspellings=MISSPELLINGS)
    result = attack(
        model,
        ["so however dull"],
        torch.ones(1, dtype=torch.int64),
        ThreatModel("l0", 0.4),
        space=SPACE,
        seed=0,
    )
    assert result.adversarial == ["so howevr dull"]


def test_bad_input_is_named() -> None:
    model = Keywords({"good"}, needed=1)
    y = torch.ones(1, dtype=torch.int64)
    with pytest.raises(UsageError, match="l0"):
        Characters()(model, ["good"], y, ThreatModel("linf", 0.1), space=SPACE, seed=0)
    with pytest.raises(UsageError, match="texts"):
        Characters()(model, ["good"], y, ThreatModel("l0", 0.1), space=ImageBox((1, 2, 2)), seed=0)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_is_misspelt_at_a_small_share_is_so_at_a_larger_one(kind: str) -> None:
    text = " ".join(["quick", "however", "thing", "noise", "wonderful"] * 4)
    for seed in range(5):
        found = [
            misspelt_words(text, kind, share, random.Random(seed), misspellings=MISSPELLINGS)
            for share in (0.1, 0.2, 0.5, 1.0)
        ]
        for small, large in pairwise(found):
            assert small.items() <= large.items()
        limit = 8 if kind == "natural" else 20  # "quick" and "however" alone are in the list
        assert [len(changes) for changes in found] == [2, 4, min(10, limit), limit]


def test_a_model_that_answers_nan_is_refused() -> None:
    def model(texts: list[str]) -> Tensor:
        return torch.full((len(texts), 2), float("nan"))

    with pytest.raises(CapabilityError, match="NaN"):
        Characters()(
            model,
            ["good", "bad"],
            torch.ones(2, dtype=torch.int64),
            ThreatModel("l0", 0.1),
            space=SPACE,
            seed=0,
        )
