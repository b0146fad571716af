"""The LSTM against the library's, its attention, and what it shows to attacks and attributions."""

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from raiaudit.attacks.evasion.texts.tokens import TokenModel
from raiaudit.attacks.spaces import TokenSpace
from raiaudit.models.architectures import build
from raiaudit.models.architectures.lstm import LSTM, Bidirectional
from raiaudit.models.architectures.text_classifier import OnTexts
from raiaudit.models.architectures.tokenizer import PADDING
from raiaudit.models.data.dataset import Dataset, Split

TEXTS = ["a fine film", "a dull film", "fine acting, dull plot", "what a fine, fine plot!"] * 4
SPLIT = Split(pl.Series([f"{i}" for i in range(16)]), TEXTS, np.arange(16) % 2)
DATA = Dataset(
    "toy", "text", ("no", "yes"), TokenSpace(60, 12), {"train": SPLIT, "validation": SPLIT}, "0" * 64
)


def model(**options: float) -> LSTM:
    torch.manual_seed(0)
    return LSTM.for_dataset(DATA, **{"width": 8, "hidden": 6, "depth": 2, **options}).eval()


def test_both_directions_are_those_of_the_librarys_lstm_on_packed_texts() -> None:
    torch.manual_seed(0)
    width, hidden, lengths = 5, 4, torch.tensor([7, 3, 1])
    own = Bidirectional(width, hidden)
    nn.init.normal_(own.inputs.bias)
    reference = nn.LSTM(width, hidden, batch_first=True, bidirectional=True)
    with torch.no_grad():
        for number, suffix in enumerate(("l0", "l0_reverse")):
            rows = slice(number * 4 * hidden, (number + 1) * 4 * hidden)
            reference.get_parameter(f"weight_ih_{suffix}").copy_(own.inputs.weight[rows])
            reference.get_parameter(f"weight_hh_{suffix}").copy_(own.recurrent[number].T)
            reference.get_parameter(f"bias_ih_{suffix}").copy_(own.inputs.bias[rows])
            reference.get_parameter(f"bias_hh_{suffix}").zero_()
    x_BLD = torch.randn(3, 7, width)
    mask_BL = torch.arange(7) < lengths[:, None]
    packed = pack_padded_sequence(x_BLD, lengths, batch_first=True)
    expected, _ = pad_packed_sequence(reference(packed)[0], batch_first=True)
    found = own(x_BLD, mask_BL)
    torch.testing.assert_close(found[mask_BL], expected[mask_BL], rtol=1e-4, atol=1e-5)


def test_padding_changes_neither_logits_nor_attention() -> None:
    lstm = model()
    ids_BL = lstm.encode(["a fine film", "dull"])
    assert (ids_BL[1] == PADDING).any()
    padded = torch.cat([ids_BL, torch.full((2, 3), PADDING)], dim=1)
    assert torch.allclose(lstm(padded), lstm(ids_BL), atol=1e-6)
    alone = torch.cat([lstm(lstm.encode([text])) for text in ("a fine film", "dull")])
    assert torch.allclose(alone, lstm(ids_BL), atol=1e-6)
    embedded = lstm.embedding(padded)
    embedded[:, -3:] += 100
    assert torch.allclose(lstm.logits_from(embedded, padded != PADDING), lstm(padded), atol=1e-6)
    (weights_BHLL,) = lstm.attention_weights(padded)
    assert weights_BHLL.shape == (2, 1, 1, padded.shape[1])
    assert torch.allclose(weights_BHLL.sum(-1), torch.ones(2, 1, 1))
    assert (weights_BHLL[..., -3:] == 0).all()
    assert ((weights_BHLL[:, 0, 0] > 0) == (padded != PADDING)).all()


def test_it_reads_an_empty_text_and_the_order_of_words() -> None:
    lstm = model()
    assert lstm(lstm.encode([""])).isfinite().all()
    assert not torch.allclose(lstm(lstm.encode(["fine dull"])), lstm(lstm.encode(["dull fine"])), atol=1e-5)


def test_attacks_on_texts_see_its_tokens() -> None:
    lstm = model()
    shown = OnTexts(lstm)
    assert isinstance(shown, TokenModel)
    read = shown.tokens(TEXTS[:3])
    direct = lstm(lstm.encode(TEXTS[:3]))
    torch.testing.assert_close(shown(TEXTS[:3]), direct)
    torch.testing.assert_close(shown.logits_from(shown.vectors[read.ids_BL], read.mask_BL), direct)


def test_dropout_rests_in_evaluation_and_the_config_rebuilds_it() -> None:
    lstm = model(dropout=0.5)
    ids_BL = lstm.encode(TEXTS[:3])
    assert torch.equal(lstm(ids_BL), lstm(ids_BL))
    again = build("lstm", lstm.config).eval()
    again.load_state_dict(lstm.state_dict())
    assert torch.equal(again(ids_BL), lstm(ids_BL))
    assert not torch.equal(lstm.train()(ids_BL), lstm(ids_BL))


@pytest.mark.parametrize("seed", [0, 1])
def test_it_learns_which_word_decides(seed: int) -> None:
    torch.manual_seed(seed)
    lstm = LSTM.for_dataset(DATA, width=16, hidden=8, dropout=0.0)
    texts, y_B = TEXTS[:2] * 8, torch.tensor([0, 1] * 8)
    ids_BL = lstm.encode(texts)
    optimizer = torch.optim.Adam(lstm.parameters(), lr=2e-2)
    for _ in range(30):
        loss = nn.functional.cross_entropy(lstm(ids_BL), y_B)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    assert loss.item() < 0.1
