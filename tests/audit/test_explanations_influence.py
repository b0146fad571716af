"""Influence against autograd, leave-one-out, brute force, captum, and a planted wrong label."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from raiaudit.attacks.spaces import Column, ImageBox, TableSchema, TokenSpace
from raiaudit.audit.explanations.concepts.all_parameters import by_all_parameters
from raiaudit.audit.explanations.concepts.influence import Influence, InfluenceConfig
from raiaudit.audit.explanations.concepts.neighbours import nearest
from raiaudit.audit.explanations.concepts.tracin import last_layer
from raiaudit.errors import CapabilityError
from raiaudit.models.architectures.cnn import ConvNet
from raiaudit.models.architectures.mlp import MLP
from raiaudit.models.architectures.text_transformer import TextTransformer
from raiaudit.models.data.dataset import Dataset, Split


def gradients(network: nn.Module, names: tuple[str, ...], x: Tensor, y: Tensor) -> Tensor:
    """Each example alone, by autograd: gradient_BP of the named parameters."""
    parameters = [network.get_parameter(name) for name in names]
    rows = []
    for one, label in zip(x, y, strict=True):
        loss = functional.cross_entropy(network(one[None]), label[None])
        rows.append(torch.cat([part.flatten() for part in torch.autograd.grad(loss, parameters)]))
    return torch.stack(rows)


@pytest.mark.parametrize("bias", [True, False])
def test_the_closed_form_is_autograds_gradient_of_the_last_layer(bias: bool) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(16, 9), nn.ReLU(), nn.Linear(9, 4, bias=bias), nn.Hardtanh(-0.3, 0.3)
    ).double()  # something follows the layer: its factors must still be exact
    train, asked = torch.randn(30, 1, 4, 4).double(), torch.randn(7, 1, 4, 4).double()
    y_train, y_asked = torch.arange(30) % 4, torch.arange(7) % 4
    names = ("3.weight", "3.bias") if bias else ("3.weight",)
    exact_M, exact_B = gradients(network, names, train, y_train), gradients(network, names, asked, y_asked)
    ours = last_layer(network, train, y_train, batch=11)
    torch.testing.assert_close(ours.influence_on(last_layer(network, asked, y_asked)), exact_B @ exact_M.T)
    torch.testing.assert_close(ours.self_influence(), (exact_M**2).sum(1))


def test_all_parameters_are_autograds_too_and_the_models_own_prediction_is_the_label(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from raiaudit.audit.explanations.concepts import all_parameters

    torch.manual_seed(1)
    model = ConvNet([1, 8, 8], 3, width=4, hidden=6).eval()
    train, asked = torch.rand(20, 1, 8, 8), torch.rand(4, 1, 8, 8)
    y_train = torch.arange(20) % 3
    predicted = last_layer(model, asked).logits_BK.argmax(1)
    names = tuple(name for name, _ in model.named_parameters())
    exact_M, exact_B = gradients(model, names, train, y_train), gradients(model, names, asked, predicted)
    influence, own = by_all_parameters(model, train, y_train, asked, predicted)
    torch.testing.assert_close(influence, exact_B @ exact_M.T, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(own, (exact_M**2).sum(1), rtol=1e-4, atol=1e-5)
    monkeypatch.setattr(all_parameters, "_by_rules", all_parameters._by_vmap)
    by_vmap, own_by_vmap = by_all_parameters(model, train, y_train, asked, predicted)
    torch.testing.assert_close(influence, by_vmap, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(own, own_by_vmap, rtol=1e-4, atol=1e-5)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())


@pytest.mark.filterwarnings("ignore:Input Tensor 0:UserWarning")
def test_captum_agrees() -> None:
    from captum.influence import TracInCP
    from torch.utils.data import TensorDataset

    torch.manual_seed(2)
    network = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3))
    train, asked = torch.randn(25, 5), torch.randn(6, 5)
    y_train, y_asked = torch.arange(25) % 3, torch.arange(6) % 3
    theirs = TracInCP(
        network,
        TensorDataset(train, y_train),
        ["unused"],
        lambda _model, _path: 1.0,
        layers=["2"],
        loss_fn=nn.CrossEntropyLoss(reduction="sum"),
        batch_size=10,
        sample_wise_grads_per_batch=True,
    ).influence((asked, y_asked))
    ours = last_layer(network, train, y_train).influence_on(last_layer(network, asked, y_asked))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_a_sure_prediction_keeps_its_small_error() -> None:
    """At a margin of 20 the error is e⁻²⁰, which a float32 softmax rounds to nothing."""
    network = nn.Linear(2, 2)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[20.0, 0.0], [0.0, 0.0]]))
        network.bias.zero_()
    found = last_layer(network, torch.tensor([[1.0, 0.0]]))
    torch.testing.assert_close(
        found.error_BK[0], torch.tensor([-1.0, 1.0]) * np.exp(-20), rtol=1e-5, atol=0.0
    )


def test_the_sign_is_that_of_leaving_the_example_out() -> None:
    """Softmax regression, retrained to its optimum without each example.

    With a penalty that outweighs the data's curvature: TracIn takes no account of the latter.
    """
    torch.manual_seed(3)
    x = torch.cat([torch.randn(12, 2) + 1.2, torch.randn(12, 2) - 1.2]).double()
    y = torch.cat([torch.zeros(12), torch.ones(12)]).long()
    y[3] = 1  # one that is wrong
    asked, label = torch.tensor([[0.7, 0.4], [-0.9, -0.2]]).double(), torch.tensor([0, 1])

    def fitted(keep: Tensor) -> nn.Linear:
        model = nn.Linear(2, 2).double()
        nn.init.zeros_(model.weight)
        nn.init.zeros_(model.bias)
        optimizer = torch.optim.LBFGS(
            model.parameters(), max_iter=300, tolerance_grad=1e-13, tolerance_change=1e-16
        )

        def closure() -> Tensor:
            optimizer.zero_grad()
            penalty = 50 * ((model.weight**2).sum() + (model.bias**2).sum())
            loss = functional.cross_entropy(model(x[keep]), y[keep], reduction="sum") / 24 + penalty
            torch.autograd.backward(loss)
            return loss

        optimizer.step(closure)  # type: ignore[no-untyped-call]  # torch's own annotations
        return model

    everyone = torch.arange(24)
    whole = fitted(everyone)
    influence_BM = last_layer(whole, x, y).influence_on(last_layer(whole, asked, label))
    with torch.no_grad():
        before = functional.cross_entropy(whole(asked), label, reduction="none")
        after = torch.stack(
            [
                functional.cross_entropy(fitted(everyone[everyone != m])(asked), label, reduction="none")
                for m in range(24)
            ],
            dim=1,
        )
    harm_BM = after - before[:, None]  # leaving a helpful example out raises the loss
    agree = (torch.sign(harm_BM) == torch.sign(influence_BM)).double().mean()
    assert agree == 1
    for found, exact in zip(influence_BM, harm_BM, strict=True):
        assert torch.corrcoef(torch.stack([found, exact]))[0, 1] > 0.99


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_neighbours_are_those_of_brute_force(metric: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from raiaudit.audit.explanations.concepts import neighbours

    monkeypatch.setattr(neighbours, "_PAIRS", 100)  # in pieces
    rng = np.random.default_rng(0)
    query, pool = rng.normal(size=(9, 5)), rng.normal(size=(40, 5)) * rng.uniform(0.1, 4, (40, 1))
    pool[3] = 0
    exact = np.array(
        [
            [
                -np.linalg.norm(q - p)
                if metric == "l2"
                else q @ p / (np.linalg.norm(q) * np.linalg.norm(p) or 1.0)
                for p in pool
            ]
            for q in query
        ]
    )
    place, value = nearest(torch.from_numpy(query), torch.from_numpy(pool), 4, metric=metric)
    order = np.argsort(-exact, axis=1, kind="stable")[:, :4]
    np.testing.assert_array_equal(place.numpy(), order)
    np.testing.assert_allclose(value.numpy(), np.take_along_axis(exact, order, 1), atol=1e-12)
    own = torch.arange(40)
    others, _ = nearest(torch.from_numpy(pool), torch.from_numpy(pool), 39, metric=metric, itself_B=own)
    assert not (others == own[:, None]).any()
    with pytest.raises(ValueError, match="40 neighbours of 40"):
        nearest(torch.from_numpy(pool), torch.from_numpy(pool), 40, metric=metric, itself_B=own)


def clusters(wrong: int = 17, n: int = 120) -> Dataset:
    """Three clusters, one class each; the training example `wrong` has another's label."""
    rng = np.random.default_rng(0)
    labels = np.arange(n + 30) % 3
    rows = rng.normal(size=(n + 30, 4)) * 0.6
    rows[np.arange(n + 30), labels] += 3
    labels[wrong] = (labels[wrong] + 1) % 3
    ids = pl.Series([f"e{row:03d}" for row in range(n + 30)])
    split = Split(ids, rows.astype(np.float32), labels)
    return Dataset(
        "clusters",
        "tabular",
        ("a", "b", "c"),
        TableSchema(tuple(Column(f"c{i}", "real", -9, 9) for i in range(4))),
        {"train": split.take(slice(0, n)), "test": split.take(slice(n, n + 30))},
        digest="clusters",
    )


