"""Every attribution method against what it must find: closed forms, enumeration, planted evidence, captum."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from raiaudit.audit.explanations.attribution import AttributionConfig
from raiaudit.audit.explanations.methods import METHODS, find_method
from raiaudit.audit.explanations.methods.cam import GradCAM, LayerCAM, convolutional_layer
from raiaudit.audit.explanations.methods.coalitions import every_coalition, paired_design
from raiaudit.audit.explanations.methods.guided import GuidedBackpropagation
from raiaudit.audit.explanations.methods.occlusion import Occlusion
from raiaudit.audit.explanations.methods.path import ExpectedGradients
from raiaudit.audit.explanations.methods.players import players_of
from raiaudit.audit.explanations.methods.shapley import ExactShapley, KernelSHAP
from raiaudit.audit.explanations.methods.smooth import SmoothGrad
from raiaudit.audit.explanations.methods.views import View
from raiaudit.audit.explanations.quality.faithfulness import FaithfulnessConfig
from raiaudit.audit.explanations.quality.randomisation import RandomisationConfig
from raiaudit.audit.explanations.stability.stability import StabilityConfig
from raiaudit.errors import CapabilityError, UnknownNameError
from raiaudit.models.architectures.cnn import ConvNet
from raiaudit.models.architectures.resnet import ResNet18
from raiaudit.models.architectures.vit import VisionTransformer


def rngs(n: int) -> list[np.random.Generator]:
    return [np.random.default_rng([7, row]) for row in range(n)]


def view_of_rows(logits: Callable[[Tensor], Tensor], x: Tensor, baseline: Tensor | None = None) -> View:
    """Rows of columns; three training rows to draw baselines from."""
    start = torch.zeros_like(x) if baseline is None else baseline
    return View(
        x=x,
        baseline=start,
        feature_E=torch.arange(x.shape[1]),
        present_BF=torch.ones(x.shape, dtype=torch.bool),
        logits=lambda points, _rows: logits(points),
        names=[[f"c{column}" for column in range(x.shape[1])] for _ in x],
        background=lambda: start[:1] + torch.tensor([[-1.0], [0.0], [1.0]]),
    )


def view_of_images(network: nn.Module, x: Tensor) -> View:
    height, width = x.shape[-2:]
    return View(
        x=x,
        baseline=torch.zeros_like(x),
        feature_E=torch.arange(height * width).repeat(x.shape[1]),
        present_BF=torch.ones(len(x), height * width, dtype=torch.bool),
        logits=lambda points, _rows: network(points),
        names=None,
        network=network,
        background=lambda: x[:1] * torch.tensor([0.0, 0.5, 1.0]).view(3, 1, 1, 1),
    )


def explained(name_or_method: Any, view: View, target_B: Tensor) -> Tensor:
    method = find_method(name_or_method) if isinstance(name_or_method, str) else name_or_method
    scores_BF: Tensor = method.explain(view, target_B, rngs=rngs(len(view.x))).scores_BF
    return scores_BF


def classes(n: int, k: int = 3) -> Tensor:
    return torch.arange(n) % k


# Closed forms

GAME = ("occlusion", "kernel_shap", "shapley", "integrated_gradients", "input_x_gradient")


@pytest.mark.parametrize("name", GAME)
def test_a_linear_model_is_attributed_weight_times_the_way_from_the_baseline(name: str) -> None:
    torch.manual_seed(0)
    x, baseline, weight_EK = torch.randn(6, 5), torch.randn(1, 5).expand(6, 5), torch.randn(5, 3)
    found = explained(name, view_of_rows(lambda points: points @ weight_EK, x, baseline), classes(6))
    expected = ((x - baseline) * weight_EK.T[classes(6)]).double()
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_expected_gradients_of_a_linear_model_start_at_the_mean_of_what_was_drawn() -> None:
    torch.manual_seed(0)
    x, weight_EK = torch.randn(4, 5), torch.randn(5, 3)
    view = view_of_rows(lambda points: points @ weight_EK, x)
    method = ExpectedGradients(samples=3000)
    maps = method.explain(view, classes(4), rngs=rngs(4))
    # The three baselines are −1, 0 and 1 in every column: their mean is 0, give or take √(2/3/3000).
    torch.testing.assert_close(maps.scores_BF, (x * weight_EK.T[classes(4)]).double(), atol=0.1, rtol=0)
    assert maps.error_B is not None
    assert float(maps.error_B.max()) < 1e-5  # linear: exact for the baselines that were drawn


@pytest.mark.parametrize("name", ["saliency", "smoothgrad"])
def test_gradients_of_a_linear_model_are_its_weights(name: str) -> None:
    weight_EK = torch.tensor([[1.0, -2.0], [3.0, 0.0], [-4.0, 0.5]])
    view = view_of_rows(lambda points: points @ weight_EK, torch.randn(2, 3))
    torch.testing.assert_close(explained(name, view, classes(2, 2)), weight_EK.T.abs().double())


def by_permutations(value: Callable[[frozenset[int]], float], n: int) -> list[float]:
    """Shapley's definition: the mean gain over all orders of arrival."""
    total = np.zeros(n)
    orders = list(permutations(range(n)))
    for order in orders:
        for at, player in enumerate(order):
            total[player] += value(frozenset(order[: at + 1])) - value(frozenset(order[:at]))
    return list(total / len(orders))


