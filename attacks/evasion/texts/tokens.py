"""What attacks on texts share: a model that shows its tokens, words that may change, counted questions.

A budget eps (norm "l0") is a fraction of the words of a text, rounded down; words are runs of letters
(`words_of`), so numbers and punctuation are never touched.

Legend: B texts, L tokens, V vocabulary, D width, K classes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from raiaudit.attacks.corruptions.characters import replaced, words_of
from raiaudit.attacks.evasion.base import LogitsOf
from raiaudit.attacks.evasion.engine.rules import errs, refuse_a_model_of_nans
from raiaudit.attacks.spaces import InputSpace, TokenSpace
from raiaudit.attacks.threats import ThreatModel
from raiaudit.errors import CapabilityError, UsageError

__all__ = [
    "NEGATIONS",
    "STOP_WORDS",
    "Sentence",
    "TokenModel",
    "Tokens",
    "clean_errors",
    "is_protected",
    "like",
    "logits_of",
    "require_texts",
    "token_model",
    "words_allowed",
]

_NEGATIONS = "cannot hardly neither never no nobody none nor not nothing nowhere scarcely without"
_STOP_WORDS = (
    "a about all also am an and any are as at be been being both but by can could did do does each for from "
    "had has have he her him his how i if in into is it its just may me might more most must my no nor not "
    "of on only or our she should so some such than that the their them then there these they this those to "
    "too us very was we were what when where which while who whom why will with would you your"
)

NEGATIONS = frozenset(_NEGATIONS.split())
"""English words that turn a meaning round; words that end in n't count as negations too."""

STOP_WORDS = frozenset(_STOP_WORDS.split())
"""English words that carry grammar rather than content."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Texts as a model reads them: `mask_BL` is false at padding, which comes last.

    `spans[b][l]` is the part [start, end) of text b that token l stands for; (0, 0) for a token that
    stands for none.
    """

    ids_BL: Tensor
    mask_BL: Tensor
    spans: Sequence[Sequence[tuple[int, int]]]

    def lists(self) -> list[list[int]]:
        """The ids of each text without its padding."""
        lengths = self.mask_BL.sum(1).tolist()
        return [ids[:length] for ids, length in zip(self.ids_BL.tolist(), lengths, strict=True)]


@runtime_checkable
class TokenModel(Protocol):
    """A text classifier that shows its tokens and embeddings: what a gradient attack on texts needs.

    Called with texts it gives logits_BK like any other: that is the only answer that decides an error.
    """

    @property
    def pieces(self) -> Sequence[str]:
        """What each of the V tokens writes; a leading blank begins a word. "" for special tokens."""
        ...

    @property
    def vectors(self) -> Tensor:
        """vector_VD of the tokens."""
        ...

    def tokens(self, texts: Sequence[str]) -> Tokens:
        """Texts as tokens, on the model's device."""
        ...

    def logits_from(self, embedded_BLD: Tensor, mask_BL: Tensor) -> Tensor:
        """logits_BK of tokens given as vectors, differentiable in them."""
        ...

    def __call__(self, texts: list[str]) -> Tensor:
        """logits_BK of texts."""
        ...


@dataclass(frozen=True, slots=True)
class Sentence:
    """A text under attack: its row in the batch, its words, which may change (`free`), and how many."""

    row: int
    text: str
    words: list[re.Match[str]]
    free: frozenset[int]
    allowed: int

    @classmethod
    def of(cls, row: int, text: str, eps: float, protected: frozenset[str]) -> Sentence:
        """`protected` are lower-case words that must stay; so must what follows an apostrophe ('s)."""
        words = words_of(text)
        free = frozenset(
            index
            for index, word in enumerate(words)
            if not is_protected(word.group(), protected) and text[: word.start()][-1:] not in ("'", "’")
        )
        return cls(row, text, words, free, min(words_allowed(eps, len(words)), len(free)))

    def render(self, changes: Mapping[int, str]) -> str:
        """The text with the words at some indices exchanged."""
        return replaced(self.text, self.words, changes)


def is_protected(word: str, protected: frozenset[str]) -> bool:
    """Whether a word is one of `protected`; with negations among them, anything in n't is."""
    low = word.lower().replace("’", "'")
    return low in protected or (low.endswith("n't") and protected >= NEGATIONS)


def words_allowed(eps: float, count: int) -> int:
    """How many of `count` words a budget of `eps` lets change."""
    return count if eps >= 1 else math.floor(eps * count + 1e-9)


def like(new: str, old: str) -> str:
    """`new` with the first letter's case of `old`."""
    return new[:1].upper() + new[1:] if old[:1].isupper() else new


def require_texts(name: str, threat: ThreatModel, space: InputSpace, y_B: Tensor) -> None:
    """Raise `UsageError` unless the threat is "l0", the space is texts and labels are int64."""
    if threat.norm != "l0" or not isinstance(space, TokenSpace):
        raise UsageError(f"attack {name!r} is for texts, with norm 'l0' (a fraction of the words)")
    if y_B.dtype != torch.int64:
        raise UsageError(f"labels must be int64 class indices, got {y_B.dtype}")


def token_model(name: str, classifier: LogitsOf) -> TokenModel:
    """The classifier, if it is a `TokenModel`; else `CapabilityError`."""
    if not isinstance(classifier, TokenModel):
        raise CapabilityError(
            f"attack {name!r} needs a model that shows its tokens and embeddings",
            remedy="attack it by its scores, with `characters`",
        )
    return classifier


def logits_of(classifier: LogitsOf, texts: Sequence[str], batch_size: int) -> Tensor:
    """logits_BK (float32) in batches of like length, so that little is padding."""
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    parts = [
        classifier([texts[row] for row in order[first : first + batch_size]])
        for first in range(0, len(order), batch_size)
    ]
    logits_BK = torch.cat(parts).float()
    return torch.empty_like(logits_BK).index_copy_(0, torch.tensor(order, device=logits_BK.device), logits_BK)


def clean_errors(classifier: LogitsOf, texts: Sequence[str], y_B: Tensor, batch_size: int) -> Tensor:
    """Which texts are misclassified as they are. Errors as in `refuse_a_model_of_nans`."""
    if not texts:
        return torch.zeros_like(y_B, dtype=torch.bool)
    logits_BK = logits_of(classifier, texts, batch_size)
    refuse_a_model_of_nans(logits_BK.isnan().any(1))
    return errs(logits_BK, y_B)
