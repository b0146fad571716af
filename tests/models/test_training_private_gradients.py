"""Clipped sums of per-example gradients: each mode against examples taken alone, and against Opacus."""

import math
from collections.abc import Callable

import pytest
import torch
from opacus.optimizers import DPOptimizer
from torch import Tensor, nn

from raiaudit.errors import UsageError
from raiaudit.models.architectures.attention import ClassToken, Positions
from raiaudit.models.architectures.cnn import ConvNet
from raiaudit.models.architectures.convolutions import SkipInit, StandardizedConv2d
from raiaudit.models.architectures.ft_transformer import FTTransformer
from raiaudit.models.architectures.mlp import MLP
from raiaudit.models.architectures.resnet import ResNet18
from raiaudit.models.architectures.text_transformer import TextTransformer
from raiaudit.models.architectures.tokenizer import train_tokenizer
from raiaudit.models.architectures.vit import VisionTransformer
from raiaudit.models.architectures.wide_resnet import WideResNet
from raiaudit.models.training import gradient_mode
from raiaudit.models.training.gradient_mode import alone, chosen
from raiaudit.models.training.hooks import BookKeeping
from raiaudit.models.training.per_example import Clipped, PerExample, Vmap, losses_of

MODES: list[Callable[..., PerExample]] = [Vmap, BookKeeping]
modes = pytest.mark.parametrize("mode", MODES, ids=["vmap", "hooks"])


def assert_same(found: Clipped, right: Clipped) -> None:
    close = 1e-4 if right.norms_B.dtype == torch.float32 else 1e-9
    assert torch.allclose(found.norms_B, right.norms_B, rtol=close)
    assert torch.allclose(found.losses_B, right.losses_B, rtol=close)
    assert found.sums.keys() == right.sums.keys()
    for name, total in right.sums.items():
        assert found.sums[name].shape == total.shape
        assert (found.sums[name] - total).norm() <= close * (total.norm() + 1e-3), name


def texts() -> TextTransformer:
    return TextTransformer(train_tokenizer(["a fine film", "a dull one"], vocabulary=50), 8, 2, dropout=0.0)


def ids(B: int) -> Tensor:
    """Token ids with repeated tokens, and padding (0) at the end of some."""
    ids_BL = torch.randint(1, 6, (B, 7))
    ids_BL[1, 4:] = 0
    return ids_BL


def images(B: int) -> Tensor:
    return torch.rand(B, 1, 8, 8)


@modes
@pytest.mark.parametrize(
    ("build", "inputs"),
    [
        (lambda: ConvNet([1, 8, 8], 2), images),
        (lambda: ConvNet([1, 20, 20], 2, width=4, hidden=8, norm="none"), lambda B: torch.rand(B, 1, 20, 20)),
        (lambda: ResNet18([1, 8, 8], 2, width=4, norm="group"), images),
        (lambda: ResNet18([1, 8, 8], 2, width=4, norm="none"), images),  # factors that are one number
        (
            lambda: WideResNet([1, 8, 8], 2, depth=10, widen=1, norm="group", weight_standardization=True),
            images,
        ),
        (lambda: VisionTransformer([1, 8, 8], 2, width=16, depth=2), images),
        (lambda: FTTransformer([0, 2], 2, dropout=0.0), lambda B: torch.rand(B, 3)),
        (lambda: MLP([3], 2, hidden=8), lambda B: torch.rand(B, 3)),
        (texts, ids),
    ],
    ids=["cnn", "cnn_plain", "resnet18", "skip_init", "wide_resnet", "vit", "ft_transformer", "mlp", "text"],
)
@pytest.mark.parametrize("views", [1, 3])
def test_every_mode_sums_what_examples_taken_alone_give(
    mode: Callable[..., PerExample],
    build: Callable[[], nn.Module],
    inputs: Callable[[int], Tensor],
    views: int,
) -> None:
    torch.manual_seed(0)
    model, y_B = build().double(), torch.tensor([0, 1, 1, 0])
    x = inputs(4 * views)
    x_BV = (x.double() if x.is_floating_point() else x).reshape(4, views, *x.shape[1:])
    raw = alone(model, x_BV, y_B, math.inf, label_smoothing=0.1)
    clip = float(raw.norms_B.median())  # some are clipped, some are not
    right = alone(model, x_BV, y_B, clip, label_smoothing=0.1)
    assert_same(mode(model, label_smoothing=0.1).clipped(x_BV, y_B, clip), right)