def test_exclusive_or_is_shared_evenly() -> None:
    """f = x₀ xor x₁ (of 0 and 1), + 2x₂: at (1, 1, 1) nothing for the pair, at (1, 0, 1) all for x₀."""

    def logits(points: Tensor) -> Tensor:
        a, b, c = points.T
        answer_B: Tensor = a + b - 2 * a * b + 2 * c
        return answer_B[:, None]

    view = view_of_rows(logits, torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 1.0]]))
    expected = torch.tensor([[0.0, 0.0, 2.0], [1.0, 0.0, 2.0]], dtype=torch.float64)
    for name in ("shapley", "kernel_shap"):
        torch.testing.assert_close(explained(name, view, torch.zeros(2, dtype=torch.int64)), expected)
    # Either of the pair alone taken away turns the answer from 0 to 1: occlusion blames both.
    lost = explained("occlusion", view, torch.zeros(2, dtype=torch.int64))
    assert lost[0].tolist() == [-1, -1, 2]


@pytest.mark.parametrize("n", [1, 2, 4, 5])
def test_enumerated_and_solved_values_are_those_of_all_orders(n: int) -> None:
    answers = np.random.default_rng(n).normal(size=2**n)

    def value(coalition: frozenset[int]) -> float:
        return float(answers[sum(1 << player for player in coalition)])

    expected = by_permutations(value, n)
    for design in (every_coalition(n), paired_design(n, 2**n)):
        asked = answers[design.present_MN @ (1 << np.arange(n))]
        np.testing.assert_allclose(asked @ design.matrix_MN, expected, atol=1e-12)


@pytest.mark.parametrize(("n", "samples"), [(9, 60), (14, 200), (30, 100), (7, 3)])
def test_a_sampled_design_keeps_what_is_exact(n: int, samples: int) -> None:
    """Additive and pairwise games have their values at any budget; sums hold; the design is paired."""
    design = paired_design(n, samples)
    present = design.present_MN.astype(float)
    assert len(present) <= max(samples, 2 * n) + 6
    assert len(np.unique(present, axis=0)) == len(present)
    assert {tuple(row) for row in present} == {tuple(1 - row) for row in present}
    rng = np.random.default_rng(0)
    weight = rng.normal(size=n)
    np.testing.assert_allclose((3 + present @ weight) @ design.matrix_MN, weight, atol=1e-10)
    pair = rng.normal(size=(n, n))
    pair = np.triu(pair, 1)
    # x'Ax shares each pair's worth evenly; complements cancel what is not linear in it.
    value = np.einsum("mi,ij,mj->m", present, pair, present)
    np.testing.assert_allclose(value @ design.matrix_MN, (pair + pair.T).sum(0) / 2, atol=1e-10)
    noise = rng.normal(size=len(present))
    np.testing.assert_allclose((noise @ design.matrix_MN).sum(), noise[-1] - noise[0], atol=1e-10)