def trained(dataset: Dataset) -> MLP:
    torch.manual_seed(0)
    model = MLP([4], 3, hidden=12, depth=1)
    train = dataset.splits["train"]
    x, y = torch.from_numpy(train.inputs), torch.from_numpy(train.labels)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(120):
        optimizer.zero_grad()
        torch.autograd.backward(functional.cross_entropy(model(x), y))
        optimizer.step()
    return model.eval()


@pytest.mark.parametrize("parameters", ["last_layer", "all"])
def test_a_wrong_training_label_is_the_first_suspect(
    make_subject: Any, run_check: Any, parameters: Any
) -> None:
    dataset = clusters()
    subject = make_subject(trained(dataset), dataset)
    check, config = Influence(), InfluenceConfig(suspects=4, parameters=parameters, examples=25, top=3)
    ledger = run_check(check, subject, config)
    evidence = check.evidence(ledger, subject, config)
    first = evidence["suspects"].row(0, named=True)
    assert first["example_id"] == "e017"
    assert first["label"] != first["predicted"]
    assert first["neighbours_agree"] == 0
    by: dict[str, Any] = {m.label(): m for m in check.summarise(ledger, subject, config)}
    assert by["neighbour_label_agreement"].value > 0.9
    assert by["helpful_label_agreement"].value > 0.9
    assert by["neighbour_label_agreement (predictions=wrong)"].reason == "no audited prediction is wrong"
    assert by["suspects_contradicted"].value >= 0.25
    named = evidence["examples"]
    assert named.height == 25 * 3 * 3
    assert named.columns[:4] == ["example_id", "label", "predicted", "relation"]
    for (relation,), rows in named.group_by("relation"):
        scores = rows.sort("example_id", "rank")["score"].to_numpy().reshape(25, 3)
        order = np.diff(scores, axis=1)
        assert (order >= 0).all() if relation == "harmful" else (order <= 0).all()
    assert evidence["pictures"].is_empty()


