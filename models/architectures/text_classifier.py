"""The base of the families that read texts: tokens in, and an embedding that others may work behind.

Padding (id `padding`, at the end) takes no part in the logits, so they do not depend on the length a batch
is padded to.

Shapes: B texts, L tokens, D width, V vocabulary; ids_BL int64, mask_BL true where there is a token →
logits_BK.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn

from raiaudit.attacks.evasion.texts.tokens import Tokens
from raiaudit.attacks.spaces import TokenSpace
from raiaudit.models.architectures.classifier import Classifier, check_options, space_of
from raiaudit.models.architectures.tokenizer import PADDING, SPECIAL, loaded_tokenizer, train_tokenizer

if TYPE_CHECKING:
    from raiaudit.models.data.dataset import Dataset, Inputs

__all__ = ["OnTexts", "TextClassifier"]


class TextClassifier(Classifier):
    """A subclass sets `embedding` and gives `logits_from`.

    They are the two halves of `forward`, for attributions and attacks that work between them:
    `logits_from(embedding(ids_BL), ids_BL != padding)`. The first token of every text is [CLS], so even an
    empty text has one.
    """

    modality = "text"
    embedding: nn.Embedding
    padding: int = PADDING

    def __init__(self, tokenizer: str, max_length: int, classes: int, **options: Any) -> None:
        super().__init__()
        self.config = {"tokenizer": tokenizer, "max_length": max_length, "classes": classes, **options}
        self.classes = classes
        self.tokenizer = loaded_tokenizer(tokenizer, max_length=max_length)

    @classmethod
    def for_dataset(cls, dataset: Dataset, **options: Any) -> Self:
        """A fresh network with a tokenizer of the size and length the data set's space asks for."""
        check_options(cls, options)
        space = space_of(dataset, TokenSpace, cls)
        tokenizer = train_tokenizer(dataset.splits["train"].inputs, vocabulary=space.vocabulary)
        return cls(tokenizer, space.max_length, len(dataset.classes), **options)

    def encode(self, inputs: Inputs) -> Tensor:
        """Texts to ids_BL, truncated to `max_length` and padded to the longest of them."""
        return torch.tensor(
            [encoding.ids for encoding in self.tokenizer.encode_batch(list(inputs))], dtype=torch.int64
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """ids_BL → logits_BK."""
        return self.logits_from(self.embedding(inputs), inputs != self.padding)

    def logits_from(self, embedded_BLD: Tensor, mask_BL: Tensor) -> Tensor:
        """Logits of tokens given as embeddings, logits_BK."""
        raise NotImplementedError

    def pieces(self) -> list[str]:
        """What each of the V tokens writes; a leading blank begins a word, "" is a special token."""
        written = [
            self.tokenizer.id_to_token(token) or "" for token in range(self.tokenizer.get_vocab_size())
        ]
        return ["" if piece in SPECIAL else piece.replace("▁", " ") for piece in written]


class OnTexts(nn.Module):
    """A text classifier as a function of texts that shows its tokens and their vectors.

    What attacks on texts ask for (`TokenModel` in `attacks/evasion/texts/tokens.py`).
    """

    def __init__(self, model: TextClassifier) -> None:
        super().__init__()
        self.model = model
        self.pieces = model.pieces()

    @property
    def vectors(self) -> Tensor:
        """vector_VD of the tokens."""
        return self.model.embedding.weight

    def tokens(self, texts: Sequence[str]) -> Tokens:
        """Texts as tokens."""
        encodings = self.model.tokenizer.encode_batch(list(texts))
        ids_BL = torch.tensor([encoding.ids for encoding in encodings], device=self.vectors.device)
        return Tokens(ids_BL, ids_BL != self.model.padding, [encoding.offsets for encoding in encodings])

    def logits_from(self, embedded_BLD: Tensor, mask_BL: Tensor) -> Tensor:
        """logits_BK of tokens given as vectors."""
        return self.model.logits_from(embedded_BLD, mask_BL)

    def forward(self, texts: list[str]) -> Tensor:
        """logits_BK of texts."""
        logits_BK: Tensor = self.model(self.model.encode(texts).to(self.vectors.device))
        return logits_BK
