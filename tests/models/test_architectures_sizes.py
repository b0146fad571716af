"""Published sizes, counted without memory on the meta device; stems; the table in docs/architectures.md."""

import inspect
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import torch
from torch import nn

from raiaudit.errors import UsageError
from raiaudit.models.architectures import ARCHITECTURES, Classifier, build
from raiaudit.models.architectures.convolutions import Norm
from raiaudit.models.architectures.images import ImageClassifier, Stem, stem_for
from raiaudit.models.architectures.vit import VisionTransformer
from raiaudit.models.names import ARCHITECTURE_NAMES
from raiaudit.models.training.private import PrivateStep

CIFAR: dict[str, Any] = {"shape": [3, 32, 32], "classes": 10}
MNIST: dict[str, Any] = {"shape": [1, 28, 28], "classes": 10}
IMAGENET: dict[str, Any] = {"shape": [3, 224, 224], "classes": 1000}

PUBLISHED = [
    ("alexnet", IMAGENET, 61_100_840),
    ("vgg16", IMAGENET, 138_357_544),
    ("resnet18", IMAGENET | {"stem": "imagenet"}, 11_689_512),
    ("resnet50", IMAGENET, 25_557_032),
    ("efficientnet_b0", IMAGENET, 5_288_548),
    ("vit_ti16", IMAGENET, 5_717_416),
    ("vit_s16", IMAGENET, 22_050_664),
    ("vit_b16", IMAGENET, 86_567_656),
    ("resnet18", CIFAR, 11_173_962),
    ("resnet50", CIFAR, 23_520_842),
    ("preact_resnet18", CIFAR, 11_172_170),
    ("preact_resnet18", CIFAR | {"final_norm": False}, 11_171_146),
    ("wide_resnet28_10", CIFAR, 36_479_194),
    ("wide_resnet28_10", CIFAR | {"depth": 34}, 46_160_474),
    ("tempered_cnn", MNIST, 26_010),
    ("strided_cnn", MNIST, 166_406),
]


def on_paper(name: str, config: dict[str, Any]) -> Classifier:
    with torch.device("meta"):
        return build(name, config)


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(("name", "config", "count"), PUBLISHED)
def test_a_network_has_its_published_size(name: str, config: dict[str, Any], count: int) -> None:
    assert parameters(on_paper(name, config)) == count


