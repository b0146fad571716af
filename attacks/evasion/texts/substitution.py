"""Whole words exchanged for near neighbours in the model's own embedding space, under constraints.

A word may become a word of the lexicon whose vector (the sum of its tokens' vectors) has a cosine of
`similarity` or more with its own; at most the fraction eps of the words may change; `protected` words stay
(negations and stop words by default; numbers are no words and never change). Candidates are ranked by
their first-order gain, as in HotFlip (arXiv:1712.06751), and tried by `word_search`; with `beam` 1 it is
greedy, like TextFooler (arXiv:1907.11932) with the gradient in place of deletion as a word's importance.

What the constraint is worth: neighbours in the embedding of a sentiment model are words it treats alike, not
words that mean alike — antonyms where it was pre-trained on plain text ("good" and "bad" keep the same
company); words of one polarity, or with pieces in common, where it was not. So `lexicon`, counted on
labelled texts, has a say: a substitute may lose the class that a word speaks for and not bring in another
(`Lexicon.opposed`). That guards the label against what the corpus shows, and no more: read some of the
texts before trusting the rate.

Details: `similarity` the lowest cosine over the substitutions (1 where there are none), `mean_similarity`,
`satisfied` (bool) whether the returned text keeps every constraint, looked at anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

from torch import Tensor

from raiaudit.attacks.evasion.base import AttackResult, LogitsOf, Modality, prepared
from raiaudit.attacks.evasion.texts.constraints import Kept, Permitted, details_of
from raiaudit.attacks.evasion.texts.lexicon import Lexicon
from raiaudit.attacks.evasion.texts.neighbours import Neighbours, cosines
from raiaudit.attacks.evasion.texts.tokens import (
    NEGATIONS,
    STOP_WORDS,
    TokenModel,
    is_protected,
    require_texts,
    token_model,
)
from raiaudit.attacks.evasion.texts.word_search import search
from raiaudit.attacks.spaces import InputSpace
from raiaudit.attacks.threats import Knowledge, Norm, ThreatModel

__all__ = ["Substitution"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Substitution:
    """`neighbours` of each word are considered; lexicon words must occur `at_least` times.

    Without a `lexicon` the words are those tokens of the model that begin a word, and nothing guards the
    label.
    """

    name: ClassVar[str] = "substitution"
    norms: ClassVar[frozenset[Norm]] = frozenset({"l0"})
    modality: ClassVar[Modality] = "text"
    knowledge: ClassVar[Knowledge] = "white"

    similarity: float = 0.5
    lexicon: Lexicon | None = None
    at_least: int = 5
    protected: frozenset[str] = NEGATIONS | STOP_WORDS
    neighbours: int = 50
    beam: int = 1
    candidates: int = 24
    batch_size: int = 128

    def __post_init__(self) -> None:
        if not -1 <= self.similarity <= 1:
            raise ValueError(f"similarity is a cosine, got {self.similarity}")
        if self.beam < 1 or self.candidates < self.beam or self.neighbours < 1 or self.batch_size < 1:
            raise ValueError(
                f"beam, neighbours and batch_size must be at least 1, candidates at least beam: {self}"
            )

    def __call__(
        self,
        classifier: LogitsOf,
        x: Sequence[str],
        y_B: Tensor,
        threat: ThreatModel,
        *,
        space: InputSpace,
        seed: int,
        ids: Sequence[int] | Tensor | None = None,
    ) -> AttackResult:
        """Attack texts; nothing here is random.

        Raises `UsageError` for another norm or input space, `CapabilityError` for a classifier that is
        not a `TokenModel` or has no gradient.
        """
        require_texts(self.name, threat, space, y_B)
        model = token_model(self.name, classifier)
        with prepared(classifier):
            found = search(
                model,
                self._neighbours(model, x),
                x,
                y_B,
                eps=threat.eps,
                protected=self.protected,
                beam=self.beam,
                candidates=self.candidates,
                batch_size=self.batch_size,
                budget=threat.budget,
            )
            kept = Kept(threat.eps, self.protected, self.similarity, self._permitted())
            details = details_of(
                x, found.adversarial, kept, lambda before, after: cosines(model, before, after), y_B.device
            )
        return found.result(details)

    def _neighbours(self, model: TokenModel, texts: Sequence[str]) -> Neighbours:
        if self.lexicon is None:
            pieces = (piece[1:] for piece in model.pieces if piece.startswith(" "))
            offered = sorted({piece.lower() for piece in pieces if piece.isalpha()})
        else:
            offered = self.lexicon.words(self.at_least)
        return Neighbours.of(
            model,
            texts,
            [word for word in offered if not is_protected(word, self.protected)],
            similarity=self.similarity,
            permitted=self._permitted(),
            neighbours=self.neighbours,
            candidates=self.candidates,
        )

    def _permitted(self) -> Permitted:
        """Whether one word may become another, before similarity is asked."""
        lexicon = self.lexicon
        if lexicon is None:
            return lambda old, new: old != new
        opposed = cache(lexicon.opposed)
        return lambda old, new: old != new and not opposed(old, new)
