"""Maps under attack against what must be: immune linear models, planted switches, exact balls and labels."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor, nn

from raiaudit.attacks.maps.attack import Aim, MapAttack, climb, labels_of, top_features
from raiaudit.attacks.maps.neighbours import neighbours_of
from raiaudit.attacks.maps.softened import softened
from raiaudit.attacks.spaces import Column, ImageBox, TableSchema, TokenSpace
from raiaudit.audit.explanations.methods.views import View, view_of
from raiaudit.audit.explanations.stability.maps import inner_map
from raiaudit.audit.explanations.stability.stability import Stability, StabilityConfig
from raiaudit.audit.gates import Gate, selected
from raiaudit.audit.statistics.intervals import mean_bootstrap
from raiaudit.errors import CapabilityError, UnknownNameError
from raiaudit.models.architectures.classifier import Classifier
from raiaudit.models.data.dataset import Dataset, Split

if TYPE_CHECKING:
    from raiaudit.attacks.spaces import InputSpace
    from raiaudit.audit.subject import Subject

SIDE = 6
QUICK: dict[str, Any] = {"steps": 6, "restarts": 1, "nodes": 4, "noise": 2}


class Net(Classifier):
    """Any module over inputs, as a classifier."""

    architecture = "planted"

    def __init__(self, body: Callable[[Tensor], Tensor], modality: Any = "image") -> None:
        super().__init__()
        self.body, self.modality = body, modality

    def forward(self, inputs: Tensor) -> Tensor:
        return self.body(inputs)


def score(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Logits (0, score of the flat input)."""

    def logits(inputs: Tensor) -> Tensor:
        value_B = function(inputs.flatten(1))
        return torch.stack([torch.zeros_like(value_B), value_B], dim=1)

    return logits


def data(
    inputs: np.ndarray,
    space: InputSpace | None = None,
    *,
    labels: np.ndarray | None = None,
    groups: dict[str, list[str]] | None = None,
) -> Dataset:
    ids = pl.Series([f"e{row:03d}" for row in range(len(inputs))])
    columns = pl.DataFrame(groups or {})
    y = np.ones(len(inputs), dtype=np.int64) if labels is None else labels
    split = Split(ids, inputs.astype(np.float32), y, columns)
    return Dataset(
        "planted",
        "image" if space is None else "tabular",
        ("no", "yes"),
        space or ImageBox((1, SIDE, SIDE)),
        {"train": split, "validation": split.take(slice(0, 0)), "test": split},
        digest="planted",
        group_names=tuple(columns.columns),
    )