def test_a_sample_of_the_training_examples_is_the_same_each_time(make_subject: Any) -> None:
    dataset = clusters()
    subject = make_subject(trained(dataset), dataset)
    config = InfluenceConfig(train_examples=40, examples=5)
    (task,) = Influence().tasks(subject, config)
    first, second = (Influence().execute(task, subject) for _ in range(2))
    assert first.equals(second)
    assert first["influence.self"].drop_nulls().len() == 40
    assert set(first["influence.nearest"].drop_nulls().explode()) <= set(first["example_id"])


def test_training_images_are_in_the_evidence_only_if_asked_for(make_subject: Any, run_check: Any) -> None:
    torch.manual_seed(0)
    pixels = np.random.default_rng(0).integers(256, size=(40, 1, 8, 8)).astype(np.uint8)
    split = Split(pl.Series([f"i{row:02d}" for row in range(40)]), pixels, np.arange(40) % 3)
    splits = {"train": split.take(slice(0, 30)), "test": split.take(slice(30, 40))}
    dataset = Dataset("images", "image", ("a", "b", "c"), ImageBox((1, 8, 8)), splits, digest="i")
    subject = make_subject(ConvNet([1, 8, 8], 3, width=4, hidden=6), dataset)
    for pictures in (0, 2):
        config = InfluenceConfig(examples=6, pictures=pictures)
        ledger = run_check(Influence(), subject, config)
        shown = Influence().evidence(ledger, subject, config)["pictures"]
        assert shown.height == pictures
    row, named = shown.row(0, named=True), Influence().evidence(ledger, subject, config)["examples"]
    assert row["relation"] == ["helpful", "harmful", "nearest"]
    place = dataset.splits["test"].ids.to_list().index(row["example_id"])
    np.testing.assert_allclose(row["input"], pixels[30 + place].ravel() / 255, rtol=1e-6)
    first = named.filter((pl.col("example_id") == row["example_id"]) & (pl.col("rank") == 1))
    for name, values in zip(first["train_id"], row["train_input"], strict=True):
        np.testing.assert_allclose(values, pixels[int(name[1:])].ravel() / 255, rtol=1e-6)


