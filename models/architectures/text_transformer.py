"""A transformer encoder for texts (arXiv:1706.03762), with its own byte-pair tokenizer (`tokenizer`).

Padding takes part neither in attention nor in the mean over tokens that the head reads.

Shapes: B texts, L tokens, D width; ids_BL int64, mask_BL true where there is a token → logits_BK.
"""

from __future__ import annotations

from torch import Tensor, nn

from raiaudit.models.architectures.attention import Encoder, Positions, feed_forward
from raiaudit.models.architectures.text_classifier import TextClassifier
from raiaudit.models.architectures.tokenizer import PADDING

__all__ = ["TextTransformer"]


class TextTransformer(TextClassifier):
    """Embedding → `depth` blocks → mean over tokens → linear."""

    architecture = "text_transformer"

    def __init__(
        self,
        tokenizer: str,
        max_length: int,
        classes: int,
        *,
        width: int = 64,
        depth: int = 2,
        heads: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(
            tokenizer, max_length, classes, width=width, depth=depth, heads=heads, dropout=dropout
        )
        self.embedding = nn.Embedding(self.tokenizer.get_vocab_size(), width, padding_idx=PADDING)
        self.positions = Positions(max_length, width)
        self.dropout = nn.Dropout(dropout)
        self.encoder = Encoder(
            width=width,
            depth=depth,
            heads=heads,
            feedforward=lambda: feed_forward(width, 4 * width, dropout),
            dropout=dropout,
        )
        self.head = nn.Linear(width, classes)
        nn.init.normal_(self.embedding.weight, std=0.1)

    def logits_from(self, embedded_BLD: Tensor, mask_BL: Tensor) -> Tensor:
        """Logits of tokens given as embeddings."""
        mixed_BLD = self.encoder(self.dropout(self.positions(embedded_BLD)), mask_BL)
        weight_BL1 = mask_BL[..., None].to(mixed_BLD.dtype)
        mean_BD = (mixed_BLD * weight_BL1).sum(1) / weight_BL1.sum(1)
        logits: Tensor = self.head(self.dropout(mean_BD))
        return logits

    def attention_weights(self, inputs: Tensor) -> list[Tensor]:
        """Each block's attention map, weights_BHLL; padding has weight 0 as a column."""
        mask_BL = inputs != PADDING
        return self.encoder.attention_weights(self.positions(self.embedding(inputs)), mask_BL)
