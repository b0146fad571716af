"""A bidirectional LSTM (Hochreiter & Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735) whose states are
weighed by self-attention (Lin et al., arXiv:1703.03130).

The recurrence is written out instead of calling the library's, which has no per-example gradients: the inputs
of all steps go through one product, both directions through one more at each step. A step on padding leaves
the state as it is, so the backward direction begins at the last token.

Shapes: B texts, L tokens, D width, H hidden units of a direction; ids_BL int64, mask_BL true where there is a
token → logits_BK.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from raiaudit.models.architectures.text_classifier import TextClassifier
from raiaudit.models.architectures.tokenizer import PADDING

__all__ = ["LSTM"]


class LSTM(TextClassifier):
    """Embedding → `depth` bidirectional layers → attention over tokens → linear."""

    architecture = "lstm"

    def __init__(
        self,
        tokenizer: str,
        max_length: int,
        classes: int,
        *,
        width: int = 64,
        hidden: int = 64,
        depth: int = 1,
        dropout: float = 0.3,
    ) -> None:
        super().__init__(
            tokenizer, max_length, classes, width=width, hidden=hidden, depth=depth, dropout=dropout
        )
        self.embedding = nn.Embedding(self.tokenizer.get_vocab_size(), width, padding_idx=PADDING)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            Bidirectional(2 * hidden if number else width, hidden) for number in range(depth)
        )
        self.attention = nn.Sequential(
            nn.Linear(2 * hidden, hidden), nn.Tanh(), nn.Linear(hidden, 1, bias=False)
        )
        self.head = nn.Linear(2 * hidden, classes)
        nn.init.normal_(self.embedding.weight, std=0.1)

    def logits_from(self, embedded_BLD: Tensor, mask_BL: Tensor) -> Tensor:
        """Logits of tokens given as embeddings."""
        states_BLH, weight_BL = self._attended(embedded_BLD, mask_BL)
        logits: Tensor = self.head(self.dropout((states_BLH * weight_BL[..., None]).sum(1)))
        return logits

    def attention_weights(self, inputs: Tensor) -> list[Tensor]:
        """The one map: how much of each token the head reads, weights_BHLL with one head and one row."""
        return [self._attended(self.embedding(inputs), inputs != PADDING)[1][:, None, None, :]]

    def _attended(self, x_BLD: Tensor, mask_BL: Tensor) -> tuple[Tensor, Tensor]:
        x_BLD = self.dropout(x_BLD)
        for layer in self.layers:
            x_BLD = layer(x_BLD, mask_BL)
        scores_BL = self.attention(x_BLD)[..., 0].masked_fill(~mask_BL, -math.inf)
        return x_BLD, scores_BL.softmax(-1)


class Bidirectional(nn.Module):
    """One LSTM layer read from both ends; the gates are in the library's order (input, forget, cell, output).

    `recurrent` is the pair of matrices from state to gates, forward and backward. Forget gates begin open,
    with a bias of 1 (Jozefowicz et al. 2015).
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.inputs = nn.Linear(width, 2 * 4 * hidden)
        self.recurrent = nn.Parameter(torch.empty(2, hidden, 4 * hidden))
        bound = 1 / math.sqrt(hidden)
        for parameter in (self.inputs.weight, self.recurrent):
            nn.init.uniform_(parameter, -bound, bound)
        with torch.no_grad():
            self.inputs.bias.view(2, 4, hidden).copy_(torch.tensor([0.0, 1.0, 0.0, 0.0])[:, None])

    def forward(self, x_BLD: Tensor, mask_BL: Tensor) -> Tensor:
        """x_BLD → states_BL(2H), forward beside backward; those of padding are the state before it."""
        B, L, _ = x_BLD.shape
        H = self.hidden
        gates_B2LG = self.inputs(x_BLD).view(B, L, 2, 4 * H).transpose(1, 2)
        gates_L2BG = _both_ways(gates_B2LG).permute(2, 1, 0, 3).unbind(0)
        kept_L2B1 = _both_ways(mask_BL[:, None, :, None].expand(B, 2, L, 1)).permute(2, 1, 0, 3).unbind(0)
        state_2BH = cell_2BH = x_BLD.new_zeros(2, B, H)
        states = []
        for gates_2BG, kept_2B1 in zip(gates_L2BG, kept_L2B1, strict=True):
            into, forget, value, out = torch.baddbmm(gates_2BG, state_2BH, self.recurrent).chunk(4, dim=-1)
            new_2BH = forget.sigmoid() * cell_2BH + into.sigmoid() * value.tanh()
            cell_2BH = torch.where(kept_2B1, new_2BH, cell_2BH)
            state_2BH = torch.where(kept_2B1, out.sigmoid() * new_2BH.tanh(), state_2BH)
            states.append(state_2BH)
        states_B2LH = _both_ways(torch.stack(states, dim=2).transpose(0, 1))
        return states_B2LH.transpose(1, 2).flatten(2)


def _both_ways(x_B2L: Tensor) -> Tensor:
    """The second of the pair with its tokens from last to first (and back again)."""
    first, second = x_B2L.unbind(1)
    return torch.stack([first, second.flip(1)], dim=1)
