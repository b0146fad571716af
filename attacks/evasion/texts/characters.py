"""Misspellings chosen to mislead: a greedy search over the character noise of arXiv:1711.02173.

A text may have up to a fraction `eps` of its words misspelt, each at most once (norm "l0"). In each of
`rounds` rounds every standing text tries `candidates` random extensions of its worst variant so far —
more words misspelt while the round allows, else one misspelling exchanged for another — and keeps the one
with the lowest margin. Scores suffice; a query is counted as a forward.

Shapes: B texts, A those still standing, K classes; logits_BK from a list of texts.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from raiaudit.attacks.corruptions.characters import Misspellings, misspell, perturb_text, replaced, words_of
from raiaudit.attacks.evasion.base import AttackResult, LogitsOf, Modality, prepared
from raiaudit.attacks.evasion.engine.rows import example_ids
from raiaudit.attacks.evasion.engine.rules import errs, margin
from raiaudit.attacks.evasion.texts.tokens import clean_errors, logits_of, require_texts, words_allowed
from raiaudit.attacks.spaces import InputSpace
from raiaudit.attacks.threats import Knowledge, Norm, ThreatModel

__all__ = ["Characters", "perturb_text"]

_WRITTEN = ("swap", "middle_random", "fully_random", "keyboard")

Changes = dict[int, str]
"""Word index → what it has been misspelt as."""


@dataclass(slots=True)
class _Search:
    """One text on its way: its words, how many may change, the worst variant so far."""

    row: int
    text: str
    words: list[re.Match[str]]
    allowed: int
    rng: random.Random
    changes: Changes = field(default_factory=dict)
    margin: float = math.inf

    def render(self, changes: Changes) -> str:
        return replaced(self.text, self.words, changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Characters:
    """`kinds` of noise to draw from; "natural" takes `misspellings` and is on once they are given."""

    name: ClassVar[str] = "characters"
    norms: ClassVar[frozenset[Norm]] = frozenset({"l0"})
    modality: ClassVar[Modality] = "text"
    knowledge: ClassVar[Knowledge] = "score"

    kinds: tuple[str, ...] | None = None
    misspellings: Misspellings | None = None
    candidates: int = 8
    rounds: int = 5
    batch_size: int = 256

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
        """Attack texts. Raises `UsageError` for another norm or another input space."""
        require_texts(self.name, threat, space, y_B)
        texts = list(x)
        adversarial = list(texts)
        norm_B = torch.zeros(len(texts), device=y_B.device)
        forwards_B = torch.ones_like(y_B)
        ids_B = example_ids(ids, len(texts), torch.device("cpu")).tolist()
        with prepared(classifier), torch.no_grad():
            broken_B = clean_errors(classifier, texts, y_B, self.batch_size)
            standing = [
                self._search(row, texts[row], threat.eps, f"{seed}/{self.name}/{ids_B[row]}")
                for row in (~broken_B).nonzero().flatten().tolist()
            ]
            spent = 1
            for round_number in range(1, self.rounds + 1):
                # One query is kept back for the second look at a success.
                standing = [search for search in standing if search.allowed]
                spent += self.candidates
                if not standing or (threat.budget is not None and spent + 1 > threat.budget):
                    break
                found = self._round(classifier, standing, y_B, round_number / self.rounds)
                forwards_B[[search.row for search in standing]] += self.candidates
                if not found:
                    continue
                rows = [search.row for search in found]
                variants = [search.render(search.changes) for search in found]
                holds = errs(logits_of(classifier, variants, self.batch_size), y_B[rows]).tolist()
                forwards_B[rows] += 1
                for search, variant, held in zip(found, variants, holds, strict=True):
                    if held:
                        adversarial[search.row] = variant
                        broken_B[search.row] = True
                        norm_B[search.row] = len(search.changes) / len(search.words)
                gone = {id(search) for search in found}
                standing = [search for search in standing if id(search) not in gone]
        return AttackResult(adversarial, broken_B, norm_B, forwards_B, torch.zeros_like(forwards_B))

    def _search(self, row: int, text: str, eps: float, key: str) -> _Search:
        words = words_of(text)
        return _Search(row, text, words, words_allowed(eps, len(words)), random.Random(key))

    def _round(
        self, classifier: LogitsOf, standing: list[_Search], y_B: Tensor, progress: float
    ) -> list[_Search]:
        """Try candidates for every text and keep the worst; returns the texts whose worst is an error."""
        proposals = [self._propose(search, progress) for search in standing for _ in range(self.candidates)]
        owners = [search for search in standing for _ in range(self.candidates)]
        texts = [search.render(changes) for search, changes in zip(owners, proposals, strict=True)]
        logits_AK = logits_of(classifier, texts, self.batch_size)
        y_A = y_B[[search.row for search in owners]]
        margins = torch.where(errs(logits_AK, y_A), -torch.inf, margin(logits_AK, y_A)).tolist()
        for search, changes, found in zip(owners, proposals, margins, strict=True):
            if found < search.margin:
                search.margin, search.changes = found, changes
        return [search for search in standing if search.margin == -math.inf]

    def _propose(self, search: _Search, progress: float) -> Changes:
        """The worst variant with more words misspelt, or one misspelling exchanged for another."""
        changes = dict(search.changes)
        target = max(1, math.ceil(progress * search.allowed))
        if len(changes) >= target:
            del changes[search.rng.choice(sorted(changes))]
        kinds = self.kinds or (_WRITTEN if self.misspellings is None else (*_WRITTEN, "natural"))
        untouched = [index for index in range(len(search.words)) if index not in changes]
        for index in search.rng.sample(untouched, len(untouched)):
            if len(changes) >= target:
                break
            noisy = misspell(
                search.words[index].group(),
                search.rng.choice(kinds),
                search.rng,
                misspellings=self.misspellings,
            )
            if noisy is not None:
                changes[index] = noisy
        return changes