# Planted evidence


@pytest.fixture(scope="module")
def marked() -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    first, second = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1)
    head = nn.Linear(2 * 12 * 12, 2)
    network = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.Flatten(), head)
    weight = torch.zeros(2, 2, 12, 12)
    weight[1, :, 8:11, 8:11] = 1.0
    with torch.no_grad():
        for layer in (first, second):
            layer.weight.abs_()
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # there is one
        head.weight.copy_(weight.flatten(1))
        head.bias.copy_(torch.tensor([0.0, -1.0]))
    x = torch.rand(4, 1, 12, 12) * 0.05
    x[:, :, 8:11, 8:11] = 1.0
    return network.eval(), x


@pytest.mark.parametrize("name", sorted(set(METHODS) - {"attention_rollout", "gradient_rollout"}))
def test_a_planted_watermark_is_found(name: str, marked: tuple[nn.Module, Tensor]) -> None:
    """The three by three mark, and what two convolutions see around it, have most of the map."""
    network, x = marked
    method: Any = find_method(name)
    if name in ("kernel_shap", "shapley"):
        method = KernelSHAP(grid=4, samples=200) if name == "kernel_shap" else ExactShapley()
    scores = explained(method, view_of_images(network, x), torch.ones(4, dtype=torch.int64)).abs()
    scores = scores.view(4, 12, 12)
    near = scores[:, 6:, 6:].sum((1, 2)) / scores.sum((1, 2))
    assert float(near.min()) > 0.75  # a quarter of the pixels


@pytest.fixture(scope="module")
def looking() -> tuple[VisionTransformer, Tensor]:
    """Attention by hand: every token looks at the patch with the largest first value, and reads it."""
    torch.manual_seed(0)
    network = VisionTransformer([1, 8, 8], 2, patch=4, width=8, depth=1, heads=1, normalization="none").eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.patches.weight[0] = 1.0
        network.patches.bias[1] = 1.0  # LayerNorm sees a direction, not a size
        block: Any = network.encoder.blocks[0]
        for norm in (block.norm1, block.norm2, network.encoder.norm):
            norm.weight.fill_(1.0)
        block.attention.query.bias[0] = 8.0
        block.attention.key.weight[0, 0] = 1.0
        block.attention.value.weight[0, 0] = 1.0
        block.attention.out.weight[0, 0] = 1.0
        network.head.weight[1, 0] = 1.0
    x = torch.zeros(3, 1, 8, 8)
    for row, (top, left) in enumerate([(0, 0), (0, 4), (4, 4)]):
        x[row, 0, top : top + 4, left : left + 4] = 1.0
    return network, x


@pytest.mark.parametrize("name", ["attention_rollout", "gradient_rollout"])
def test_the_patch_that_attention_reads_is_found(
    name: str, looking: tuple[VisionTransformer, Tensor]
) -> None:
    network, x = looking
    scores = explained(name, view_of_images(network, x), torch.ones(3, dtype=torch.int64)).view(3, 8, 8)
    bright = x[:, 0] > 0
    assert all(
        float(row[lit].min()) > float(row[~lit].max()) for row, lit in zip(scores, bright, strict=True)
    )


def test_rollout_is_the_product_of_the_published_formula() -> None:
    torch.manual_seed(1)
    network = VisionTransformer([1, 8, 8], 3, patch=4, width=8, depth=3, heads=2).eval()
    x = torch.rand(2, 1, 8, 8)
    product = torch.eye(5).repeat(2, 1, 1)
    for weights_BHLL in network.attention_weights(x):
        product = (0.5 * weights_BHLL.mean(1) + 0.5 * torch.eye(5)) @ product
    found = explained("attention_rollout", view_of_images(network, x), classes(2)).view(2, 8, 8)
    patches = found.view(2, 2, 4, 2, 4).sum((2, 4)).flatten(1)
    torch.testing.assert_close(patches, product[:, 0, 1:].double(), atol=1e-6, rtol=1e-5)


