"""The cascade: the gradient and Grad-CAM depend on the model, guided backpropagation does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from raiaudit.attacks.spaces import ImageBox
from raiaudit.audit.explanations.copies import copied
from raiaudit.audit.explanations.quality.randomisation import Randomisation, RandomisationConfig
from raiaudit.audit.explanations.quality.reinitialise import layers_from_output, reinitialise
from raiaudit.models.architectures.classifier import Classifier
from raiaudit.models.data.dataset import Dataset, Split

SIDE = 10


class Wide(Classifier):
    """Many filters and no pooling: where guided backpropagation restores the input (arXiv:1805.07039)."""

    architecture = "wide"
    modality = "image"

    def __init__(self, width: int) -> None:
        super().__init__()
        self.classes = 2
        self.features = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU()
        )
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(5), nn.Flatten(), nn.Linear(25 * width, 2))

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(inputs - 0.5))
        return logits


def stamped(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Smooth random pictures; the class is where a white square was stamped."""
    generator = np.random.default_rng(0)
    x = generator.random((n, 1, SIDE, SIDE))
    x = gaussian_filter(x, sigma=(0, 0, 1.2, 1.2))
    x = (x - x.min((2, 3), keepdims=True)) / np.ptp(x, axis=(2, 3), keepdims=True)
    y = generator.integers(0, 2, n)
    for row in range(n):
        at = 1 if y[row] else 6
        x[row, 0, at : at + 3, at : at + 3] = 1
    return x.astype(np.float32), y


@pytest.fixture(scope="module")
def trained() -> tuple[Wide, Dataset]:
    torch.manual_seed(0)
    x, y = stamped(240)
    network = Wide(64)
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    inputs, labels = torch.from_numpy(x), torch.from_numpy(y)
    for _ in range(4):
        for batch in torch.split(torch.randperm(len(x)), 48):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(inputs[batch]), labels[batch]).backward()  # type: ignore[no-untyped-call] # torch
            optimizer.step()
    assert (network(inputs).argmax(1) == labels).float().mean() > 0.95
    ids = pl.Series([f"e{row:03d}" for row in range(len(x))])
    split = Split(ids, x, y.astype(np.int64))
    splits = {"train": split, "validation": split.take(slice(0, 0)), "test": split}
    return network, Dataset(
        "stamped", "image", ("low", "high"), ImageBox((1, SIDE, SIDE)), splits, digest="s"
    )


def test_the_gradient_and_grad_cam_pass_and_guided_backpropagation_fails(
    trained: tuple[Wide, Dataset], make_subject: Any, run_check: Any
) -> None:
    check = Randomisation()
    config = RandomisationConfig(
        methods=("saliency", "input_x_gradient", "grad_cam", "attention_rollout"),
        examples=16,
        shard=6,
        stages=3,
        baseline="zeros",
    )
    subject = make_subject(*trained)
    before = {name: value.clone() for name, value in trained[0].state_dict().items()}
    ledger = run_check(check, subject, config)
    assert all(torch.equal(value, before[name]) for name, value in trained[0].state_dict().items())
    found: dict[str, Any] = {m.label(): m for m in check.summarise(ledger, subject, config)}
    for method in ("saliency", "input_x_gradient", "grad_cam"):
        assert found[f"randomisation_similarity (method={method})"].high < 0.3
    refused = found["randomisation_similarity (method=attention_rollout)"]
    assert refused.value is None
    assert refused.reason
    bad = "known_bad_similarity (method=guided_backpropagation"
    assert found[f"{bad}, layers=output)"].low > 0.3
    chance = found["randomisation_chance (method=saliency)"]
    assert chance.high < 0.3
    cascade = check.evidence(ledger, subject, config)["cascade"]
    guided = cascade.filter("known_bad", pl.col("similarity") == "signed").sort("stage")
    assert guided["layers"].to_list() == ["1: head.2", "2: features.2", "3: features.0"]
    assert guided["value"][1] > 0.3  # both upper layers forgotten, and it still draws the input
    saliency = cascade.filter(pl.col("method") == "saliency", pl.col("similarity") == "signed")
    assert (guided["value"] > saliency.sort("stage")["value"] + 0.15).all()


