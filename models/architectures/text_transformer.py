"""A transformer encoder for texts (arXiv:1706.03762), with its own byte-pair tokenizer.

The tokenizer (arXiv:1508.07909) is trained on the training texts, lower-cased, and travels as JSON in
`config`; a token that begins a word begins with ▁. Padding (id 0, at the end) takes part neither in
attention nor in the mean over tokens that the head reads, so logits do not depend on the length a batch
is padded to.

Shapes: B texts, L tokens, D width; ids_BL int64, mask_BL true where there is a token → logits_BK.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor, nn

from raiaudit.attacks.evasion.texts.tokens import Tokens
from raiaudit.attacks.spaces import TokenSpace
from raiaudit.models.architectures.attention import Encoder, Positions, feed_forward
from raiaudit.models.architectures.classifier import Classifier, check_options, space_of

if TYPE_CHECKING:
    from raiaudit.models.data.dataset import Dataset, Inputs

__all__ = ["PADDING", "OnTexts", "TextTransformer", "train_tokenizer"]

PADDING = 0  # the id of [PAD]
_SPECIAL = ["[PAD]", "[UNK]", "[CLS]"]


class TextTransformer(Classifier):
    """Embedding → `depth` blocks → mean over tokens → linear.

    `embedding` and `logits_from` are the two halves of `forward`, for attributions and attacks that work
    between them: `logits_from(embedding(ids_BL), ids_BL != PADDING)`. The first token of every text is
    [CLS], so even an empty text has one.
    """

    architecture = "text_transformer"
    modality = "text"

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
        super().__init__()
        self.config = {
            "tokenizer": tokenizer,
            "max_length": max_length,
            "classes": classes,
            "width": width,
            "depth": depth,
            "heads": heads,
            "dropout": dropout,
        }
        self.classes = classes
        self.tokenizer: Tokenizer = Tokenizer.from_str(tokenizer)
        self.tokenizer.enable_truncation(max_length)
        self.tokenizer.enable_padding(pad_id=PADDING, pad_token=_SPECIAL[PADDING])
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

    @classmethod
    def for_dataset(cls, dataset: Dataset, **options: Any) -> TextTransformer:
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
        return self.logits_from(self.embedding(inputs), inputs != PADDING)

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


class OnTexts(nn.Module):
    """A text transformer as a function of texts that shows its tokens and their vectors.

    What attacks on texts ask for (`TokenModel` in `attacks/evasion/texts/tokens.py`).
    """

    def __init__(self, model: TextTransformer) -> None:
        super().__init__()
        self.model = model
        tokenizer = model.tokenizer
        written = [tokenizer.id_to_token(token) or "" for token in range(tokenizer.get_vocab_size())]
        self.pieces = ["" if piece in _SPECIAL else piece.replace("▁", " ") for piece in written]

    @property
    def vectors(self) -> Tensor:
        """vector_VD of the tokens."""
        return self.model.embedding.weight

    def tokens(self, texts: Sequence[str]) -> Tokens:
        """Texts as tokens."""
        encodings = self.model.tokenizer.encode_batch(list(texts))
        ids_BL = torch.tensor([encoding.ids for encoding in encodings], device=self.vectors.device)
        return Tokens(ids_BL, ids_BL != PADDING, [encoding.offsets for encoding in encodings])

    def logits_from(self, embedded_BLD: Tensor, mask_BL: Tensor) -> Tensor:
        """logits_BK of tokens given as vectors."""
        return self.model.logits_from(embedded_BLD, mask_BL)

    def forward(self, texts: list[str]) -> Tensor:
        """logits_BK of texts."""
        logits_BK: Tensor = self.model(self.model.encode(texts).to(self.vectors.device))
        return logits_BK


def train_tokenizer(texts: Iterable[str], *, vocabulary: int) -> str:
    """A lower-casing byte-pair tokenizer of at most `vocabulary` entries, as JSON; the same every time.

    (The library's WordPiece trainer numbers its "##" pieces in the order of a hash map: another model at
    every start of Python.)
    """
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()]
    )
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, special_tokens=_SPECIAL, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A", special_tokens=[("[CLS]", tokenizer.token_to_id("[CLS]"))]
    )
    serialized: str = tokenizer.to_str()
    return serialized
