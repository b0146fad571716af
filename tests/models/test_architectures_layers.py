"""Norms to choose, per-example gradients against a loop, and what the new layers compute."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from raiaudit.attacks.certificates.interval_bounds import certify
from raiaudit.attacks.spaces import ImageBox
from raiaudit.errors import CapabilityError, UsageError
from raiaudit.models.architectures import ARCHITECTURES, Classifier, build
from raiaudit.models.architectures.classifier import check_options
from raiaudit.models.architectures.convolutions import SkipInit, StandardizedConv2d, StochasticDepth
from raiaudit.models.architectures.nfnet import NFNetF0
from raiaudit.models.architectures.nfnet import _Block as NFBlock
from raiaudit.models.architectures.tempered_cnn import TemperedSigmoid
from raiaudit.models.architectures.tokenizer import train_tokenizer
from raiaudit.models.training.private import PrivateStep

IMAGE: dict[str, Any] = {"shape": [3, 16, 16], "classes": 3}
TEXT: dict[str, Any] = {
    "tokenizer": train_tokenizer(["a fine film", "a dull film"], vocabulary=40),
    "max_length": 6,
    "classes": 3,
    "width": 8,
    "dropout": 0.0,
}
VIT: dict[str, Any] = {**IMAGE, "width": 8, "depth": 1, "heads": 2}
NORMED: dict[str, dict[str, Any]] = {
    "alexnet": {**IMAGE, "width": 4, "dropout": 0.0},
    "cnn": {**IMAGE, "width": 8, "hidden": 8},
    "efficientnet_b0": {**IMAGE, "width": 8, "dropout": 0.0, "drop_path": 0.0},
    "preact_resnet18": {**IMAGE, "width": 4},
    "resnet18": {**IMAGE, "width": 4},
    "resnet50": {**IMAGE, "width": 2},
    "strided_cnn": {**IMAGE, "width": 4, "hidden": 8},
    "vgg16": {**IMAGE, "width": 4, "dropout": 0.0},
    "wide_resnet28_10": {**IMAGE, "depth": 10, "widen": 1},
}
TINY: dict[str, dict[str, Any]] = {
    **NORMED,
    "ft_transformer": {"levels": [0, 3, 0], "classes": 3, "width": 8, "depth": 1, "heads": 2, "dropout": 0.0},
    "lstm": {**TEXT, "hidden": 4, "depth": 2},
    "mlp": {**IMAGE, "hidden": 8},
    "nfnet_f0": {**IMAGE, "width": 16, "dropout": 0.0, "drop_path": 0.0},
    "tempered_cnn": {**IMAGE, "width": 4, "hidden": 8},
    "text_transformer": {**TEXT, "depth": 1, "heads": 2},
    "vit_b16": VIT,
    "vit_s16": VIT,
    "vit_ti16": VIT,
    "vit_tiny": VIT,
}


def tiny(name: str, **options: Any) -> Classifier:
    torch.manual_seed(0)
    return build(name, {**TINY[name], **options})


def inputs(model: Classifier, count: int) -> Tensor:
    torch.manual_seed(1)
    if model.modality == "text":
        return model.encode(["a fine film", "dull", "a fine dull film", "film"][:count])
    return torch.rand(count, *model.config.get("shape", (5,)))


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_gradients_of_each_example_are_those_of_a_loop(name: str) -> None:
    model = tiny(name, **({"norm": "group", "weight_standardization": True} if name in NORMED else {}))
    PrivateStep._refuse_mixing(model)  # leaves it in training mode, in which private training asks
    for parameter in model.parameters():  # factors that begin at 0 would hide the branches behind them
        nn.init.normal_(parameter, std=0.3)
    model.double()
    x, y_B = inputs(model, 2), torch.tensor([0, 2])
    x = x.double() if x.is_floating_point() else x
    named = {name: parameter.detach() for name, parameter in model.named_parameters()}

    def loss(parameters: dict[str, Tensor], one: Tensor, label: Tensor) -> Tensor:
        return functional.cross_entropy(functional_call(model, parameters, (one[None],)), label[None])

    with sdpa_kernel(SDPBackend.MATH):
        together = vmap(grad(loss), in_dims=(None, 0, 0), randomness="different")(named, x, y_B)
    for row in range(2):
        model.zero_grad()
        torch.autograd.backward(functional.cross_entropy(model(x[row : row + 1]), y_B[row : row + 1]))
        for key, parameter in model.named_parameters():
            wanted = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            torch.testing.assert_close(together[key][row], wanted, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", ["efficientnet_b0", "nfnet_f0"])
def test_paths_dropped_in_training_leave_gradients_of_each_example_defined(name: str) -> None:
    model = tiny(name, drop_path=0.5, dropout=0.5).train()
    if name == "efficientnet_b0":
        model = tiny(name, drop_path=0.5, dropout=0.5, norm="group").train()
    named = {key: parameter.detach() for key, parameter in model.named_parameters()}

    def loss(parameters: dict[str, Tensor], one: Tensor) -> Tensor:
        logits: Tensor = functional_call(model, parameters, (one[None],))
        return logits.sum()

    gradients = vmap(grad(loss), in_dims=(None, 0), randomness="different")(named, inputs(model, 3))
    assert all(gradient.isfinite().all() for gradient in gradients.values())


@pytest.mark.parametrize("name", sorted(NORMED))
@pytest.mark.parametrize("norm", ["batch", "none"])
def test_a_network_learns_a_handful_of_images_with_a_norm_and_without(name: str, norm: str) -> None:
    model = tiny(name, norm=norm) if name == "wide_resnet28_10" else tiny(name, norm=norm, width=8)
    assert (norm == "batch") == any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    x_BCHW, y_B = (inputs(model, 4) - 0.5) * 4, torch.tensor([0, 1, 0, 1])
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3 if name in ("alexnet", "vgg16") else 5e-3)
    for _ in range(40):
        loss = functional.cross_entropy(model(x_BCHW), y_B)
        if loss.item() < 0.2:
            break
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    assert loss.item() < 0.2  # a guess among two costs 0.69


def test_a_filter_is_standardised_before_it_is_used() -> None:
    torch.manual_seed(0)
    layer = StandardizedConv2d(3, 5, 3, padding=1, bias=False)
    x_BCHW = torch.randn(2, 3, 8, 8)
    weight = layer.weight.detach()
    flat_OF = weight.flatten(1)
    standard_OF = (flat_OF - flat_OF.mean(1, keepdim=True)) / flat_OF.std(1, keepdim=True, correction=0)
    expected = functional.conv2d(x_BCHW, (standard_OF * (2 / 27) ** 0.5).view_as(weight), padding=1)
    torch.testing.assert_close(layer(x_BCHW), expected, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        layer.weight.mul_(7).add_(3)  # neither scale nor mean of a filter matters
    torch.testing.assert_close(layer(x_BCHW), expected, rtol=1e-3, atol=1e-4)


def test_the_gain_of_a_filter_is_on_unit_variance() -> None:
    torch.manual_seed(0)
    plain, gained = (
        StandardizedConv2d(4, 6, 3, bias=False),
        StandardizedConv2d(4, 6, 3, bias=False, gain=True),
    )
    assert gained.gain is not None
    with torch.no_grad():
        gained.weight.copy_(plain.weight)
        gained.gain.fill_(2**0.5)
    x_BCHW = torch.randn(2, 4, 5, 5)
    torch.testing.assert_close(gained(x_BCHW), plain(x_BCHW))


@pytest.mark.parametrize("name", ["resnet18", "preact_resnet18", "wide_resnet28_10"])
def test_without_a_norm_a_residual_network_begins_as_its_shortcuts(name: str) -> None:
    model = tiny(name, norm="none").eval()
    x_BCHW = inputs(model, 2)
    before = model(x_BCHW)
    assert sum(isinstance(module, SkipInit) for module in model.modules()) == (3 if "wide" in name else 8)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if ".conv2." in key or ".body.2." in key:  # the last convolution of each branch
                parameter.normal_()
    assert torch.equal(model(x_BCHW), before)


def test_nfnets_blocks_see_inputs_of_the_deviation_they_divide_by() -> None:
    """With every branch switched on, a block's input times its β has unit variance (arXiv:2101.08692)."""
    torch.manual_seed(0)
    model = NFNetF0([3, 32, 32], 10, width=64).eval()
    seen: list[float] = []
    for module in model.modules():
        if isinstance(module, NFBlock):
            nn.init.ones_(module.gain)
            if isinstance(module.shortcut, nn.Sequential) and isinstance(module.shortcut[0], nn.AvgPool2d):
                module.shortcut[0] = nn.MaxPool2d(1, 2)  # means of noise, unlike those of images, are small
            module.register_forward_hook(
                lambda block, taken, _out: seen.append((taken[0] * block.beta).std().item())
            )
    with torch.no_grad():
        model(torch.randn(8, 3, 32, 32))
    assert len(seen) == 12
    assert all(0.6 < deviation < 1.4 for deviation in seen), seen