def layer_under_test(layer: nn.Module, x: Tensor) -> nn.Module:
    """A classifier around one layer."""
    with torch.no_grad():
        width = layer(x).flatten(1).shape[1]
    return nn.Sequential(layer, nn.Tanh(), nn.Flatten(), nn.Linear(width, 3)).double()


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), (4, 7, 6)),
        (nn.Conv2d(4, 4, 3, groups=4, bias=False), (4, 5, 5)),
        (nn.Conv2d(3, 5, (2, 4), stride=(1, 2), padding=(0, 3)), (3, 6, 7)),
        (nn.Conv2d(3, 5, 3, dilation=2, padding=2), (3, 6, 6)),
        (nn.Conv2d(1, 4, 8, stride=2, padding=3), (1, 12, 12)),
        (nn.Conv2d(16, 32, 3), (16, 5, 5)),  # few positions: its gradient is not formed
        (StandardizedConv2d(3, 5, 3, padding=1), (3, 5, 5)),
        (StandardizedConv2d(4, 6, 3, groups=2, bias=False, gain=True), (4, 5, 5)),
        (SkipInit(), (3, 4)),
        (nn.Linear(4, 5), (2, 3, 4)),  # four axes
        (nn.Linear(30, 40, bias=False), (6, 30)),
        (nn.LayerNorm([3, 4]), (2, 3, 4)),
        (nn.GroupNorm(2, 4), (4, 5)),
        (nn.GroupNorm(2, 4), (4, 5, 3)),
        (ClassToken(4), (3, 4)),
        (Positions(6, 4), (3, 4)),
    ],
    ids=lambda value: None if isinstance(value, tuple) else str(value).replace("\n", ""),
)
def test_every_rule_is_right_by_itself(layer: nn.Module, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    x_BV = torch.randn(4, 2, *shape).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.5 * torch.rand_like(parameter))  # no factor that hides the others
    model, y_B = layer_under_test(layer.double(), x_BV[:, 0]), torch.tensor([0, 1, 2, 0])
    right = alone(model, x_BV, y_B, 0.5, label_smoothing=0.0)
    assert_same(BookKeeping(model, label_smoothing=0.0).clipped(x_BV, y_B, 0.5), right)