def images(n: int = 24, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((n, 1, SIDE, SIDE))


def relu_net(seed: int = 0, width: int = 32) -> nn.Sequential:
    """A random ReLU network whose two answers are near each other."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(SIDE * SIDE, width),
        nn.ReLU(inplace=True),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Linear(width, 2),
    )


def config(**options: Any) -> StabilityConfig:
    usual: dict[str, Any] = {
        "examples": 24,
        "methods": ("saliency",),
        "eps": (0.05,),
        "steps": 8,
        "restarts": 2,
        "baseline": "zeros",
        "maps": 0,
        "permutations": 199,
    }
    return StabilityConfig(**{**usual, **options})


def rows(subject: Subject, chosen: StabilityConfig) -> pl.DataFrame:
    check = Stability()
    return pl.concat([check.execute(task, subject) for task in check.tasks(subject, chosen)])


def test_the_saliency_of_a_linear_model_cannot_be_moved(make_subject: Any, run_check: Any) -> None:
    torch.manual_seed(0)
    subject = make_subject(Net(nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 2))), data(images()))
    check, chosen = Stability(), config(eps=(0.5,))
    ledger = run_check(check, subject, chosen)
    found: dict[str, Any] = {m.label(): m for m in check.summarise(ledger, subject, chosen)}
    attacked = found["topk_overlap (method=saliency, attack=ghorbani, eps=0.5)"]
    assert (attacked.value, attacked.low, attacked.high) == (1, 1, 1)
    assert "no slope of the map at 24 of 24" in (attacked.reason or "")
    assert found["map_correlation (method=saliency, attack=ghorbani, eps=0.5)"].value == pytest.approx(1)
    assert found["topk_overlap (method=saliency, attack=noise, eps=0.5)"].value == 1
    assert found["max_sensitivity (method=saliency, attack=noise, eps=0.5)"].value == 0


def switch(flat: Tensor) -> Tensor:
    """The first pixel decides which four of the others the answer hangs on; their sums are alike."""
    which = torch.sigmoid(400 * (flat[:, 0] - 0.5))
    weight = torch.tensor([4.0, 3.0, 2.0, 1.0])
    return 30 + which * (flat[:, 1:5] @ weight) + (1 - which) * (flat[:, 5:9] @ weight)


def test_a_map_that_hangs_on_a_switch_is_moved_and_the_answer_stays(make_subject: Any) -> None:
    inputs = np.full((12, 1, SIDE, SIDE), 0.5)
    inputs[:, 0, 0, 0] = 0.47
    frame = rows(make_subject(Net(score(switch)), data(inputs)), config(examples=12, top=4, noise=16))
    attacked = frame["stability.ghorbani-0.05-saliency.overlap"].to_numpy()
    # Of the four pixels of the one side none is left; the switch itself may stay on the list.
    assert attacked.max() <= 0.25
    assert frame["stability.ghorbani-0.05-saliency.label_kept"].all()
    # Noise throws the switch every other time.
    noise = frame["stability.noise-0.05-saliency.overlap"].to_numpy().mean()
    assert 0.3 < noise < 0.8
    assert frame["stability.noise-0.05-saliency.lowest"].to_numpy().max() <= 0.25


def moved_inputs(eps: float, aim: Aim) -> tuple[View, Tensor, Tensor]:
    body = relu_net()
    x = torch.from_numpy(images(40)).float()
    x[:20] = x[:20].round()  # on the faces of the box
    view = flat_view(body, x)
    target_B = labels_of(view, x, torch.arange(len(x)))
    importance = inner_map("saliency", nodes=1)
    clean = importance(view, x.clone().requires_grad_(), torch.arange(len(x)), target_B, False)
    near = neighbours_of(ImageBox((1, SIDE, SIDE)), eps, x.device)
    attack = MapAttack(steps=10, beta=10.0, aim=aim)
    moved = attack(
        view,
        target_B,
        top_features(clean, 4),
        near,
        view.x,
        importance=partial(importance, view),
    )
    return view, target_B, moved.x


def flat_view(body: Callable[[Tensor], Tensor], x: Tensor) -> View:
    return View(
        x=x,
        baseline=torch.zeros_like(x),
        feature_E=torch.arange(x[0].numel()),
        present_BF=torch.ones(len(x), x[0].numel(), dtype=torch.bool),
        logits=lambda points, _rows: body(points),
        names=None,
    )


@pytest.mark.parametrize("aim", ["mass", "edge"])
def test_labels_ball_and_box_hold_exactly(aim: Aim) -> None:
    """At a radius at which an attack on the answer breaks most of these inputs."""
    eps = 0.2
    view, target_B, x = moved_inputs(eps, aim)
    everyone = torch.arange(len(x))
    assert torch.equal(labels_of(view, x, everyone), target_B)
    assert float((x.double() - view.x.double()).abs().max()) <= eps
    assert float(x.min()) >= 0
    assert float(x.max()) <= 1
    assert (x != view.x).any()
    near = neighbours_of(ImageBox((1, SIDE, SIDE)), eps, x.device)
    broken = labels_of(view, climb(view, target_B, near, steps=10), everyone) != target_B
    assert int(broken.sum()) > 20


def test_an_attack_on_a_linear_answer_ends_at_the_vertex() -> None:
    torch.manual_seed(1)
    body = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 2))
    x = torch.from_numpy(images(5)).float() * 0.5 + 0.25
    view = flat_view(body, x)
    near = neighbours_of(ImageBox((1, SIDE, SIDE)), 0.1, x.device)
    end = climb(view, torch.ones(5, dtype=torch.int64), near, steps=5)
    weight = body[1].weight
    assert isinstance(weight, Tensor)
    vertex = x + 0.1 * (weight[0] - weight[1]).sign().view(1, 1, SIDE, SIDE)
    torch.testing.assert_close(end, vertex.detach())


def test_softplus_of_one_layer_misses_the_model_by_its_bound() -> None:
    """0 ≤ softplus − relu ≤ log 2 / β, so a layer's sum misses by at most Σ|w| log 2 / β."""
    torch.manual_seed(2)
    body = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 3))
    x = torch.randn(50, 5)
    weight = body[2].weight
    assert isinstance(weight, Tensor)
    bound = float(weight.detach().abs().sum(1).max()) * math.log(2)
    misses = []
    for beta in (1.0, 10.0, 100.0, 10000.0):
        with softened(beta):
            soft = body(x)
        misses.append(float((soft - body(x)).detach().abs().max()))
        assert misses[-1] <= bound / beta + 1e-6
    assert misses[0] > 0.01
    assert misses == sorted(misses, reverse=True)