def test_seeing_attention_changes_no_answer() -> None:
    from raiaudit.models.attention_calls import attending

    torch.manual_seed(1)
    network = VisionTransformer([1, 8, 8], 3, patch=4, width=8, depth=2, heads=2).eval()
    x = torch.rand(2, 1, 8, 8)
    plain = network(x)
    weights: list[Tensor] = []

    def see(layer: int, weights_BHLL: Tensor, mixed_BLHE: Tensor) -> Tensor:
        assert layer == len(weights)
        weights.append(weights_BHLL)
        return mixed_BLHE

    with attending(network, see):
        torch.testing.assert_close(network(x), plain)
    torch.testing.assert_close(torch.stack(weights), torch.stack(network.attention_weights(x)))
    network(x)
    assert len(weights) == 2  # nobody looks on any more


# Invariances


def small(seed: int = 0) -> ConvNet:
    torch.manual_seed(seed)
    return ConvNet([1, 8, 8], 3, width=4, hidden=8).eval()


def test_batches_change_no_map() -> None:
    network, x = small(), torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    whole, last = view_of_images(network, x), view_of_images(network, x)
    last = View(
        x=x[2:],
        baseline=whole.baseline[2:],
        feature_E=whole.feature_E,
        present_BF=whole.present_BF[2:],
        logits=whole.logits,
        names=None,
        network=network,
        background=whole.background,
    )
    for name in sorted(set(METHODS) - {"attention_rollout", "gradient_rollout"}):
        together = explained(name, whole, classes(3))[2:]
        alone = find_method(name).explain(last, classes(3)[2:], rngs=rngs(3)[2:]).scores_BF
        torch.testing.assert_close(alone, together, atol=1e-5, rtol=1e-3, msg=name)


def test_two_networks_of_one_function_have_one_map() -> None:
    """Implementation invariance (arXiv:1703.01365): hidden units in another order, and scaled both ways."""
    torch.manual_seed(2)
    lower, upper = nn.Linear(4, 6), nn.Linear(6, 3)
    order = torch.tensor([3, 1, 5, 0, 2, 4])

    def first(points: Tensor) -> Tensor:
        return torch.relu(points @ lower.weight.T + lower.bias) @ upper.weight.T

    def second(points: Tensor) -> Tensor:
        hidden = torch.relu(points @ (3 * lower.weight[order].T) + 3 * lower.bias[order])
        return hidden @ (upper.weight[:, order].T / 3)

    x = torch.randn(3, 4)
    for name in ("saliency", "input_x_gradient", "smoothgrad", "integrated_gradients", *GAME[:3]):
        one, other = (explained(name, view_of_rows(network, x), classes(3)) for network in (first, second))
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4, msg=name)


def test_chunks_change_no_map(monkeypatch: pytest.MonkeyPatch) -> None:
    from raiaudit.audit.explanations.methods import cam, players

    view, names = view_of_images(small(), torch.rand(3, 1, 8, 8)), ("occlusion", "kernel_shap", "grad_cam")
    whole = [explained(name, view, classes(3)) for name in names]
    monkeypatch.setattr(players, "_MOST_POINTS", 16)
    monkeypatch.setattr(cam, "_CHUNK", 2)
    for name, together in zip(names, whole, strict=True):
        torch.testing.assert_close(explained(name, view, classes(3)), together, atol=1e-5, rtol=1e-4)


# Captum