@modes
def test_chunks_do_not_change_the_sum(
    mode: Callable[..., PerExample], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    model, x_BV, y_B = MLP([5], 3, hidden=8), torch.randn(11, 1, 5), torch.arange(11) % 3
    whole = mode(model, label_smoothing=0.0).clipped(x_BV, y_B, 0.5)
    monkeypatch.setattr(f"{mode.__module__}._CHUNK_BYTES", 4000)
    assert_same(mode(model, label_smoothing=0.0).clipped(x_BV, y_B, 0.5), whole)


@modes
def test_clipping_agrees_with_opacus(mode: Callable[..., PerExample]) -> None:
    torch.manual_seed(0)
    model, x_BV, y_B = MLP([5], 3, hidden=8), torch.randn(11, 1, 5), torch.arange(11) % 3
    x_BV[3] *= 1e4  # the planted outlier
    parameters = list(model.parameters())
    reference = DPOptimizer(
        torch.optim.SGD(parameters, lr=1.0), noise_multiplier=0.0, max_grad_norm=0.7, expected_batch_size=11
    )
    gradients, _ = Vmap(model, label_smoothing=0.0).gradients(x_BV, y_B)
    for parameter, gradient in zip(parameters, gradients.values(), strict=True):
        parameter.grad_sample = gradient.clone()  # type: ignore[attr-defined]
    reference.clip_and_accumulate()
    found = mode(model, label_smoothing=0.0).clipped(x_BV, y_B, 0.7)
    for parameter, value in zip(parameters, found.sums.values(), strict=True):
        assert torch.allclose(parameter.summed_grad, value, atol=1e-5)  # type: ignore[attr-defined]


@modes
def test_an_outlier_moves_the_sum_by_at_most_the_clip_and_the_small_are_spared(
    mode: Callable[..., PerExample],
) -> None:
    torch.manual_seed(0)
    model, x_BV, y_B = texts(), ids(6)[:, None], torch.arange(6) % 2
    model.embedding.weight.data[5] *= 1e4
    x_BV[0] = 5
    way = mode(model, label_smoothing=0.0)
    everyone, others = way.clipped(x_BV, y_B, 0.5), way.clipped(x_BV[1:], y_B[1:], 0.5)
    moved = torch.stack([(everyone.sums[name] - others.sums[name]).norm() for name in others.sums]).norm()
    assert 0.4 < moved <= 0.5 + 1e-4
    assert_same(
        way.clipped(x_BV[1:], y_B[1:], 1e9), alone(model, x_BV[1:], y_B[1:], 1e9, label_smoothing=0.0)
    )


@modes
def test_a_gradient_that_is_not_a_number_counts_as_zero(mode: Callable[..., PerExample]) -> None:
    torch.manual_seed(0)
    model, x_BV, y_B = ConvNet([1, 8, 8], 3), torch.rand(5, 1, 1, 8, 8), torch.arange(5) % 3
    x_BV[1, 0, 0, 2, 2], x_BV[4] = math.nan, math.inf
    fine = torch.tensor([0, 2, 3])
    way = mode(model, label_smoothing=0.0)
    found = way.clipped(x_BV, y_B, 0.5)
    assert found.norms_B[[1, 4]].tolist() == [0, 0]
    right = way.clipped(x_BV[fine], y_B[fine], 0.5)
    assert_same(Clipped(found.sums, found.norms_B[fine], found.losses_B[fine]), right)


def test_a_ghost_norm_is_not_too_small_where_positions_cancel() -> None:
    """Two positions whose contributions are 1e4 times their sum: float32 Gram matrices alone may say 0."""
    torch.manual_seed(0)
    layer = nn.Linear(64, 64, bias=False)
    model = nn.Sequential(layer, _Opposed(), nn.Linear(64, 3, bias=False))
    x = 100 * torch.randn(50, 1, 1, 64)
    x_BV = torch.cat([x, x + 1e-3 * torch.randn_like(x)], dim=2)
    y_B = torch.arange(50) % 3
    found = BookKeeping(model, label_smoothing=0.0).clipped(x_BV, y_B, 1.0)
    right = alone(model.double(), x_BV.double(), y_B, 1.0, label_smoothing=0.0)
    assert (found.norms_B >= right.norms_B * (1 - 1e-5)).all()


class _Opposed(nn.Module):
    def forward(self, x_BLD: Tensor) -> Tensor:
        return x_BLD[:, 0] - x_BLD[:, 1]


class _Tied(nn.Module):
    """A head that is the table of embeddings."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.embedding = nn.Embedding(6, 4)
        if how == "shared":
            self.head = nn.Linear(4, 6, bias=False)
            self.head.weight = self.embedding.weight

    def forward(self, ids_BL: Tensor) -> Tensor:
        x_BD: Tensor = self.embedding(ids_BL).mean(1)
        if self.how == "shared":
            logits: Tensor = self.head(x_BD)
            return logits
        if self.how == "called twice":
            return torch.cat([x_BD, self.embedding(ids_BL[:, 0])], dim=1)
        return x_BD @ self.embedding.weight.T


class _Bare(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.zeros(3))

    def forward(self, x_BD: Tensor) -> Tensor:
        return x_BD + self.offset


class _InPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Linear(3, 8), nn.Linear(8, 3)

    def forward(self, x_BD: Tensor) -> Tensor:
        logits: Tensor = self.head(torch.relu_(self.layer(x_BD)))
        return logits


class _Mixing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x_BD: Tensor) -> Tensor:
        logits: Tensor = self.layer(x_BD - x_BD.mean(0))
        return logits


def rows(B: int) -> Tensor:
    return torch.randn(B, 3)


@pytest.mark.parametrize(
    ("model", "inputs", "reason"),
    [
        (_Tied("shared"), ids, "a parameter belongs to two layers"),
        (_Tied("called twice"), ids, "embedding is used twice in one forward"),
        (_Tied("by hand"), ids, "norms .* where examples taken alone have"),
        (_Bare(), rows, "the model itself: no rule for the parameters of _Bare"),
        (_InPlace(), rows, "layer: its output was changed in place"),
        (nn.Sequential(nn.Linear(3, 3), nn.PReLU()), rows, "1: no rule for the parameters of PReLU"),
    ],
    ids=["tied", "twice", "by_hand", "bare", "in_place", "unknown"],
)
def test_what_hooks_cannot_do_is_noticed_and_left_to_vmap(
    model: nn.Module, inputs: Callable[[int], Tensor], reason: str
) -> None:
    torch.manual_seed(0)
    x_BV, y_B = inputs(4)[:, None], torch.tensor([0, 1, 2, 0])
    with pytest.raises(UsageError, match=rf"hooks: {reason}(.|\n)*gradients: auto"):
        chosen("hooks", model, x_BV, y_B, 0.5, label_smoothing=0.0)
    left = chosen("auto", model, x_BV, y_B, 0.5, label_smoothing=0.0)
    assert left.name == "vmap"
    assert_same(left.clipped(x_BV, y_B, 0.5), alone(model, x_BV, y_B, 0.5, label_smoothing=0.0))


def test_a_layer_that_mixes_examples_is_refused_even_on_a_batch_of_one() -> None:
    with pytest.raises(UsageError, match=r"no per-example gradients(.|\n)*hooks: norms"):
        chosen("hooks", _Mixing(), rows(1)[:, None], torch.tensor([0]), 0.5, label_smoothing=0.0)


def test_auto_takes_the_faster_and_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x_BV, y_B = MLP([3], 3, hidden=8, dropout=0.5), rows(4)[:, None], torch.tensor([0, 1, 2, 0])
    before = torch.get_rng_state()
    for seconds, name in (([1.0, 2.0], "hooks"), ([2.0, 1.0], "vmap"), ([1.0, 0.95], "hooks")):
        monkeypatch.setattr(gradient_mode, "_seconds", lambda *_, seconds=seconds: seconds)
        assert chosen("auto", model, x_BV, y_B, 0.5, label_smoothing=0.0).name == name
    monkeypatch.undo()
    chosen("auto", model, x_BV, y_B, 0.5, label_smoothing=0.0)
    assert torch.equal(torch.get_rng_state(), before)
    monkeypatch.setattr(gradient_mode, "_seconds", lambda *_: pytest.fail("timed"))
    assert chosen("auto", model, x_BV, y_B, 0.5, label_smoothing=0.0, timed=False).name == "hooks"


def test_a_wrong_rule_is_found_before_the_first_step(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x_BV, y_B = MLP([3], 3, hidden=8), rows(4)[:, None], torch.tensor([0, 1, 2, 0])
    monkeypatch.setattr("raiaudit.models.training.hooks.clip_factors", lambda norms_B, clip: norms_B * 0 + 1)
    assert chosen("auto", model, x_BV, y_B, 1e-3, label_smoothing=0.0).name == "vmap"


def test_a_loss_that_is_one_number_for_the_batch_is_not_clipped(monkeypatch: pytest.MonkeyPatch) -> None:
    mean = nn.functional.cross_entropy
    monkeypatch.setattr(
        "raiaudit.models.training.per_example.functional.cross_entropy",
        lambda logits, labels, **_: mean(logits, labels),
    )
    with pytest.raises(AssertionError, match="one loss for each example"):
        losses_of(torch.zeros(4, 3), torch.zeros(4, dtype=torch.int64), label_smoothing=0.0)
