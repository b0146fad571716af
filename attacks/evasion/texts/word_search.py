"""Beam search over changed words: gradients propose, the model's answer to the real text decides.

Round r holds, for each standing text, its `beam` worst variants with r words changed. One forward and
backward on their embeddings gives a gradient; a `Neighbourhood` turns it into edits with a first-order
gain (HotFlip's estimate, arXiv:1712.06751); the `candidates` most promising variants with r + 1 words
changed are put, as texts, through the model's public path (as GCG does, arXiv:2307.15043), and the worst
of them by true margin go on. An error counts once the text has been classified a second time.

Passes: each gradient is one forward and one backward, each text asked one forward. `budget` caps the
forwards of each text, the second look included.

Legend: B texts, A variants in hand, L tokens, D width, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from raiaudit.attacks.evasion.base import AttackResult
from raiaudit.attacks.evasion.engine.rules import errs, margin
from raiaudit.attacks.evasion.texts.tokens import Sentence, TokenModel, Tokens, clean_errors, logits_of
from raiaudit.errors import CapabilityError

__all__ = ["Edit", "Found", "Neighbourhood", "Variant", "search"]


@dataclass(frozen=True, slots=True)
class Edit:
    """One word exchanged: its index, what it becomes, and by how much the margin should fall."""

    word: int
    new: str
    gain: float


@dataclass(frozen=True, slots=True)
class Variant:
    """A text with some of its words changed; `loss` is the negative margin the model gave it, +∞ an error."""

    sentence: Sentence
    changes: Mapping[int, str]
    loss: float

    @property
    def text(self) -> str:
        """The text as the model is asked it."""
        return self.sentence.render(self.changes)


class Neighbourhood(Protocol):
    """What a word may become."""

    def edits(self, variants: Sequence[Variant], tokens: Tokens, grad_ALD: Tensor) -> list[list[Edit]]:
        """For each variant the most promising edits of free words it has not yet changed."""
        ...


@dataclass(slots=True)
class Found:
    """One entry for each text; the clean text where no error was found."""

    adversarial: list[str]
    broken_B: Tensor
    norm_B: Tensor
    forwards_B: Tensor
    backwards_B: Tensor

    def result(self, details: Mapping[str, Tensor]) -> AttackResult:
        """With what else there is to say."""
        return AttackResult(
            self.adversarial, self.broken_B, self.norm_B, self.forwards_B, self.backwards_B, details
        )


@dataclass(slots=True)
class _Standing:
    """A text not yet broken: its worst variants, and what may be asked of the model in this round."""

    beam: list[Variant]
    room: int = 0
    pool: dict[str, tuple[float, Mapping[int, str]]] = field(default_factory=dict)

    @property
    def sentence(self) -> Sentence:
        return self.beam[0].sentence


def search(
    model: TokenModel,
    neighbourhood: Neighbourhood,
    texts: Sequence[str],
    y_B: Tensor,
    *,
    eps: float,
    protected: frozenset[str],
    beam: int,
    candidates: int,
    batch_size: int,
    budget: int | None = None,
) -> Found:
    """Search around every text the model gets right.

    Raises `CapabilityError` if the model has no gradient or answers NaN to all clean texts.
    """
    broken_B = clean_errors(model, texts, y_B, batch_size)
    count_B = torch.zeros_like(y_B)
    found = Found(list(texts), broken_B, torch.zeros(len(texts), device=y_B.device), count_B + 1, count_B)
    rows = (~broken_B).nonzero().flatten().tolist()
    sentences = [Sentence.of(row, texts[row], eps, protected) for row in rows]
    standing = [_Standing([Variant(sentence, {}, 0.0)]) for sentence in sentences]
    while True:
        for one in standing:
            spent = int(found.forwards_B[one.sentence.row]) + len(one.beam) + 1
            one.room = candidates if budget is None else min(candidates, budget - spent)
        standing = [
            one for one in standing if one.room > 0 and len(one.beam[0].changes) < one.sentence.allowed
        ]
        if not standing:
            return found
        _propose(model, neighbourhood, standing, y_B, found, candidates, batch_size)
        standing = [one for one in standing if one.pool]
        _ask(model, standing, y_B, found, beam, batch_size)
        _look_again(model, standing, y_B, found, batch_size)
        standing = [one for one in standing if not found.broken_B[one.sentence.row]]


def _propose(
    model: TokenModel,
    neighbourhood: Neighbourhood,
    standing: Sequence[_Standing],
    y_B: Tensor,
    found: Found,
    candidates: int,
    batch_size: int,
) -> None:
    """Fill each pool with the `room` most promising new texts."""
    owners = sorted(
        ((one, variant) for one in standing for variant in one.beam), key=lambda pair: len(pair[1].text)
    )
    for one in standing:
        one.pool = {}
    for first in range(0, len(owners), batch_size):
        chunk = owners[first : first + batch_size]
        variants = [variant for _, variant in chunk]
        rows = torch.tensor([variant.sentence.row for variant in variants], device=y_B.device)
        tokens = model.tokens([variant.text for variant in variants])
        grad_ALD = _gradient(model, tokens, y_B[rows])
        once = torch.ones_like(rows)
        found.forwards_B.index_add_(0, rows, once)
        found.backwards_B.index_add_(0, rows, once)
        for (one, variant), edits in zip(chunk, neighbourhood.edits(variants, tokens, grad_ALD), strict=True):
            for edit in edits:
                changes = {**variant.changes, edit.word: edit.new}
                text, promise = one.sentence.render(changes), variant.loss + edit.gain
                if text not in one.pool or one.pool[text][0] < promise:
                    one.pool[text] = (promise, changes)
    for one in standing:
        best = sorted(one.pool.items(), key=lambda item: (-item[1][0], item[0]))
        one.pool = dict(best[: one.room])


def _gradient(model: TokenModel, tokens: Tokens, y_A: Tensor) -> Tensor:
    """Gradient of the negative margin with respect to each token's vector: grad_ALD."""
    embedded_ALD = model.vectors.detach()[tokens.ids_BL].requires_grad_()
    with torch.enable_grad():
        logits_AK = model.logits_from(embedded_ALD, tokens.mask_BL)
        if not logits_AK.requires_grad:
            raise CapabilityError(
                "the classifier gives no gradient with respect to its embeddings",
                remedy="attack it by its scores, with `characters`",
            )
        (grad_ALD,) = torch.autograd.grad(-margin(logits_AK, y_A).sum(), embedded_ALD)
    return grad_ALD.nan_to_num()


