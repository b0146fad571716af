"""Architectures: published sizes, rebuilding from config, attention against torch, preprocessing, options."""

import copy
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

from raiaudit.attacks.spaces import Column, ImageBox, InputSpace, TableSchema, TokenSpace
from raiaudit.errors import UnknownNameError, UsageError
from raiaudit.models.architectures import ARCHITECTURES, build
from raiaudit.models.architectures.attention import Attention, Block, Encoder
from raiaudit.models.architectures.cnn import ConvNet
from raiaudit.models.architectures.ft_transformer import FTTransformer
from raiaudit.models.architectures.mlp import MLP
from raiaudit.models.architectures.resnet import ResNet18
from raiaudit.models.architectures.text_transformer import TextTransformer
from raiaudit.models.architectures.tokenizer import PADDING
from raiaudit.models.architectures.vit import VisionTransformer
from raiaudit.models.data.dataset import Dataset, Inputs, Modality, Split

SCHEMA = TableSchema(
    (
        Column("age", "integer", low=0, high=100),
        Column("job", "category", categories=("a", "b", "c")),
        Column("income", "real", low=0, high=9),
    )
)
TEXTS = ["a fine film", "a dull film", "fine acting, dull plot", "what a fine, fine plot!"] * 4


def dataset(modality: Modality, space: InputSpace, train: Inputs, other: Inputs) -> Dataset:
    def split(name: str, inputs: Inputs) -> Split:
        n = len(inputs)
        return Split(pl.Series([f"{name}/{i}" for i in range(n)]), inputs, np.arange(n) % 2)

    splits: Mapping[str, Split] = {"train": split("t", train), "validation": split("v", other)}
    return Dataset("toy", modality, ("no", "yes"), space, splits, "0" * 64)


