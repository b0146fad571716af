"""FT-Transformer (Gorishniy et al., arXiv:2106.11959): one token a column, then a transformer.

A category's token is its one-hot slots times a table of embeddings, so the logits are differentiable in
the encoded row; a number's token is value·w + b. As in the paper: class token, pre-norm without the
very first norm, ReGLU.

Shapes: x_BW encoded rows (see `attacks/spaces.py`) → logits_BK; F columns, D width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from raiaudit.attacks.spaces import TableSchema
from raiaudit.models.architectures.attention import ClassToken, Encoder, GatedFeedForward
from raiaudit.models.architectures.classifier import Classifier, check_options, space_of
from raiaudit.models.architectures.normalization import Normalization, Standardization

if TYPE_CHECKING:
    from raiaudit.models.data.dataset import Dataset

__all__ = ["FTTransformer"]


class FTTransformer(Classifier):
    """`levels` lists the columns: 0 for a number, else the number of one-hot slots of the category."""

    architecture = "ft_transformer"
    modality = "tabular"

    def __init__(
        self,
        levels: list[int],
        classes: int,
        *,
        width: int = 32,
        depth: int = 2,
        heads: int = 4,
        dropout: float = 0.1,
        normalization: Normalization = "train",
    ) -> None:
        super().__init__()
        self.config = {
            "levels": list(levels),
            "classes": classes,
            "width": width,
            "depth": depth,
            "heads": heads,
            "dropout": dropout,
            "normalization": normalization,
        }
        self.classes = classes
        self.standardize = Standardization((sum(max(1, count) for count in levels),))
        # A linear map of one-hot slots is the lookup of an embedding plus the column's own bias.
        self.columns = nn.ModuleList(nn.Linear(max(1, count), width) for count in levels)
        self.class_token = ClassToken(width)
        self.encoder = Encoder(
            width=width,
            depth=depth,
            heads=heads,
            feedforward=lambda: GatedFeedForward(width, 4 * width // 3, dropout),
            dropout=dropout,
            first_norm=False,
        )
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(width, classes))

    @classmethod
    def for_dataset(cls, dataset: Dataset, **options: Any) -> FTTransformer:
        """A fresh network for the data set's columns."""
        check_options(cls, options)
        schema = space_of(dataset, TableSchema, cls)
        levels = [column.width if column.kind == "category" else 0 for column in schema.columns]
        model = cls(levels, len(dataset.classes), **options)
        rows = dataset.splits["train"].inputs
        model.standardize.fit_table(rows, schema, model.config["normalization"])
        return model

    def forward(self, inputs: Tensor) -> Tensor:
        """x_BW → logits_BK."""
        logits: Tensor = self.head(self.encoder(self._tokens(inputs))[:, 0])
        return logits

    def attention_weights(self, inputs: Tensor) -> list[Tensor]:
        """Each block's attention map, weights_BHLL; token 0 is the class token, then the columns."""
        return self.encoder.attention_weights(self._tokens(inputs))

    def _tokens(self, x_BW: Tensor) -> Tensor:
        parts = self.standardize(x_BW).split([max(1, count) for count in self.config["levels"]], dim=1)
        tokens_BFD = torch.stack(
            [column(part) for column, part in zip(self.columns, parts, strict=True)], dim=1
        )
        tokens_BLD: Tensor = self.class_token(tokens_BFD)
        return tokens_BLD