def test_shards_change_no_row(trained: tuple[Wide, Dataset], make_subject: Any) -> None:
    check, subject = Randomisation(), make_subject(*trained)
    frames = []
    for shard in (4, 1):
        config = RandomisationConfig(methods=("saliency",), examples=4, shard=shard, stages=2, seeds=2)
        frames.append(pl.concat([check.execute(task, subject) for task in check.tasks(subject, config)]))
    assert frames[0].columns == frames[1].columns
    for name in frames[0].columns[2:]:
        first, second = (frame[name].explode().to_numpy() for frame in frames)
        np.testing.assert_allclose(first, second, atol=1e-3, err_msg=name)


def test_a_deaf_model_is_undefined_and_one_example_has_no_interval(make_subject: Any, run_check: Any) -> None:
    class Deaf(Wide):
        def forward(self, inputs: Tensor) -> Tensor:
            return super().forward(inputs * 0)

    x, y = stamped(1)
    split = Split(pl.Series(["e0"]), x, y.astype(np.int64))
    data = Dataset(
        "d", "image", ("a", "b"), ImageBox((1, SIDE, SIDE)), {"train": split, "test": split}, digest="d"
    )
    check, config = Randomisation(), RandomisationConfig(methods=("saliency",), seeds=2, stages=2)
    for network, defined in ((Deaf(4), False), (Wide(4), True)):
        subject = make_subject(network, data)
        ledger = run_check(check, subject, config)
        found: dict[str, Any] = {m.label(): m for m in check.summarise(ledger, subject, config)}
        similarity = found["randomisation_similarity (method=saliency)"]
        assert (similarity.value is not None) == defined
        assert similarity.low is None
        assert defined or "constant" in similarity.reason


class Odd(nn.Module):
    """Used in another order than it was registered, with a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(4, 2)
        self.token = nn.Parameter(torch.arange(4.0))
        self.first = nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.last(self.first(x) + self.token)
        return logits


def test_layers_come_in_the_order_they_are_used() -> None:
    network = Odd()
    assert layers_from_output(network, lambda: network(torch.zeros(1, 3))) == ["last", "first", ""]


def test_a_layer_is_drawn_anew_by_its_own_distribution_or_shuffled() -> None:
    network, other = Odd(), Odd()
    other.load_state_dict(network.state_dict())
    state = torch.get_rng_state()
    for module in (network, other):
        reinitialise(module, "first", seed=(0, 3))
        reinitialise(module, "", seed=(0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(network.first.weight, other.first.weight)
    assert network.first.weight.abs().max() <= 1 / np.sqrt(3)
    assert sorted(network.token.tolist()) == [0, 1, 2, 3]
    reinitialise(other, "first", seed=(0, 4))
    assert not torch.equal(network.first.weight, other.first.weight)


def test_a_weight_that_reset_parameters_does_not_reach_is_shuffled() -> None:
    """A weight normalised by a hook is made anew from its factors in each pass: a reset of it is lost."""
    with pytest.warns(FutureWarning, match="weight_norm"):
        network: Any = nn.utils.weight_norm(nn.Linear(6, 5))
    x = torch.rand(2, 6)
    before, kept = network(x).detach(), sorted(network.weight_v.flatten().tolist())
    reinitialise(network, "", seed=(0, 1))
    assert (network(x) - before).abs().min() > 1e-3
    assert sorted(network.weight_v.flatten().tolist()) == kept


class Keeping(nn.Module):
    """Keeps what it saw in its last pass, as many do for a look at it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(3, 4), nn.Linear(4, 2)
        self.seen: dict[str, list[Tensor]] = {}

    def forward(self, x: Tensor) -> Tensor:
        self.seen = {"hidden": [self.first(x)]}
        logits: Tensor = self.last(self.seen["hidden"][0])
        return logits


def test_a_network_that_keeps_its_last_pass_is_copied() -> None:
    network, x = Keeping(), torch.rand(2, 3)
    network(x)
    other = copied(network)
    torch.testing.assert_close(other(x), network(x))
    other.first.weight.data.zero_()
    assert not torch.equal(other(x), network(x))
    assert network.seen["hidden"][0].grad_fn is not None