def test_gradients_too_large_to_hold_are_refused_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from raiaudit.audit.explanations.concepts import all_parameters

    monkeypatch.setattr(all_parameters, "_MOST_BYTES", 100)
    with pytest.raises(CapabilityError, match="last_layer"):
        by_all_parameters(
            nn.Linear(2, 2),
            torch.zeros(2, 2),
            torch.zeros(2).long(),
            torch.zeros(9, 2),
            torch.zeros(9).long(),
        )


class Mirrored(nn.Module):
    """Asks its last layer about an input and about its mirror image."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.last(x) + 2 * self.last(x.flip(1))
        return logits


def test_a_last_layer_that_is_called_twice_is_refused() -> None:
    """It reads two vectors: the closed form is of one."""
    with pytest.raises(CapabilityError, match="called several times"):
        last_layer(Mirrored(), torch.rand(4, 3), torch.tensor([0, 1, 0, 1]))


def test_a_frozen_model_has_no_gradients_by_all_parameters() -> None:
    frozen = nn.Linear(3, 2).requires_grad_(False)
    x, y = torch.rand(4, 3), torch.tensor([0, 1, 0, 1])
    with pytest.raises(CapabilityError, match="frozen"):
        by_all_parameters(frozen, x, y, x, y)
    assert last_layer(frozen, x, y).self_influence().min() > 0


@pytest.mark.parametrize("parameters", ["last_layer", "all"])
def test_texts_have_training_examples_too(make_subject: Any, run_check: Any, parameters: Any) -> None:
    torch.manual_seed(0)
    words = {0: ["dull", "bad plot", "so very bad and long"], 1: ["good", "a good film", "great and good"]}
    texts = [words[row % 2][row % 3] + " x" * (row % 5) for row in range(30)]
    split = Split(pl.Series([f"t{row:02d}" for row in range(30)]), texts, np.arange(30) % 2)
    splits = {"train": split.take(slice(0, 20)), "test": split.take(slice(20, 30))}
    dataset = Dataset("texts", "text", ("bad", "good"), TokenSpace(60, 12), splits, digest="t")
    subject = make_subject(TextTransformer.for_dataset(dataset, width=8, heads=2, depth=1), dataset)
    config = InfluenceConfig(parameters=parameters, examples=10, top=3, pictures=5)
    ledger = run_check(Influence(), subject, config)
    evidence = Influence().evidence(ledger, subject, config)
    assert evidence["examples"].height == 10 * 3 * 3
    assert evidence["examples"]["train_id"].is_in(splits["train"].ids.implode()).all()
    assert evidence["pictures"].is_empty()