def test_a_relu_network_has_curvature_only_when_softened() -> None:
    body = relu_net(4)
    x = torch.from_numpy(images(6)).float().requires_grad_()

    def curvature() -> float:
        (slope,) = torch.autograd.grad(body(x)[:, 1].sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(slope.pow(2).sum(), x, allow_unused=True, materialize_grads=True)
        return float(second.abs().max())

    assert curvature() == 0
    with softened(10.0):
        assert curvature() > 1e-3


def test_a_gelu_transformer_is_attacked_as_it_is(make_subject: Any) -> None:
    from raiaudit.models.architectures.vit import VisionTransformer

    torch.manual_seed(0)
    vit = VisionTransformer([1, 8, 8], 2, width=16, depth=1, heads=2, normalization="none").eval()
    inputs = np.random.default_rng(0).random((8, 1, 8, 8))
    x = torch.from_numpy(inputs).float()
    with softened(0.1):
        soft = vit(x)
    torch.testing.assert_close(soft, vit(x), rtol=1e-4, atol=1e-5)
    dataset = data(inputs)
    dataset = Dataset("vit", "image", ("no", "yes"), ImageBox((1, 8, 8)), dataset.splits, digest="vit")
    frame = rows(make_subject(vit, dataset), config(examples=8))
    assert not frame["stability.ghorbani-0.05-saliency.no_gradient"].any()
    assert frame["stability.ghorbani-0.05-saliency.overlap"].to_numpy().mean() < 0.95


class Once(torch.autograd.Function):
    """Squares, and forgets how its gradient came about."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        slope: Tensor = 2 * x * grad
        return slope


def test_a_model_that_cannot_be_differentiated_twice_says_so(make_subject: Any, run_check: Any) -> None:
    def squared(flat: Tensor) -> Tensor:
        once: Any = Once.apply
        squares: Tensor = once(flat).sum(1) ** 2
        return squares

    subject = make_subject(Net(score(squared)), data(images(4)))
    chosen = config(examples=4, eps=(0.02, 0.05), methods=("saliency", "occlusion"))
    measured = Stability().summarise(run_check(Stability(), subject, chosen), subject, chosen)
    undefined = [m for m in measured if m.metric == "topk_overlap" and m.where["method"] == "saliency"]
    assert [m.where["eps"] for m in undefined] == [0.02, 0.05]
    assert all(m.value is None and "differentiated twice" in (m.reason or "") for m in undefined)


def test_a_method_the_model_cannot_give_leaves_the_others(make_subject: Any, run_check: Any) -> None:
    subject = make_subject(Net(score(switch)), data(images(4)))
    chosen = config(examples=4, methods=("attention_rollout", "saliency"), maps=2)
    ledger = run_check(Stability(), subject, chosen)
    measured = Stability().summarise(ledger, subject, chosen)
    attacked = [m for m in measured if m.metric == "topk_overlap" and m.where["attack"] == "ghorbani"]
    overlap = {m.where["method"]: m for m in attacked}
    assert overlap["saliency"].value is not None
    assert "no transformer" in (overlap["attention_rollout"].reason or "")
    assert set(Stability().evidence(ledger, subject, chosen)["pairs"]["method"]) == {"saliency"}


def test_the_attack_is_never_weaker_than_the_noise_it_began_with(make_subject: Any) -> None:
    subject = make_subject(Net(relu_net(8)), data(images()))
    frame = rows(subject, config(eps=(0.1,), methods=("saliency", "integrated_gradients"), steps=2))
    for method in ("saliency", "integrated_gradients"):
        lowest, attacked = (
            frame[f"stability.{name}"].to_numpy()
            for name in (f"noise-0.1-{method}.lowest", f"ghorbani-0.1-{method}.overlap")
        )
        told = np.isfinite(lowest)
        assert told.any()
        assert (attacked[told] <= lowest[told]).all()


@pytest.mark.parametrize("name", ["saliency", "input_x_gradient", "integrated_gradients"])
def test_what_is_climbed_is_the_catalogues_map(name: str) -> None:
    from raiaudit.audit.explanations.methods import find_method

    torch.manual_seed(5)
    body = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 8), nn.Tanh(), nn.Linear(8, 2))
    x = torch.from_numpy(images(6)).float()
    view, target_B = flat_view(body, x), torch.ones(6, dtype=torch.int64)
    rngs = [np.random.default_rng(0)] * 6
    ours = inner_map(name, nodes=16)(view, x.clone().requires_grad_(), torch.arange(6), target_B, False)
    theirs = find_method(name).explain(view, target_B, rngs=rngs).scores_BF
    torch.testing.assert_close(ours.detach(), theirs, rtol=1e-4, atol=1e-6)


@pytest.fixture(scope="module")
def trained_cnn() -> tuple[Classifier, Dataset]:
    """A small CNN, 93 % right on digits or better, in about two seconds."""
    from raiaudit.models.architectures.cnn import ConvNet
    from raiaudit.models.data.digits import digits

    torch.manual_seed(0)
    dataset = digits()
    cnn = ConvNet([1, 8, 8], 10, width=8, hidden=32)
    train = dataset.splits["train"]
    x, y = cnn.encode(train.inputs), torch.from_numpy(train.labels)
    optimiser = torch.optim.Adam(cnn.parameters(), lr=0.01)
    generator = torch.Generator().manual_seed(0)
    for _ in range(150):
        batch = torch.randint(len(x), (64,), generator=generator)
        optimiser.zero_grad()
        nn.functional.cross_entropy(cnn(x[batch]), y[batch]).backward()  # type: ignore[no-untyped-call]  # torch's own gap
        optimiser.step()
    return cnn.eval(), dataset


def test_noise_of_the_same_size_is_weaker_on_a_trained_cnn(
    trained_cnn: tuple[Classifier, Dataset], make_subject: Any, run_check: Any
) -> None:
    check, chosen = Stability(), config(**QUICK, methods=("saliency", "integrated_gradients"), maps=3)
    subject = make_subject(*trained_cnn)
    ledger = run_check(check, subject, chosen)
    measured = check.summarise(ledger, subject, chosen)
    found: dict[str, Any] = {m.label(): m for m in measured}
    for method in chosen.methods:
        columns = [f"stability.{attack}-0.05-{method}.overlap" for attack in ("noise", "ghorbani")]
        noise_N, attack_N = ledger.scan(*columns).collect().select(columns).to_numpy().T
        low, _ = mean_bootstrap(noise_N - attack_N, rng=np.random.default_rng(0))
        assert low > 0.02
        kept = found[f"label_kept_share (method={method}, attack=ghorbani, eps=0.05)"]
        assert kept.value == 1
    saliency, noise = (
        found[f"topk_overlap (method=saliency, attack={attack}, eps=0.05)"]
        for attack in ("ghorbani", "noise")
    )
    assert saliency.high < noise.low
    # Integrated gradients average over a path and are harder to move than a gradient.
    assert (
        saliency.value < found["topk_overlap (method=integrated_gradients, attack=ghorbani, eps=0.05)"].value
    )
    broken, held = (
        found[f"topk_overlap (method=saliency, attack=pgd, eps=0.05, outcome={name})"]
        for name in ("broken", "held")
    )
    frame = ledger.scan("stability.pgd-0.05.broken").collect()["stability.pgd-0.05.broken"]
    assert broken.n + held.n == frame.drop_nulls().len()
    tables = check.evidence(ledger, subject, chosen)
    curve = tables["curve"].filter(pl.col("eps") == 0)
    assert curve["overlap"].to_list() == [1.0] * 4
    pairs = tables["pairs"]
    assert pairs.height == 6
    clean, attacked = (np.array(pairs[name].to_list()) for name in ("input", "attacked"))
    assert np.abs(attacked - clean).max() <= 0.05 + 1e-6
    assert pairs["shape"].to_list() == [[1, 8, 8]] * 6
    maps, after = (np.array(pairs[name].to_list()) for name in ("map", "attacked_map"))
    top = [
        set(np.argsort(-np.abs(values), kind="stable", axis=1)[row, :6])
        for values in (maps, after)
        for row in range(6)
    ]
    shared = [len(top[row] & top[row + 6]) / 6 for row in range(6)]
    assert shared == pytest.approx(pairs["overlap"].to_list())


def test_shards_do_not_change_the_rows(make_subject: Any) -> None:
    torch.manual_seed(6)
    body = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 8), nn.Tanh(), nn.Linear(8, 2)).double()
    subject = make_subject(Net(lambda x: body(x.double())), data(images()))
    whole, pieces = (rows(subject, config(shard=shard, maps=7)) for shard in (24, 5))
    assert whole.columns == pieces.columns
    for name, values in whole.to_dict().items():
        if values.dtype == pl.Float64:
            np.testing.assert_allclose(values, pieces[name], rtol=1e-6, err_msg=name)
        elif name not in ("stability.saliency.attacked", "stability.saliency.attacked_map"):
            assert values.equals(pieces[name]), name
    assert whole["stability.saliency.map"].null_count() == 17


SCHEMA = TableSchema(
    (
        Column("age", "integer", 0, 100),
        Column("hours", "real", 0, 10),
        Column("sex", "category", categories=("f", "m"), mutable=False),
        Column("colour", "category", categories=("r", "g", "b")),
        Column("born", "real", 0, 10, mutable=False),
        Column("years", "real", 0, 10, monotone="increasing"),
    )
)


def table_rows(n: int = 12) -> np.ndarray:
    rng = np.random.default_rng(1)
    sex, colour = np.eye(2)[rng.integers(2, size=n)], np.eye(3)[rng.integers(3, size=n)]
    return np.column_stack(
        [rng.integers(10, 90, n), rng.random(n) * 10, sex, colour, rng.random(n) * 10, rng.random(n) * 10]
    )


def test_a_table_row_moves_only_as_its_schema_allows(make_subject: Any) -> None:
    torch.manual_seed(7)
    body = nn.Sequential(nn.Linear(9, 16), nn.ReLU(), nn.Linear(16, 2))
    inputs = table_rows()
    subject = make_subject(Net(lambda x: body(x / 10), "tabular"), data(inputs, SCHEMA))
    frame = rows(subject, config(examples=12, eps=(0.1,), top=2, maps=12, steps=10))
    assert frame["stability.ghorbani-0.1-saliency.label_kept"].all()
    assert "stability.ghorbani-0.1-saliency.centre_shift" not in frame.columns
    after = np.array(frame["stability.saliency.attacked"].to_list())
    delta = after - inputs
    np.testing.assert_allclose(delta[:, 2:8], 0, atol=1e-6)  # categories and what is immutable
    np.testing.assert_allclose(after[:, 0], np.round(after[:, 0]))
    assert np.abs(delta[:, 0]).max() <= 10
    assert np.abs(delta[:, [1, 8]]).max() <= 1 + 1e-6
    assert delta[:, 8].min() >= -1e-6
    assert np.abs(delta[:, [0, 1, 8]]).max() > 0.5


def test_an_example_that_cannot_move_is_left_out(make_subject: Any, run_check: Any) -> None:
    """Whole years of a range of 20 are steps of 0.05; at 0.03 no row can move, and stable is not the word."""
    schema = TableSchema((Column("years", "integer", 0, 20), Column("born", "real", 0, 10, mutable=False)))
    inputs = np.column_stack([np.arange(1, 13), np.linspace(0, 10, 12)])
    body = nn.Linear(2, 2).requires_grad_(requires_grad=False)
    subject = make_subject(Net(lambda x: body(x / 10), "tabular"), data(inputs, schema))
    chosen = config(examples=12, eps=(0.03, 0.06), steps=2, restarts=1)
    check = Stability()
    ledger = run_check(check, subject, chosen)
    measured = check.summarise(ledger, subject, chosen)
    near = [m for m in measured if m.where.get("eps") == 0.03]
    assert near
    assert all(m.value is None and "12 of 12 examples are left out" in (m.reason or "") for m in near)
    far = [m for m in measured if m.where.get("eps") == 0.06 and m.metric == "label_kept_share"]
    assert far
    assert all(m.n == 12 and m.reason is None for m in far)
    assert set(check.evidence(ledger, subject, chosen)["curve"]["eps"]) == {0.0, 0.06}


def test_groups_differ_where_they_were_made_to(make_subject: Any, run_check: Any) -> None:
    """Half of the images lie by the switch; those of the other half are far from it."""
    inputs = np.full((80, 1, SIDE, SIDE), 0.5) + np.random.default_rng(3).normal(0, 0.01, (80, 1, SIDE, SIDE))
    near = np.arange(80) % 2 == 0
    inputs[:, 0, 0, 0] = np.where(near, 0.47, 0.3)
    groups = {
        "place": np.where(near, "near", "far").tolist(),
        "coin": np.random.default_rng(9).choice(["heads", "tails"], 80).tolist(),
        "rare": ["two", "two", *["others"] * 78],
    }
    check, chosen = Stability(), config(examples=80, top=4, steps=4, restarts=1)
    subject = make_subject(Net(score(switch)), data(inputs, groups=groups))
    ledger = run_check(check, subject, chosen)
    measured = check.summarise(ledger, subject, chosen)
    by_group: dict[Any, Any] = {
        m.where["group"]: m for m in measured if m.metric == "topk_overlap" and "group" in m.where
    }
    assert by_group["far"].low > by_group["near"].high
    p: dict[Any, Any] = {
        m.where["attribute"]: m.value for m in measured if m.metric == "topk_overlap_p_value"
    }
    assert p["place"] == pytest.approx(2 / 200)  # the smallest of 199 draws, doubled for two tests
    assert p["coin"] > 0.05
    few = next(m for m in measured if m.where.get("group") == "two")
    assert (few.n, few.low, few.high) == (2, 0, 1)  # of one near and one far: Student's reach is 4
    gate = Gate(metric="topk_overlap", where={"attack": "ghorbani"}, min=0.4)
    assert [m.where for m in selected(check.id, gate, measured)] == [
        {"method": "saliency", "attack": "ghorbani", "eps": 0.05}
    ]
    named = gate.model_copy(update={"where": {"attack": "ghorbani", "attribute": "place"}})
    assert len(selected(check.id, named, measured)) == 2


def test_what_cannot_be_asked_says_why(make_subject: Any) -> None:
    check, subject = Stability(), make_subject(Net(score(switch)), data(images()))
    with pytest.raises(UnknownNameError, match="colour"):
        check.tasks(subject, config(columns=("colour",)))
    texts = Dataset("t", "text", ("no", "yes"), TokenSpace(10, 5), subject.dataset.splits, digest="t")
    with pytest.raises(CapabilityError, match="cannot be changed a little"):
        check.tasks(make_subject(Net(score(switch), "text"), texts), config())
    with pytest.raises(ValueError, match="salience"):
        config(methods=("salience",))
    with pytest.raises(ValueError, match="small change"):
        config(eps=(0.1, 1.5))
    assert config(eps=("8/255", 0.01)).eps == (0.01, 8 / 255)


def test_a_map_that_says_nothing_is_left_out(make_subject: Any, run_check: Any) -> None:
    """A constant model: no map, so no most relevant features, no order, and nothing to say."""
    subject = make_subject(Net(score(lambda flat: 0 * flat.sum(1) + 1)), data(images(4)))
    assert view_of(subject, subject.test.inputs, "zeros").x.shape == (4, 1, SIDE, SIDE)
    frame = rows(subject, config(examples=4))
    assert frame["stability.ghorbani-0.05-saliency.overlap"].null_count() == 4
    chosen = config(examples=4)
    measured = Stability().summarise(run_check(Stability(), subject, chosen), subject, chosen)
    overlap = [m for m in measured if m.metric == "topk_overlap"]
    assert overlap
    assert all(
        m.value is None
        and "4 of 4 examples are left out: their map is the same everywhere" in (m.reason or "")
        for m in overlap
    )
    assert frame["stability.ghorbani-0.05-saliency.correlation"].null_count() == 4
    assert frame["stability.noise-0.05-saliency.sensitivity"].null_count() == 4