def test_dropped_paths_keep_the_mean_and_evaluation_drops_nothing() -> None:
    torch.manual_seed(0)
    layer = StochasticDepth(0.3)
    x_BCHW = torch.ones(4000, 2, 1, 1)
    out = layer(x_BCHW)
    assert sorted(out[:, 0].unique().tolist()) == pytest.approx([0, 1 / 0.7])
    assert torch.equal(out[:, 0], out[:, 1])  # an example is dropped whole
    assert out.mean().item() == pytest.approx(1, abs=0.05)  # 5 standard errors
    assert torch.equal(layer.eval()(x_BCHW), x_BCHW)


def test_the_usual_tempered_sigmoid_is_tanh() -> None:
    x = torch.linspace(-5, 5, 101)
    torch.testing.assert_close(TemperedSigmoid(2, 2, 1)(x), x.tanh(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(TemperedSigmoid(1.5, 1, 0.5)(x), 1.5 * x.sigmoid() - 0.5)
    model = tiny("tempered_cnn", scale=1.5, temperature=1.0, offset=0.5)
    kinds = [module for module in model.modules() if isinstance(module, TemperedSigmoid)]
    assert [(kind.scale, kind.temperature, kind.offset) for kind in kinds] == [(1.5, 1.0, 0.5)] * 3


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("tempered_cnn", {"scale": 0.0}, "not a number > 0"),
        ("tempered_cnn", {"temperature": float("nan")}, "not a number > 0"),
        ("tempered_cnn", {"offset": -1}, "not a number ≥ 0"),
        ("resnet50", {"weight_standardization": 1}, "neither true nor false"),
        ("vit_b16", {"width": 0}, "whole number"),
        ("resnet18", {"stem": "large"}, "choices: auto, small, imagenet"),
        ("cnn", {"normalization": "zscore"}, "choices: train, fixed, none"),
    ],
)
def test_options_of_every_kind_are_checked(name: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_options(ARCHITECTURES[name], options)
    assert says in str(caught.value)
    check_options(ARCHITECTURES["tempered_cnn"], {"offset": 0, "scale": 3})
    check_options(ARCHITECTURES["resnet18"], {"stem": None})


def test_interval_bounds_take_piecewise_linear_networks_and_refuse_what_they_do_not_know() -> None:
    model = tiny("strided_cnn").eval()
    x_BCHW = inputs(model, 4)
    y_B = model(x_BCHW).argmax(1)
    space = ImageBox((3, 16, 16))
    assert certify(model, x_BCHW, y_B, space=space, eps=1e-6).all()
    unnormed = tiny("resnet18", norm="none").eval()
    labels_B = unnormed(x_BCHW).argmax(1)
    assert certify(unnormed, x_BCHW, labels_B, space=space, eps=1e-6).all()
    for name, options, layer in (
        ("cnn", {"norm": "none", "weight_standardization": True}, "var_mean"),
        ("tempered_cnn", {}, "TemperedSigmoid|sigmoid"),
        ("nfnet_f0", {}, "."),
        ("efficientnet_b0", {}, "SiLU"),
    ):
        with pytest.raises(CapabilityError, match=layer):
            certify(tiny(name, **options).eval(), x_BCHW, y_B, space=space, eps=1e-6)