def test_nfnet_f0_has_the_size_of_its_table() -> None:
    """The sum over the layers of arXiv:2102.06171, table 1; it is published as 71.5 M."""

    def conv(before: int, after: int, kernel: int, groups: int = 1) -> int:
        return after * (before // groups * kernel**2 + 2)  # gain and bias

    total = conv(3, 16, 3) + conv(16, 32, 3) + conv(32, 64, 3) + conv(64, 128, 3)
    before = 128
    for blocks, width in ((1, 256), (2, 512), (6, 1536), (3, 1536)):
        for position in range(blocks):
            inner = width // 2
            total += conv(before, inner, 1) + 2 * conv(inner, inner, 3, inner // 128) + conv(inner, width, 1)
            total += width * inner + inner + inner * width + width  # squeeze and excitation
            total += 1  # the factor at the end of the branch
            total += conv(before, width, 1) if position == 0 else 0
            before = width
    total += conv(1536, 3072, 1) + 3072 * 1000 + 1000
    found = parameters(on_paper("nfnet_f0", IMAGENET))
    assert found == total
    assert round(found / 1e6, 1) == 71.5


@pytest.mark.parametrize(
    ("name", "size", "patch"),
    [
        ("vit_b16", 224, 16),
        ("vit_s16", 112, 16),
        ("vit_ti16", 32, 4),
        ("vit_ti16", 28, 4),
        ("vit_ti16", 8, 2),
        ("vit_tiny", 224, 32),
    ],
)
def test_patches_are_the_published_ones_where_they_fit(name: str, size: int, patch: int) -> None:
    assert issubclass(ARCHITECTURES[name], VisionTransformer)
    model = on_paper(name, {"shape": [3, size, size], "classes": 2})
    assert isinstance(model, VisionTransformer)
    assert model.config["patch"] == patch


def test_auto_takes_the_small_stem_up_to_64_pixels() -> None:
    assert [stem_for("auto", [3, side, side]) for side in (28, 64, 65, 224)] == [
        "small",
        "small",
        "imagenet",
        "imagenet",
    ]
    assert on_paper("resnet18", IMAGENET | {"classes": 2}).config["stem"] == "small"
    assert on_paper("resnet50", IMAGENET).config["stem"] == "imagenet"


def last_map(name: str, shape: list[int]) -> tuple[int, int]:
    """The side of the features before the last pooling over the whole image or to a fixed size."""
    model = on_paper(name, {"shape": shape, "classes": 2}).eval()
    sides: list[tuple[int, int]] = []
    for module in model.modules():
        if isinstance(module, nn.AdaptiveAvgPool2d):
            module.register_forward_hook(lambda _m, taken, _o: sides.append(tuple(taken[0].shape[2:])))
    model(torch.empty(1, *shape, device="meta"))
    return sides[-1]


@pytest.mark.parametrize(
    ("name", "small", "large"),
    [
        ("alexnet", 4, 6),
        ("vgg16", 1, 7),
        ("resnet50", 4, 7),
        ("efficientnet_b0", 4, 7),
        ("nfnet_f0", 4, 7),
    ],
)
def test_both_stems_leave_the_features_their_size(name: str, small: int, large: int) -> None:
    assert last_map(name, [3, 32, 32]) == (small, small)
    assert last_map(name, [3, 224, 224]) == (large, large)


IMAGES = sorted(name for name, kinds in ARCHITECTURE_NAMES.items() if kinds == {"image"})


def tiny(name: str) -> dict[str, int]:
    if name == "wide_resnet28_10":
        return {"depth": 10, "widen": 1}
    return {"width": 8, "depth": 1, "heads": 2} if name.startswith("vit") else {"width": 8}


@pytest.mark.parametrize("name", IMAGES)
def test_every_family_reads_images_of_any_size(name: str) -> None:
    for shape in ([1, 28, 28], [3, 96, 64], *([[1, 8, 8]] * (name != "tempered_cnn"))):
        model = build(name, {"shape": shape, "classes": 7, **tiny(name)}).eval()
        assert model(torch.zeros(2, *shape)).shape == (2, 7)


def test_what_no_network_can_be_is_refused() -> None:
    with pytest.raises(UsageError, match="4 \\+ 6n layers"):
        build("wide_resnet28_10", CIFAR | {"depth": 29})
    with pytest.raises(UsageError, match="too small for architecture 'tempered_cnn'"):
        build("tempered_cnn", {"shape": [1, 8, 8], "classes": 10})


def documented() -> dict[str, list[str]]:
    text = (Path(__file__).parents[2] / "docs" / "architectures.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `")]
    return {row[0].strip("`"): row for row in rows if len(row) == 7}


def test_the_documented_table_is_the_catalogue() -> None:
    assert sorted(documented()) == sorted(ARCHITECTURES)


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_a_documented_row_is_what_the_code_does(name: str) -> None:
    _, _, size, at, stems, norms, private = documented()[name]
    family = ARCHITECTURES[name]
    hints = get_type_hints(family.__init__)
    options = inspect.signature(family).parameters
    assert stems == (", ".join(get_args(Stem)[1:]) if "stem" in hints else "one")
    if "norm" in hints:
        default = options["norm"].default
        assert norms == ", ".join([default, *(kind for kind in get_args(Norm) if kind != default)])
    assert ("norm" in hints) == ("," in norms)
    if not issubclass(family, ImageClassifier):
        return
    config = {"28×28×1, 10": MNIST, "32×32×3, 10": CIFAR, "224×224×3, 1,000": IMAGENET}[at]
    stem = {"stem": "imagenet"} if name == "resnet18" else {}
    assert parameters(on_paper(name, {**config, **stem})) == int(size.replace(",", ""))
    config = {"shape": [3, 32, 32], "classes": 2, **tiny(name)}
    as_is = on_paper(name, config)
    if private == "with `norm: group`":
        with pytest.raises(UsageError, match="norm: group"):
            PrivateStep._refuse_mixing(as_is)
        as_is = on_paper(name, config | {"norm": "group"})
    else:
        assert private == "yes"
    PrivateStep._refuse_mixing(as_is)