def test_captum_agrees() -> None:
    from captum import attr

    network, target_B = small(), classes(4)
    x = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    view = view_of_images(network, x)
    layer = convolutional_layer(view).module
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs: dict[Any, Tensor] = {
            Occlusion(window=3, stride=2): attr.Occlusion(network).attribute(
                x, sliding_window_shapes=(1, 3, 3), strides=(1, 2, 2), target=target_B, baselines=0
            ),
            GuidedBackpropagation(): attr.GuidedBackprop(network).attribute(x, target=target_B).abs(),
            GradCAM(): attr.LayerAttribution.interpolate(
                attr.LayerGradCam(network, layer).attribute(x, target=target_B, relu_attributions=True),
                (8, 8),
                "bilinear",
            ),
            find_method("saliency"): attr.Saliency(network).attribute(x, target=target_B),
            find_method("input_x_gradient"): attr.InputXGradient(network).attribute(x, target=target_B),
        }
    for method, values in theirs.items():
        found = explained(method, view, target_B)
        torch.testing.assert_close(found.float(), values.flatten(1).detach(), atol=1e-5, rtol=1e-4)


def test_captums_exact_values_agree() -> None:
    from captum.attr import ShapleyValues

    torch.manual_seed(3)
    network = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)).eval()
    x = torch.randn(2, 5)
    theirs = ShapleyValues(network).attribute(x, target=classes(2), perturbations_per_eval=8)
    found = explained("shapley", view_of_rows(network, x), classes(2)).float()
    torch.testing.assert_close(found, theirs, atol=1e-5, rtol=1e-4)


# Layers


def test_the_layer_is_behind_the_last_convolutions_activation_and_shortcut() -> None:
    place = convolutional_layer(view_of_images(small(), torch.rand(1, 1, 8, 8)))
    assert not isinstance(place.module, nn.Conv2d)
    residual = ResNet18([1, 16, 16], 3).eval()
    place = convolutional_layer(view_of_images(residual, torch.rand(1, 1, 16, 16)))
    seen: list[Tensor] = []
    handle = place.module.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    residual(torch.rand(1, 1, 16, 16))
    handle.remove()
    assert float(seen[0].detach().min()) >= 0, place.name  # behind a ReLU
    assert max(seen[0].shape[2:]) > 1


def test_a_layer_can_be_named_and_a_wrong_name_gets_the_nearest() -> None:
    view = view_of_images(small(), torch.rand(2, 1, 8, 8))
    first = explained(LayerCAM(layer="features.0"), view, classes(2))
    assert not torch.allclose(first, explained("layer_cam", view, classes(2)))
    with pytest.raises(UnknownNameError, match="feature\\.0") as caught:
        explained(GradCAM(layer="feature.0"), view, classes(2))
    assert "did you mean 'features.0'" in str(caught.value)


@pytest.mark.parametrize("name", ["integrated_gradients", "expected_gradients", "shapley", "kernel_shap"])
def test_the_residual_is_a_share_of_the_map_that_is_shown(name: str) -> None:
    """Where channels of a pixel cancel, a residual that is judged before they are summed looks smaller."""
    x = torch.rand(4, 2, 3, 3, generator=torch.Generator().manual_seed(0))

    def logits(points: Tensor, _rows: Tensor) -> Tensor:
        plus, minus = points.flatten(2).unbind(1)
        score_R = (9 * (plus - 0.97 * minus)).sin().abs().sum(1)
        return torch.stack([score_R, -score_R], 1)

    view = replace(view_of_images(nn.Identity(), x), logits=logits)
    target_B = torch.zeros(4, dtype=torch.int64)
    settings: dict[str, Any] = {"max_nodes": 2} if name == "integrated_gradients" else {}
    maps = find_method(name, **settings).explain(view, target_B, rngs=rngs(4))
    assert maps.error_B is not None
    rows = torch.arange(4)
    before_B = logits(view.baseline, rows)[:, 0].double()
    if name == "expected_gradients":
        assert view.background is not None
        drawn = [view.background()[torch.from_numpy(rng.integers(3, size=100))] for rng in rngs(4)]
        before_B = torch.stack([logits(some, rows)[:, 0].mean() for some in drawn]).double()
    gap_B = logits(x, rows)[:, 0].double() - before_B
    residual_B = (maps.scores_BF.sum(1) - gap_B).abs() / maps.scores_BF.abs().sum(1)
    torch.testing.assert_close(maps.error_B, residual_B, atol=1e-6, rtol=1e-4)
    if name == "integrated_gradients":
        assert residual_B.max() > 0.01