def _ask(
    model: TokenModel, standing: Sequence[_Standing], y_B: Tensor, found: Found, beam: int, batch_size: int
) -> None:
    """Classify every pool and keep the worst `beam` of each as the next variants."""
    if not standing:
        return
    texts = [text for one in standing for text in one.pool]
    rows = torch.tensor([one.sentence.row for one in standing for _ in one.pool], device=y_B.device)
    logits_AK = logits_of(model, texts, batch_size)
    found.forwards_B.index_add_(0, rows, torch.ones_like(rows))
    y_A = y_B[rows]
    losses = torch.where(errs(logits_AK, y_A), torch.inf, -margin(logits_AK, y_A)).tolist()
    first = 0
    for one in standing:
        scored = zip(losses[first : first + len(one.pool)], one.pool.items(), strict=True)
        first += len(one.pool)
        ranked = sorted(scored, key=lambda item: -item[0])[:beam]
        one.beam = [Variant(one.sentence, changes, loss) for loss, (_, (_, changes)) in ranked]


def _look_again(
    model: TokenModel, standing: Sequence[_Standing], y_B: Tensor, found: Found, batch_size: int
) -> None:
    """Record the errors that hold when the text is classified anew."""
    worst = [one.beam[0] for one in standing if one.beam[0].loss == torch.inf]
    if not worst:
        return
    texts = [variant.text for variant in worst]
    rows = [variant.sentence.row for variant in worst]
    holds = errs(logits_of(model, texts, batch_size), y_B[rows]).tolist()
    found.forwards_B[rows] += 1
    for variant, row, text, held in zip(worst, rows, texts, holds, strict=True):
        if held:
            found.adversarial[row] = text
            found.broken_B[row] = True
            found.norm_B[row] = len(variant.changes) / len(variant.sentence.words)
