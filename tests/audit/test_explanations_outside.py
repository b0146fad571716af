"""Attention of Hugging Face networks, against the library's maps, its weights and the published formula."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor

from raiaudit.attacks.spaces import ImageBox, TokenSpace
from raiaudit.audit.explanations.attribution.aggregation import top_words
from raiaudit.audit.explanations.inside.heads import ablated, head_layout, mean_outputs
from raiaudit.audit.explanations.inside.inside import Inside, InsideConfig
from raiaudit.audit.explanations.methods import find_method
from raiaudit.audit.explanations.methods.players import players_of
from raiaudit.audit.explanations.methods.views import view_of
from raiaudit.errors import CapabilityError
from raiaudit.models.attention_calls import attending, layout_of
from raiaudit.models.data.dataset import Dataset, Split
from raiaudit.models.outside import load_outside

if TYPE_CHECKING:
    from pathlib import Path

    from raiaudit.models.version import ModelVersion

SIZE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
TEXTS = ["a fine film", "a dull and overlong one", "", "what a fine actor it has"] * 3


def saved(network: Any, folder: Path) -> Any:
    """With weights large enough for heads to differ."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    network.save_pretrained(folder)
    return network.eval()


def bert(folder: Path) -> tuple[ModelVersion, Dataset]:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer.train_from_iterator(TEXTS, trainers.WordPieceTrainer(vocab_size=45, special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    config = transformers.BertConfig(
        **SIZE, vocab_size=tokenizer.get_vocab_size(), num_labels=2, max_position_embeddings=32
    )
    saved(transformers.BertForSequenceClassification(config), folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    split = Split(pl.Series([f"t{i}" for i in range(12)]), TEXTS, np.arange(12) % 2)
    splits = {"train": split, "test": split}
    data = Dataset("films", "text", ("negative", "positive"), TokenSpace(100, 30), splits, "d" * 64)
    return load_outside(folder, None, {}, data, name="theirs"), data


def vit(folder: Path, side: int = 16) -> tuple[ModelVersion, Dataset]:
    config = transformers.ViTConfig(**SIZE, image_size=8, patch_size=4, num_labels=3)
    saved(transformers.ViTForImageClassification(config), folder)
    inputs = np.random.default_rng(0).integers(0, 256, (12, 1, side, side), dtype=np.uint8)
    split = Split(pl.Series([f"i{i}" for i in range(12)]), inputs, np.arange(12) % 3)
    splits = {"train": split, "test": split}
    data = Dataset("animals", "image", ("cat", "dog", "eel"), ImageBox((1, side, side)), splits, "d" * 64)
    return load_outside(folder, None, {}, data, name="theirs"), data


def seen_by(network: Any, batch: Tensor) -> list[Tensor]:
    seen: list[Tensor] = []

    def see(layer: int, weights_BHLL: Tensor, mixed_BLHE: Tensor) -> Tensor:
        assert layer == len(seen)
        seen.append(weights_BHLL)
        return mixed_BLHE

    with torch.no_grad(), attending(network, see):
        network(batch)
    return seen


def librarys(network: Any, **inputs: Tensor) -> list[Tensor]:
    with torch.no_grad():
        return list(network(**inputs, output_attentions=True).attentions)


def test_what_is_seen_of_texts_is_what_the_library_shows(tmp_path: Path) -> None:
    classifier: Any = bert(tmp_path)[0].classifier
    ids_BL = classifier.encode(TEXTS[:4])
    mask_BL = (ids_BL != classifier.padding).long()
    expected = librarys(classifier.network, input_ids=ids_BL, attention_mask=mask_BL)
    with torch.no_grad():
        plain = classifier(ids_BL)
    torch.testing.assert_close(torch.stack(seen_by(classifier, ids_BL)), torch.stack(expected))
    with torch.no_grad():
        assert torch.equal(classifier(ids_BL), plain)  # and nobody looks on afterwards
    layout = head_layout(classifier, ids_BL)
    assert (layout.layers, layout.heads, layout.reads) == (2, 2, "first")


def test_a_head_without_output_is_a_head_without_weights(tmp_path: Path) -> None:
    """Zeros in place of head 1 of the second layer: no columns of the output map for it."""
    classifier: Any = bert(tmp_path)[0].classifier
    ids_BL = classifier.encode(TEXTS[:4])
    assert [mean.shape for mean in mean_outputs(classifier, ids_BL)] == [(2, 8), (2, 8)]
    with torch.no_grad():
        plain = classifier(ids_BL)
        with ablated(classifier, 1, 1, torch.zeros(8)):
            without = classifier(ids_BL)
        classifier.network.bert.encoder.layer[1].attention.output.dense.weight[:, 8:] = 0
        torch.testing.assert_close(without, classifier(ids_BL))
    assert not torch.allclose(without, plain)


def test_rollout_of_a_text_is_the_published_product(tmp_path: Path, make_subject: Any) -> None:
    version, data = bert(tmp_path)
    classifier: Any = version.classifier
    view = view_of(make_subject(classifier, data), TEXTS[:4], "mean")
    found = find_method("attention_rollout").explain(view, torch.zeros(4, dtype=torch.int64), rngs=[])
    ids_BL = classifier.encode(TEXTS[:4])
    mask_BL = (ids_BL != classifier.padding).long()
    product = torch.eye(ids_BL.shape[1])
    for weights_BHLL in librarys(classifier.network, input_ids=ids_BL, attention_mask=mask_BL):
        product = (weights_BHLL.mean(1) + torch.eye(ids_BL.shape[1])) / 2 @ product
    words_BL = torch.isin(ids_BL, torch.tensor([classifier.padding, 2, 3]), invert=True)
    expected = product[:, 0] * words_BL
    torch.testing.assert_close(found.scores_BF, expected.double(), atol=1e-6, rtol=1e-5)
    assert float(found.scores_BF[2].abs().sum()) == 0  # a text without words


def test_rollout_of_an_image_is_the_published_product_on_its_own_pixels(
    tmp_path: Path, make_subject: Any
) -> None:
    """The network sees 8×8 pixels of an image of 16×16: four patches, each from a quarter of it."""
    version, data = vit(tmp_path)
    classifier: Any = version.classifier
    x = classifier.encode(data.splits["test"].inputs[:3])
    view = view_of(make_subject(classifier, data), data.splits["test"].inputs[:3], "zeros")
    by_class = [
        find_method("gradient_rollout").explain(view, torch.full((3,), label), rngs=[]).scores_BF
        for label in range(3)
    ]
    assert bool((torch.stack(by_class) >= 0).all())
    assert float(torch.stack(by_class).sum()) > 0  # heads may all speak against a class
    rollout = find_method("attention_rollout").explain(view, torch.ones(3, dtype=torch.int64), rngs=[])
    product = torch.eye(5)
    for weights_BHLL in seen_by(classifier, x):
        product = (weights_BHLL.mean(1) + torch.eye(5)) / 2 @ product
    quarters = rollout.scores_BF.view(3, 2, 8, 2, 8).sum((2, 4)).flatten(1)
    # The edge between patches is blurred by resizing: what is on an image stays on it.
    torch.testing.assert_close(quarters.sum(1), product[:, 0, 1:].sum(1).double(), atol=1e-5, rtol=1e-4)
    assert float((quarters - product[:, 0, 1:]).abs().max()) < 0.1 * float(product[:, 0, 1:].max())
    assert head_layout(classifier, x).reads == "first"


def test_what_is_cropped_away_gets_nothing(tmp_path: Path) -> None:
    config = '{"do_resize": false, "do_center_crop": true, "crop_size": {"height": 8, "width": 8}}'
    (tmp_path / "preprocessor_config.json").write_text(config)
    classifier: Any = vit(tmp_path, side=12)[0].classifier
    assert classifier.patch_grid(12, 12) == (2, 2)
    pixels = classifier.onto_pixels(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), 12, 12)[0]
    expected = torch.zeros(12, 12)
    for row, column, value in ((0, 0, 1.0), (0, 1, 2.0), (1, 0, 3.0), (1, 1, 4.0)):
        expected[2 + 4 * row : 6 + 4 * row, 2 + 4 * column : 6 + 4 * column] = value / 16
    torch.testing.assert_close(pixels, expected)


def test_special_tokens_are_no_features_and_pieces_make_words(tmp_path: Path, make_subject: Any) -> None:
    version, data = bert(tmp_path)
    view = view_of(make_subject(version.classifier, data), ["a overlong film", "fine"], "mean")
    assert view.names is not None
    first = view.names[0]
    assert (first[0], first[1], first[-1]) == ("[CLS]", "a", "[SEP]")
    assert any(name.startswith("##") for name in first)
    players = players_of(view, grid=1)
    assert players.count_B.tolist() == [3, 1]
    assert view.present_BF.sum(1).tolist() == [len(first) - 2, len(view.names[1]) - 2]
    assert torch.equal(view.baseline[:, 0], view.x[:, 0])
    assert torch.equal(view.baseline[0, len(first) - 1], view.x[0, len(first) - 1])
    table = top_words([first] * 3, [[1.0] * len(first)] * 3, ["x"] * 3, support=3)
    assert set(table["word"]) == {"a", "overlong", "film"}


@pytest.mark.parametrize("kind", ["text", "image"])
def test_heads_of_a_folder_reach_measurements(
    kind: str, tmp_path: Path, make_subject: Any, run_check: Any
) -> None:
    version, data = bert(tmp_path) if kind == "text" else vit(tmp_path)
    subject = make_subject(version.classifier, data)
    config = InsideConfig(examples=8, steps=2, icons=2, channels=2, embedding="pca", shard=5)
    ledger = run_check(Inside(), subject, config)
    found = Inside().summarise(ledger, subject, config)
    assert sum(one.metric == "head_importance" for one in found) == 4
    tables = Inside().evidence(ledger, subject, config)
    assert tables["heads"].height == 4
    tokens = tables["attention"]["tokens"].to_list()
    assert all(row == ["0", "1", "2", "3"] for row in tokens) if kind == "image" else tokens[0][1] == "a"
    if kind == "image":
        assert {row.where.get("layer") for row in found} >= {"network.vit.layers.1"}


def test_attention_that_cannot_be_seen_says_so(tmp_path: Path, make_subject: Any, run_check: Any) -> None:
    """Windows of a Swin; the pictures and the atlas are there all the same."""
    config = transformers.SwinConfig(
        image_size=16, patch_size=2, num_labels=3, embed_dim=8, depths=[1, 1], num_heads=[2, 2], window_size=2
    )
    _, data = vit(tmp_path / "vit")
    saved(transformers.SwinForImageClassification(config), tmp_path / "swin")
    version = load_outside(tmp_path / "swin", None, {}, data, name="theirs")
    subject = make_subject(version.classifier, data)
    options = InsideConfig(examples=8, steps=2, icons=2, channels=2, embedding="pca")
    found = Inside().summarise(run_check(Inside(), subject, options), subject, options)
    heads = [one for one in found if one.metric == "useful_heads"]
    assert [(one.value, one.reason) for one in heads] == [
        (None, "its layers attend within windows, or to other numbers of tokens")
    ]
    assert any(one.metric == "atlas_trustworthiness" for one in found)
    with pytest.raises(CapabilityError, match="no transformer"):
        layout_of(torch.nn.Linear(2, 2), lambda: torch.zeros(1, 2))