def test_nodes_are_added_until_the_map_that_is_shown_adds_up() -> None:
    x = torch.rand(4, 2, 3, 3, generator=torch.Generator().manual_seed(0))

    def logits(points: Tensor, _rows: Tensor) -> Tensor:
        plus, minus = points.flatten(2).unbind(1)
        return (9 * (plus - 0.97 * minus)).sin().abs().sum(1, keepdim=True)

    view = replace(view_of_images(nn.Identity(), x), logits=logits)
    found = find_method("integrated_gradients").explain(view, torch.zeros(4).long(), rngs=[])
    gap_B = logits(x, torch.arange(4))[:, 0].double()
    assert ((found.scores_BF.sum(1) - gap_B).abs() / found.scores_BF.abs().sum(1)).max() <= 0.01


class Tutorial(nn.Module):
    """One in-place ReLU, one pooling and, in the middle, one convolution for all, or one for each call."""

    def __init__(self, *, shared: bool) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.relus = nn.ModuleList([nn.ReLU(inplace=True)] * 4 if shared else [nn.ReLU() for _ in range(4)])
        middle = nn.Conv2d(4, 4, 3, padding=1)
        self.first, self.last = nn.Conv2d(2, 4, 3, padding=1), nn.Linear(4, 3)
        self.hidden = nn.Linear(4, 4)
        self.middle = nn.ModuleList([middle, middle if shared else nn.Conv2d(4, 4, 3, padding=1)])
        for layer in (self.first, middle, self.hidden, self.last):
            for parameter in layer.parameters():
                parameter.data = torch.randn(parameter.shape, generator=generator)
        self.middle[1].load_state_dict(middle.state_dict())

    def forward(self, x: Tensor) -> Tensor:
        x = self.relus[0](self.first(x))
        for relu, layer in zip(self.relus[1:3], self.middle, strict=True):
            x = relu(layer(x))
        logits_BK: Tensor = self.last(self.relus[3](self.hidden(x.mean((2, 3)))))
        return logits_BK


@pytest.mark.parametrize("name", sorted(name for name in METHODS if not name.endswith("rollout")))
def test_modules_that_are_called_several_times_explain_as_modules_of_their_own(name: str) -> None:
    """Implementation invariance: which objects a network is made of is no part of its function."""
    x, target_B = torch.rand(3, 2, 7, 5, generator=torch.Generator().manual_seed(1)), classes(3)
    one, several = (view_of_images(Tutorial(shared=shared).eval(), x) for shared in (True, False))
    found = explained(name, one, target_B)
    assert found.abs().sum() > 0
    torch.testing.assert_close(found, explained(name, several, target_B))


def test_a_shared_layer_is_looked_at_where_it_is_called_last() -> None:
    x, target_B = torch.rand(3, 2, 7, 5, generator=torch.Generator().manual_seed(1)), classes(3)
    one, several = (view_of_images(Tutorial(shared=shared).eval(), x) for shared in (True, False))
    wanted = explained(LayerCAM(layer="middle.1"), several, target_B)
    for alias in ("middle.0", "middle.1"):
        torch.testing.assert_close(explained(LayerCAM(layer=alias), one, target_B), wanted)


# What cannot be asked


def test_a_network_without_what_a_method_reads_says_so() -> None:
    linear = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    view = view_of_images(linear, torch.rand(2, 1, 8, 8))
    for method in (*map(find_method, ("grad_cam", "attention_rollout")), GuidedBackpropagation()):
        with pytest.raises(CapabilityError):
            explained(method, view, classes(2))


def test_too_many_columns_are_not_enumerated() -> None:
    view = view_of_rows(lambda points: points, torch.rand(2, 15))
    with pytest.raises(CapabilityError, match="2\\^15"):
        explained("shapley", view, classes(2))


