"""Published layouts: the published forward, written out over the raw state, against ours after renaming."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from raiaudit.errors import ArtifactRefusedError
from raiaudit.models.architectures import build
from raiaudit.models.layouts import LAYOUTS, options_of, to_our_keys

State = dict[str, Tensor]
CLASSES = 5


def conv(channels_in: int, channels_out: int, kernel: int) -> Tensor:
    weight = torch.randn(channels_out, channels_in, kernel, kernel)
    return weight * math.sqrt(2 / (channels_in * kernel**2))


def norm(state: State, name: str, channels: int) -> None:
    state[f"{name}.weight"] = torch.rand(channels) + 0.5
    state[f"{name}.bias"] = torch.randn(channels) * 0.3
    state[f"{name}.running_mean"] = torch.randn(channels) * 0.3
    state[f"{name}.running_var"] = torch.rand(channels) + 0.5
    state[f"{name}.num_batches_tracked"] = torch.tensor(7)


def linear(state: State, name: str, width: int) -> None:
    state[f"{name}.weight"] = torch.randn(CLASSES, width)
    state[f"{name}.bias"] = torch.randn(CLASSES)


def wide_state(depth: int, widen: int) -> State:
    state: State = {"conv1.weight": conv(3, 16, 3)}
    before = 16
    for stage, channels in enumerate((16 * widen, 32 * widen, 64 * widen), start=1):
        for position in range((depth - 4) // 6):
            at = f"block{stage}.layer.{position}"
            norm(state, f"{at}.bn1", before)
            state[f"{at}.conv1.weight"] = conv(before, channels, 3)
            norm(state, f"{at}.bn2", channels)
            state[f"{at}.conv2.weight"] = conv(channels, channels, 3)
            if before != channels:
                state[f"{at}.convShortcut.weight"] = conv(before, channels, 1)
            before = channels
    norm(state, "bn1", before)
    linear(state, "fc", before)
    return state


def staged_state(width: int, kernel: int = 3, *, kind: str, shortcut: str, head: str) -> State:
    """PreActResNet-18 ("preact"), or ResNet-18 ("basic") or -50 ("bottleneck")."""
    state: State = {"conv1.weight": conv(3, width, kernel)}
    if kind != "preact":
        norm(state, "bn1", width)
    before = width
    for stage, blocks in enumerate((3, 4, 6, 3) if kind == "bottleneck" else (2, 2, 2, 2)):
        channels = width * 2**stage
        for position in range(blocks):
            at, stride = f"layer{stage + 1}.{position}", 2 if stage and not position else 1
            sizes = [(before, channels, 3), (channels, channels, 3)]
            if kind == "bottleneck":
                sizes = [(before, channels, 1), (channels, channels, 3), (channels, 4 * channels, 1)]
            for number, size in enumerate(sizes, start=1):
                state[f"{at}.conv{number}.weight"] = conv(*size)
                norm(state, f"{at}.bn{number}", size[0] if kind == "preact" else size[1])
            out = sizes[-1][1]
            if stride != 1 or before != out:
                state[f"{at}.{shortcut}.0.weight"] = conv(before, out, 1)
                if kind != "preact":
                    norm(state, f"{at}.{shortcut}.1", out)
            before = out
    linear(state, head, before)
    return state


def normed(state: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    return functional.batch_norm(x, mean, variance, state[f"{name}.weight"], state[f"{name}.bias"])


def wide_forward(state: State, x: Tensor) -> Tensor:
    out = functional.conv2d(x, state["conv1.weight"], padding=1)
    for at in dict.fromkeys(re.findall(r"(block\d\.layer\.\d+)\.bn1\.weight", "\n".join(state))):
        stride = 2 if at in ("block2.layer.0", "block3.layer.0") else 1
        pre = functional.relu(normed(state, f"{at}.bn1", out))
        inner = functional.conv2d(pre, state[f"{at}.conv1.weight"], stride=stride, padding=1)
        inner = functional.relu(normed(state, f"{at}.bn2", inner))
        inner = functional.conv2d(inner, state[f"{at}.conv2.weight"], padding=1)
        key = f"{at}.convShortcut.weight"
        out = inner + (functional.conv2d(pre, state[key], stride=stride) if key in state else out)
    pooled = functional.relu(normed(state, "bn1", out)).mean((2, 3))
    return functional.linear(pooled, state["fc.weight"], state["fc.bias"])


def preact_forward(state: State, x: Tensor, *, raw: bool) -> Tensor:
    out = functional.conv2d(x, state["conv1.weight"], padding=1)
    for stage in range(1, 5):
        for position in range(2):
            at, stride = f"layer{stage}.{position}", 2 if stage > 1 and not position else 1
            pre = functional.relu(normed(state, f"{at}.bn1", out))
            inner = functional.conv2d(pre, state[f"{at}.conv1.weight"], stride=stride, padding=1)
            inner = functional.relu(normed(state, f"{at}.bn2", inner))
            inner = functional.conv2d(inner, state[f"{at}.conv2.weight"], padding=1)
            key = f"{at}.shortcut.0.weight"
            reads = out if raw else pre
            out = inner + (functional.conv2d(reads, state[key], stride=stride) if key in state else out)
    if "bn.weight" in state:
        out = functional.relu(normed(state, "bn", out))
    return functional.linear(out.mean((2, 3)), state["linear.weight"], state["linear.bias"])


def resnet_forward(state: State, x: Tensor, *, shortcut: str, head: str) -> Tensor:
    first = state["conv1.weight"]
    large = first.shape[-1] == 7
    out = functional.conv2d(x, first, stride=2 if large else 1, padding=first.shape[-1] // 2)
    out = functional.relu(normed(state, "bn1", out))
    out = functional.max_pool2d(out, 3, 2, 1) if large else out
    for at in dict.fromkeys(re.findall(r"(layer\d\.\d+)\.conv1", "\n".join(state))):
        stride = 2 if at[5] != "1" and at.endswith(".0") else 1
        last = 3 if f"{at}.conv3.weight" in state else 2
        inner = out
        for number in range(1, last + 1):
            kernel = state[f"{at}.conv{number}.weight"]
            strides_here = (
                stride if number == last - 1 else 1
            )  # the 3×3 of a bottleneck, the first of a basic
            inner = functional.conv2d(inner, kernel, stride=strides_here, padding=kernel.shape[-1] // 2)
            inner = normed(state, f"{at}.bn{number}", inner)
            inner = functional.relu(inner) if number < last else inner
        skipped = out
        if f"{at}.{shortcut}.0.weight" in state:
            skipped = functional.conv2d(out, state[f"{at}.{shortcut}.0.weight"], stride=stride)
            skipped = normed(state, f"{at}.{shortcut}.1", skipped)
        out = functional.relu(inner + skipped)
    return functional.linear(out.mean((2, 3)), state[f"{head}.weight"], state[f"{head}.bias"])


def loaded(state: Mapping[str, Any], architecture: str, side: int = 32, **options: Any) -> torch.nn.Module:
    config = {"shape": [3, side, side], "classes": CLASSES, **options_of(state, architecture), **options}
    model = build(architecture, config)
    model.load_state_dict(to_our_keys(state, architecture))
    return model.eval()


def with_final_norm(state: State) -> State:
    norm(state, "bn", state["linear.weight"].shape[1])
    return state


CIFAR: dict[str, Any] = {"shortcut": "shortcut", "head": "linear"}
IMAGENET: dict[str, Any] = {"shortcut": "downsample", "head": "fc"}
PUBLISHED: list[tuple[str, Callable[[], State], Callable[..., Tensor], dict[str, Any], dict[str, Any]]] = [
    ("wide_resnet28_10", lambda: wide_state(10, 2), wide_forward, {}, {}),
    ("wide_resnet28_10", lambda: wide_state(16, 1), wide_forward, {}, {}),
    (
        "preact_resnet18",
        lambda: staged_state(4, kind="preact", **CIFAR),
        preact_forward,
        {"raw": True},
        {"shortcut": "raw"},
    ),
    (
        "preact_resnet18",
        lambda: with_final_norm(staged_state(6, kind="preact", **CIFAR)),
        preact_forward,
        {"raw": False},
        {"shortcut": "activated"},
    ),
    ("resnet18", lambda: staged_state(4, kind="basic", **CIFAR), resnet_forward, CIFAR, {}),
    (
        "resnet50",
        lambda: staged_state(4, 7, kind="bottleneck", **IMAGENET),
        resnet_forward,
        IMAGENET,
        {},
    ),
]


@pytest.mark.parametrize(("architecture", "make", "forward", "how", "options"), PUBLISHED)
@pytest.mark.parametrize("statistics", [False, True])
def test_published_weights_give_the_published_logits(
    architecture: str,
    make: Callable[[], State],
    forward: Callable[..., Tensor],
    how: dict[str, Any],
    options: dict[str, Any],
    statistics: bool,
) -> None:
    torch.manual_seed(0)
    state = make()
    x_BCHW = torch.rand(2, 3, 32, 32)
    taken = x_BCHW
    if statistics:
        state["mu"] = torch.tensor([0.49, 0.48, 0.44]).view(1, 3, 1, 1)
        state["sigma"] = torch.tensor([0.2, 0.3, 0.25]).view(1, 3, 1, 1)
        taken = (x_BCHW - state["mu"]) / state["sigma"]
    expected = forward(state, taken, **how)
    torch.testing.assert_close(loaded(state, architecture, **options)(x_BCHW), expected, rtol=1e-4, atol=1e-4)


def test_wrappers_prefixes_and_a_stage_that_is_never_called_change_nothing() -> None:
    torch.manual_seed(0)
    plain = wide_state(10, 1)
    expected = to_our_keys(plain, "wide_resnet28_10")
    other = {name: tensor * 2 for name, tensor in plain.items()}
    behind = {f"module.{name}": tensor for name, tensor in plain.items()}
    unused = {name.replace("block1", "sub_block1"): t for name, t in plain.items() if "block1" in name}
    wrapped: list[Mapping[str, Any]] = [
        behind,
        {"state_dict": behind, "epoch": 3},
        {"model_state_dict": other, "ema": {"module": plain}},
        {f"ema.{name}": tensor for name, tensor in plain.items()}
        | {f"model.{name}": tensor for name, tensor in other.items()},
        {f"module.model.{name}": tensor for name, tensor in plain.items()},
        plain | unused,
    ]
    for state in wrapped:
        found = to_our_keys(state, "wide_resnet28_10")
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_what_has_our_names_already_keeps_them() -> None:
    for architecture in (*sorted(LAYOUTS), "cnn"):
        size = {"depth": 10, "widen": 1} if architecture == "wide_resnet28_10" else {"width": 4}
        state = build(architecture, {"shape": [3, 32, 32], "classes": 3, **size}).state_dict()
        state["standardize.mean"] += 0.3
        assert to_our_keys(state, architecture) == state


def test_counters_that_older_versions_did_not_write_are_made_up() -> None:
    state = wide_state(10, 1)
    older = {name: tensor for name, tensor in state.items() if "num_batches" not in name}
    loaded(older, "wide_resnet28_10")


def test_names_that_do_not_fit_are_listed() -> None:
    state = wide_state(10, 1)
    del state["fc.bias"]
    state["block1.layer.0.attention"] = torch.zeros(1)
    with pytest.raises(ArtifactRefusedError) as caught:
        to_our_keys(state, "wide_resnet28_10")
    assert "missing: fc.bias; unknown: block1.layer.0.attention" in str(caught.value)
    with pytest.raises(ArtifactRefusedError, match=r"missing: layer1\.0\.bn1.*unknown: block1") as caught:
        to_our_keys(wide_state(10, 1), "preact_resnet18")
    assert "more" in str(caught.value)
    with pytest.raises(ArtifactRefusedError, match=r"missing: .*layer1\.0\.bn1"):
        to_our_keys({"weight": torch.zeros(2)}, "resnet18")


def test_options_are_read_from_the_shapes() -> None:
    assert options_of(wide_state(16, 3), "wide_resnet28_10") == {
        "normalization": "none",
        "depth": 16,
        "widen": 3,
    }
    assert options_of(with_final_norm(staged_state(8, kind="preact", **CIFAR)), "preact_resnet18") == {
        "normalization": "none",
        "width": 8,
        "final_norm": True,
    }
    assert options_of(staged_state(4, 7, kind="basic", **IMAGENET), "resnet18")["stem"] == "imagenet"
    assert options_of({}, "vgg16") == {}