def rows(n: int, seed: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    rng = np.random.default_rng(seed)
    level = np.eye(3)[rng.integers(0, 3, n)]
    table = np.column_stack([rng.integers(0, 100, n), level, rng.uniform(0, 9, n)])
    return table.astype(np.float32)


def images(n: int, shape: tuple[int, int, int], seed: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def image_data(shape: tuple[int, int, int] = (1, 8, 8)) -> Dataset:
    return dataset("image", ImageBox(shape), images(24, shape, 0), images(8, shape, 1))


TABLE_DATA = dataset("tabular", SCHEMA, rows(40, 0), rows(10, 1))
TEXT_DATA = dataset("text", TokenSpace(60, 12), TEXTS, ["dull", "fine"])
FITTING: list[tuple[str, Dataset]] = [
    ("cnn", image_data()),
    ("cnn", image_data((3, 32, 32))),
    ("mlp", image_data()),
    ("mlp", TABLE_DATA),
    ("resnet18", image_data()),
    ("vit_tiny", image_data()),
    ("vit_tiny", image_data((1, 28, 28))),
    ("ft_transformer", TABLE_DATA),
    ("text_transformer", TEXT_DATA),
]


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_resnet18_has_the_size_published_for_cifar10() -> None:
    assert parameters(ResNet18([3, 32, 32], 10)) == 11_173_962


def test_vit_has_the_size_published_for_deit_ti() -> None:
    model = VisionTransformer([3, 224, 224], 1000, patch=16, width=192, depth=12, heads=3)
    assert parameters(model) == 5_717_416


def test_cnn_has_the_size_of_its_layers() -> None:
    w, hidden, classes = 16, 128, 10
    convolutions = 9 * (1 * w + w * 2 * w + 2 * w * 2 * w)
    norms = 2 * (w + 2 * w + 2 * w)
    linear = (16 * 2 * w + 1) * hidden + (hidden + 1) * classes
    assert parameters(ConvNet([1, 8, 8], classes)) == convolutions + norms + linear


@pytest.mark.parametrize(("size", "patch"), [(8, 2), (28, 4), (32, 4), (7, 1)])
def test_vit_chooses_its_patch_by_image_size(size: int, patch: int) -> None:
    assert VisionTransformer([1, size, size], 10).config["patch"] == patch


@pytest.mark.parametrize(("name", "data"), FITTING)
def test_a_model_rebuilt_from_its_json_config_has_the_same_logits(name: str, data: Dataset) -> None:
    model = ARCHITECTURES[name].for_dataset(data).eval()
    again = build(name, json.loads(json.dumps(model.config))).eval()
    again.load_state_dict(model.state_dict())
    raw = data.splits["validation"].inputs
    logits_BK = model(model.encode(raw))
    assert logits_BK.shape == (len(raw), 2)
    assert torch.equal(again(again.encode(raw)), logits_BK)


@pytest.mark.parametrize(("name", "data"), FITTING)
def test_an_example_alone_has_the_logits_it_has_in_a_batch(name: str, data: Dataset) -> None:
    torch.manual_seed(0)
    model = ARCHITECTURES[name].for_dataset(data).eval()
    raw = data.splits["validation"].inputs
    together = model(model.encode(raw))
    alone = torch.cat([model(model.encode(raw[i : i + 1])) for i in range(len(raw))])
    assert torch.allclose(together, alone, atol=1e-5)


def test_uint8_and_float_images_give_the_same_logits() -> None:
    model = ConvNet.for_dataset(image_data()).eval()
    raw = images(5, (1, 8, 8), 3)
    assert torch.allclose(
        model(model.encode(raw)), model(model.encode(raw.astype(np.float32) / 255)), atol=1e-6
    )


def with_weights_of(attention: Attention, width: int, heads: int) -> nn.MultiheadAttention:
    reference = nn.MultiheadAttention(width, heads, batch_first=True)
    with torch.no_grad():
        maps = (attention.query, attention.key, attention.value)
        reference.in_proj_weight.copy_(torch.cat([layer.weight for layer in maps]))
        reference.in_proj_bias.copy_(torch.cat([layer.bias for layer in maps]))
        reference.out_proj.load_state_dict(attention.out.state_dict())
    return reference


@pytest.mark.parametrize("masked", [False, True])
def test_attention_equals_torchs_with_the_same_weights(masked: bool) -> None:
    torch.manual_seed(0)
    attention = Attention(24, 4)
    reference = with_weights_of(attention, 24, 4)
    x_BLD = torch.randn(3, 7, 24)
    mask_BL = torch.arange(7) < torch.tensor([7, 4, 1])[:, None] if masked else None
    expected, weights = reference(
        x_BLD,
        x_BLD,
        x_BLD,
        key_padding_mask=None if mask_BL is None else ~mask_BL,
        average_attn_weights=False,
    )
    assert torch.allclose(attention(x_BLD, mask_BL), expected, atol=1e-6)
    assert torch.allclose(attention.weights(x_BLD, mask_BL), weights, atol=1e-6)


def test_encoder_shows_the_map_of_every_block() -> None:
    torch.manual_seed(0)
    encoder = Encoder(width=8, depth=3, heads=2, feedforward=lambda: nn.Linear(8, 8)).eval()
    x_BLD = torch.randn(2, 5, 8)
    maps = encoder.attention_weights(x_BLD)
    second_input = encoder.blocks[0](x_BLD)
    block = encoder.blocks[1]
    assert isinstance(block, Block)
    assert len(maps) == 3
    assert torch.equal(maps[1], block.attention.weights(block.norm1(second_input)))
    assert torch.allclose(maps[2].sum(-1), torch.ones(2, 2, 5), atol=1e-6)


def test_padding_changes_neither_logits_nor_attention() -> None:
    torch.manual_seed(0)
    model = TextTransformer.for_dataset(TEXT_DATA).eval()
    ids_BL = model.encode(["a fine film", "dull"])
    assert (ids_BL[1] == PADDING).any()
    padded = torch.cat([ids_BL, torch.full((2, 3), PADDING)], dim=1)
    assert torch.allclose(model(padded), model(ids_BL), atol=1e-6)
    assert torch.equal(model.attention_weights(padded)[0][..., -3:], torch.zeros(2, 4, padded.shape[1], 3))
    # The value of a padded embedding must not matter either.
    embedded = model.embedding(padded)
    embedded[:, -3:] += 100
    assert torch.allclose(model.logits_from(embedded, padded != PADDING), model(padded), atol=1e-6)


def test_text_model_truncates_lowercases_and_takes_an_empty_text() -> None:
    model = TextTransformer.for_dataset(TEXT_DATA).eval()
    assert model.encode(["film " * 50]).shape == (1, 12)
    assert torch.equal(model.encode(["A FINE Film"]), model.encode(["a fine film"]))
    assert model(model.encode([""])).isfinite().all()


def test_the_tokenizer_comes_out_the_same_twice() -> None:
    first, second = (TextTransformer.for_dataset(TEXT_DATA).config["tokenizer"] for _ in range(2))
    assert first == second


def test_a_category_times_its_table_is_the_lookup_of_an_embedding() -> None:
    torch.manual_seed(0)
    model = FTTransformer.for_dataset(TABLE_DATA).eval()
    job = model.columns[1]
    assert isinstance(job, nn.Linear)
    lookup = nn.functional.embedding(torch.tensor([2, 0, 1]), job.weight.T) + job.bias
    one_hot = torch.eye(3)[[2, 0, 1]]
    assert torch.allclose(job(one_hot), lookup, atol=1e-7)
    row = torch.from_numpy(rows(1, 5)).requires_grad_()
    (grad,) = torch.autograd.grad(model(row)[0, 0], row)
    assert (grad[0, 1:4] != 0).all()


def test_statistics_are_those_of_the_training_split_alone() -> None:
    data = dataset("tabular", SCHEMA, rows(40, 0), 100 + rows(10, 1))
    train = data.splits["train"].inputs.astype(np.float64)
    for model in (MLP.for_dataset(data), FTTransformer.for_dataset(data)):
        mean, std = model.standardize.mean.numpy(), model.standardize.std.numpy()
        for slot in (0, 4):
            assert mean[slot] == pytest.approx(train[:, slot].mean(), rel=1e-6)
            assert std[slot] == pytest.approx(train[:, slot].std(), rel=1e-6)
        assert (mean[1:4] == 0).all()
        assert (std[1:4] == 1).all()

    pictures = images(5000, (3, 4, 4), 0)  # more than one chunk
    pictures[:, 2] = 77  # a constant channel
    photo_data = dataset("image", ImageBox((3, 4, 4)), pictures, images(8, (3, 4, 4), 1) // 2)
    fitted = ConvNet.for_dataset(photo_data).standardize
    assert fitted.mean.flatten().numpy() == pytest.approx(pictures.mean(axis=(0, 2, 3)) / 255, rel=1e-5)
    assert fitted.std[:2].flatten().numpy() == pytest.approx(
        (pictures / 255).std(axis=(0, 2, 3))[:2], rel=1e-5
    )
    assert fitted.std[2].item() == 1


def test_fixed_statistics_look_at_no_example() -> None:
    first = dataset("image", ImageBox((1, 4, 4)), images(9, (1, 4, 4), 0), images(2, (1, 4, 4), 1))
    second = dataset("image", ImageBox((1, 4, 4)), images(9, (1, 4, 4), 2) // 9, images(2, (1, 4, 4), 1))
    a, b = (ConvNet.for_dataset(data, normalization="fixed").standardize for data in (first, second))
    assert torch.equal(a.mean, b.mean)
    assert torch.equal(a.std, b.std)


def test_models_can_be_copied() -> None:
    model = TextTransformer.for_dataset(TEXT_DATA).eval()
    ids_BL = model.encode(TEXTS[:2])
    assert torch.equal(copy.deepcopy(model)(ids_BL), model(ids_BL))


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        (
            "cnn",
            {"widht": 8},
            "choices: downsample, hidden, norm, normalization, weight_standardization, width",
        ),
        ("cnn", {"norm": "layer"}, "choices: batch, group, none"),
        ("cnn", {"width": 0}, "whole number"),
        ("cnn", {"width": "8"}, "whole number"),
        ("mlp", {"dropout": 1.0}, "[0, 1)"),
        ("vit_tiny", {"patch": 3}, "do not tile"),
        ("vit_tiny", {"width": 30, "heads": 4}, "not a multiple"),
    ],
)
def test_a_wrong_option_is_named_with_its_choices(name: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        ARCHITECTURES[name].for_dataset(image_data(), **options)
    assert says in str(caught.value)
    assert any(f"options.{option}" in str(caught.value) for option in [*options, "heads"])


def test_a_family_refuses_data_it_cannot_read() -> None:
    with pytest.raises(UsageError, match="does not take tabular"):
        ConvNet.for_dataset(TABLE_DATA)
    with pytest.raises(UsageError, match="does not take text"):
        MLP.for_dataset(TEXT_DATA)
    with pytest.raises(UnknownNameError, match="unknown architecture 'resnet49'"):
        build("resnet49", {})