@pytest.mark.parametrize("name", sorted(set(METHODS) - {"attention_rollout", "gradient_rollout"}))
def test_constant_inputs_and_a_batch_of_one_give_finite_maps(name: str) -> None:
    found = explained(name, view_of_images(small(), torch.zeros(1, 1, 8, 8)), classes(1))
    assert found.shape == (1, 64)
    assert bool(found.isfinite().all())
    if name in ("occlusion", "kernel_shap", "shapley", "integrated_gradients", "input_x_gradient"):
        assert float(found.abs().max()) == 0  # the input is the baseline


def test_noise_follows_the_spread_of_a_table() -> None:
    """A kink at 1: the noise of a column that hardly varies does not reach it, that of another does."""
    x = torch.zeros(1, 2)
    view = view_of_rows(lambda points: (points - 0.4).clamp(min=0).sum(1, keepdim=True), x)
    wide = View(
        view.x,
        view.baseline,
        view.feature_E,
        view.present_BF,
        view.logits,
        view.names,
        background=lambda: torch.tensor([[0.0, 0.0], [0.01, 10.0]]),
    )
    found = explained(SmoothGrad(samples=200), wide, classes(1, 1))
    assert float(found[0, 0]) == 0
    assert float(found[0, 1]) > 0.1


def test_the_pieces_of_a_word_play_together_and_long_texts_in_runs() -> None:
    pieces = ["[CLS]", "un", "##happ", "##y", "film", "!"]
    view = View(
        x=torch.zeros(1, 8, 2),
        baseline=torch.zeros(1, 8, 2),
        feature_E=torch.arange(8).repeat_interleave(2),
        present_BF=torch.tensor([[False] + [True] * 5 + [False] * 2]),
        logits=lambda points, _rows: points.sum((1, 2))[:, None],
        names=[pieces],
        is_text=True,
    )
    players = players_of(view, grid=1)
    assert players.member_BF.tolist() == [[-1, 0, 0, 0, 1, 2, -1, -1]]
    assert players.spread(torch.tensor([[3.0, 5.0, 7.0]]))[0].tolist() == [0, 1, 1, 1, 5, 7, 0, 0]
    assert players_of(view, grid=1, most=2).member_BF.tolist() == [[-1, 0, 0, 0, 0, 1, -1, -1]]


def test_a_tokenizer_that_frames_nothing_leaves_no_word_out() -> None:
    """The first token is a word like any other where no [CLS] stands before it."""
    view = View(
        x=torch.ones(1, 3, 2),
        baseline=torch.zeros(1, 3, 2),
        feature_E=torch.arange(3).repeat_interleave(2),
        present_BF=torch.ones(1, 3, dtype=torch.bool),
        logits=lambda points, _rows: (points.sum(2) * torch.tensor([4.0, 2.0, 1.0])).sum(1)[:, None],
        names=[["good", "film", "##s"]],
        is_text=True,
    )
    for name in ("occlusion", "kernel_shap", "shapley"):
        assert explained(name, view, torch.tensor([0]))[0].tolist() == pytest.approx([8, 3, 3])


def test_a_spec_may_name_every_method_of_the_catalogue() -> None:
    for config in (AttributionConfig, FaithfulnessConfig, RandomisationConfig, StabilityConfig):
        listed = config.model_json_schema()["properties"]["methods"]["items"]["enum"]
        assert listed == list(METHODS)
        assert config.model_validate({"methods": listed}).methods == tuple(METHODS)
        with pytest.raises(ValueError, match="stands twice"):
            config.model_validate({"methods": ["saliency", "saliency"]})
        with pytest.raises(ValueError, match="did you mean 'saliency'"):
            config.model_validate({"methods": ["salience"]})
    assert all(find_method(name).name == name for name in METHODS)
    with pytest.raises(UnknownNameError, match="kernelshap"):
        find_method("kernelshap")
