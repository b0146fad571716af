"""HotFlip: tokens flipped along the gradient of their embeddings (Ebrahimi et al., arXiv:1712.06751).

Flipping a token from u to v changes the loss, to first order, by ∇·(e_v − e_u): one matrix product of the
gradients at all positions of all texts with the embedding matrix scores every flip there is. A beam search
(`word_search`) puts the best of them to the model. A word takes one flip; eps is the fraction of words.

What may be flipped is a token of letters inside a word, to one that also begins (or continues) a word: whole
words where words are tokens, pieces of words under a subword tokenizer, single letters — the paper's
character flips — under a tokenizer of characters. A flip is only asked where the new text is tokenised as
intended; success is the model's answer to that text.

Flips do not keep the meaning: "good" may become "bad". Robust accuracy under HotFlip says how few tokens
decide the answer. `similarity` demands a least cosine between the vectors of old and new token (the paper
takes 0.8 for words), `protected` names words that stay, such as `STOP_WORDS` and `NEGATIONS`.

Details: `similarity` the lowest cosine over the flips (1 where there are none), `mean_similarity`,
`satisfied` (bool) whether the returned text keeps every constraint, looked at anew.

Legend: B texts, A variants, L tokens, S slots (tokens that may flip), V vocabulary, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from raiaudit.attacks.corruptions.characters import words_of
from raiaudit.attacks.evasion.base import AttackResult, LogitsOf, Modality, prepared
from raiaudit.attacks.evasion.texts.constraints import Kept, details_of
from raiaudit.attacks.evasion.texts.tokens import TokenModel, Tokens, like, require_texts, token_model
from raiaudit.attacks.evasion.texts.word_search import Edit, Variant, search
from raiaudit.attacks.spaces import InputSpace
from raiaudit.attacks.threats import Knowledge, Norm, ThreatModel

__all__ = ["HotFlip"]


@dataclass(frozen=True, slots=True)
class _Slot:
    """A token that may flip: its variant, place and word, and where in the word it is written."""

    variant: int
    place: int
    word: int
    text: str
    start: int
    end: int


_Flip = tuple[float, _Slot, int]
"""First-order gain, where, and the token it becomes."""


class _Flips:
    """The neighbourhood of a text: one token of letters for another."""

    def __init__(self, model: TokenModel, similarity: float | None, candidates: int) -> None:
        self.model, self.similarity, self.candidates = model, similarity, candidates
        self.vector_VD = model.vectors.detach()
        device = self.vector_VD.device
        self.letters = [piece.strip() if piece.strip().isalpha() else "" for piece in model.pieces]
        self.begins_V = torch.tensor([piece.startswith(" ") for piece in model.pieces], device=device)
        self.writes_V = torch.tensor([bool(piece) for piece in self.letters], device=device)
        self.unit_VD = functional.normalize(self.vector_VD, dim=1)

    def edits(self, variants: Sequence[Variant], tokens: Tokens, grad_ALD: Tensor) -> list[list[Edit]]:
        """The flips with the highest first-order gain that survive being written and read."""
        ids = tokens.lists()
        slots = [
            slot
            for number, variant in enumerate(variants)
            for slot in self._slots(number, variant, ids[number], tokens.spans[number])
        ]
        proposed: list[list[_Flip]] = [[] for _ in variants]
        if slots:
            at_S = torch.tensor(
                [(slot.variant, slot.place) for slot in slots], device=grad_ALD.device
            ).unbind(1)
            gain_SC, flip_SC = self._best(grad_ALD[at_S], tokens.ids_BL[at_S])
            for slot, gains, flips in zip(slots, gain_SC.tolist(), flip_SC.tolist(), strict=True):
                proposed[slot.variant] += [
                    (gain, slot, flip) for gain, flip in zip(gains, flips, strict=True) if gain > -torch.inf
                ]
        for flips in proposed:
            flips.sort(key=lambda flip: -flip[0])
            del flips[self.candidates :]
        return self._surviving(variants, ids, proposed)

    def _slots(
        self, number: int, variant: Variant, ids: list[int], spans: Sequence[tuple[int, int]]
    ) -> list[_Slot]:
        words = words_of(variant.text)
        slots = []
        word = 0
        for place, (token, (start, end)) in enumerate(zip(ids, spans, strict=False)):
            while word < len(words) and words[word].end() <= start:
                word += 1
            if word == len(words):
                break
            inside = words[word].start() <= start < end <= words[word].end()
            if (
                inside
                and self.letters[token]
                and word in variant.sentence.free
                and word not in variant.changes
            ):
                first = words[word].start()
                slots.append(_Slot(number, place, word, words[word].group(), start - first, end - first))
        return slots

    def _best(self, grad_SD: Tensor, id_S: Tensor) -> tuple[Tensor, Tensor]:
        """The flips of highest gain at each slot: gain_SC (−∞ where there are fewer), token ids flip_SC."""
        gain_SV = grad_SD @ self.vector_VD.T
        gain_SV -= gain_SV.gather(1, id_S[:, None])
        gain_SV.masked_fill_(~self.writes_V | (self.begins_V != self.begins_V[id_S][:, None]), -torch.inf)
        if self.similarity is not None:
            gain_SV.masked_fill_(self.unit_VD[id_S] @ self.unit_VD.T < self.similarity, -torch.inf)
        gain_SV.scatter_(1, id_S[:, None], -torch.inf)
        best = gain_SV.topk(min(self.candidates, gain_SV.shape[1]), dim=1)
        return best.values, best.indices

    def _surviving(
        self, variants: Sequence[Variant], ids: list[list[int]], proposed: list[list[_Flip]]
    ) -> list[list[Edit]]:
        """Edits whose text is read as the tokens they stand for."""
        flips = [flip for row in proposed for flip in row]
        edits = [
            Edit(slot.word, slot.text[: slot.start] + new + slot.text[slot.end :], gain)
            for gain, slot, flip in flips
            for new in [like(self.letters[flip], slot.text[slot.start : slot.end])]
        ]
        texts = [
            variants[slot.variant].sentence.render({**variants[slot.variant].changes, edit.word: edit.new})
            for (_, slot, _), edit in zip(flips, edits, strict=True)
        ]
        surviving: list[list[Edit]] = [[] for _ in variants]
        if texts:
            for (_, slot, flip), edit, read in zip(
                flips, edits, self.model.tokens(texts).lists(), strict=True
            ):
                wanted = list(ids[slot.variant])
                wanted[slot.place] = flip
                if read == wanted:
                    surviving[slot.variant].append(edit)
        return surviving


@dataclass(frozen=True, slots=True, kw_only=True)
class HotFlip:
    """`beam` texts are kept each round of at most `candidates` questions."""

    name: ClassVar[str] = "hotflip"
    norms: ClassVar[frozenset[Norm]] = frozenset({"l0"})
    modality: ClassVar[Modality] = "text"
    knowledge: ClassVar[Knowledge] = "white"

    beam: int = 3
    candidates: int = 24
    similarity: float | None = None
    protected: frozenset[str] = frozenset()
    batch_size: int = 128

    def __post_init__(self) -> None:
        if self.beam < 1 or self.candidates < self.beam or self.batch_size < 1:
            raise ValueError(f"beam and batch_size must be at least 1, candidates at least beam: {self}")

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
                _Flips(model, self.similarity, self.candidates),
                x,
                y_B,
                eps=threat.eps,
                protected=self.protected,
                beam=self.beam,
                candidates=self.candidates,
                batch_size=self.batch_size,
                budget=threat.budget,
            )
            kept = Kept(
                threat.eps,
                self.protected,
                -1.0 if self.similarity is None else self.similarity,
                lambda old, new: True,
            )
            details = details_of(
                x, found.adversarial, kept, lambda before, after: _cosines(model, before, after), y_B.device
            )
        return found.result(details)


def _cosines(model: TokenModel, before: str, after: str) -> list[float] | None:
    """The cosine of each flip between two texts; None if they are not the same tokens but for flips."""
    read = model.tokens([before, after])
    if bool((read.mask_BL[0] != read.mask_BL[1]).any()):
        return None
    old_F, new_F = read.ids_BL[:, (read.ids_BL[0] != read.ids_BL[1])]
    vectors_VD = model.vectors.detach()
    found: list[float] = functional.cosine_similarity(vectors_VD[old_F], vectors_VD[new_F]).tolist()
    return found
