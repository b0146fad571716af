"""The greedy and the projected attack on tables, against exhaustive search and closed forms."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from planted_tables import Rough, random_rows
from torch import Tensor, nn

from raiaudit.attacks.evasion.base import EvasionAttack
from raiaudit.attacks.evasion.tables.feasible import FeasibleRows, violations
from raiaudit.attacks.evasion.tables.greedy import GreedyTable, single_changes
from raiaudit.attacks.evasion.tables.projected import ProjectedTable, project
from raiaudit.attacks.spaces import Column, TableSchema
from raiaudit.attacks.threats import Norm, ThreatModel
from raiaudit.errors import UsageError

MIXED = TableSchema(
    (
        Column("age", "integer", 18, 90, monotone="increasing"),
        Column("income", "real", 0.0, 5e4, cost=0.5),
        Column("job", "category", categories=("a", "b", "c"), cost=0.6),
        Column("sex", "category", categories=("f", "m"), mutable=False),
        Column("debt", "real", -10.0, 10.0, monotone="decreasing"),
        Column("rooms", "integer", 0, 4, cost=0.0),
    )
)
FEW = TableSchema(
    (
        Column("n", "integer", 0, 4, cost=0.8),
        Column("m", "integer", 0, 3, monotone="decreasing"),
        Column("c", "category", categories=("a", "b", "c"), cost=0.7),
        Column("d", "category", categories=("u", "v"), mutable=False),
    )
)
EVERY = torch.stack(
    [
        torch.cat([torch.tensor([float(n), float(m)]), torch.eye(3)[c], torch.eye(2)[d]])
        for n, m, c, d in itertools.product(range(5), range(4), range(3), range(2))
    ]
)
ATTACKS: list[EvasionAttack] = [GreedyTable(beam=3, rounds=6), ProjectedTable(steps=10, restarts=2)]


def wrong_rows(model: nn.Module, schema: TableSchema, norm: Norm, eps: float, x: Tensor, y: Tensor) -> Tensor:
    """Of all rows of FEW, those reachable from the one row x on which the model errs."""
    clean = x.expand_as(EVERY)
    reach = FeasibleRows(schema, norm, eps, x.device).contains(EVERY, clean)
    return EVERY[reach & (model(EVERY).argmax(1) != y)]


def test_one_change_is_exhaustive_search() -> None:
    """With one round, an error is found if and only if some single change is one, and the cheapest is."""
    possible = impossible = 0
    rows = FeasibleRows(FEW, "l1", 0.5, EVERY.device)
    for seed in range(4):
        model, x = Rough(FEW, seed, classes=2), random_rows(FEW, 20, seed + 50)
        y = model(x).argmax(1)
        attack = GreedyTable(beam=1, rounds=1)
        result = attack(model, x, y, ThreatModel("l0", 1), space=FEW, seed=0)
        for row in range(20):
            wrong = wrong_rows(model, FEW, "l0", 1, x[row], y[row])
            assert bool(result.broken_B[row]) is bool(len(wrong))
        result = attack(model, x, y, ThreatModel("l1", 0.5), space=FEW, seed=0)
        for row in range(20):
            wrong = wrong_rows(model, FEW, "l0", 1, x[row], y[row])
            costs = rows.distance(wrong, x[row].expand_as(wrong))
            costs = costs[costs <= 0.5]
            assert bool(result.broken_B[row]) is bool(len(costs))
            possible, impossible = possible + bool(len(costs)), impossible + (not len(costs))
            if len(costs):
                assert float(result.norm_B[row]) == pytest.approx(float(costs.min()), rel=1e-5)
    assert min(possible, impossible) >= 10


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
@pytest.mark.parametrize("norm", ["l0", "l1", "linf"])
def test_never_beyond_the_optimum_and_nearly_as_good(attack: EvasionAttack, norm: Norm) -> None:
    if norm not in attack.norms:
        pytest.skip("not a norm of this attack")
    found = possible = 0
    for seed in range(3):
        model, x = Rough(FEW, seed, classes=2), random_rows(FEW, 10, seed + 50)
        y = model(x).argmax(1)
        for eps in (1, 2, 3) if norm == "l0" else (0.3, 0.75, 1.2):
            result = attack(model, x, y, ThreatModel(norm, eps), space=FEW, seed=0)
            for row in range(10):
                wrong = wrong_rows(model, FEW, norm, eps, x[row], y[row])
                possible += bool(len(wrong))
                found += bool(result.broken_B[row])
                assert len(wrong) or not bool(result.broken_B[row])
    assert found >= (0.97 if isinstance(attack, GreedyTable) else 0.8) * possible


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
@pytest.mark.parametrize("norm", ["l0", "l1", "linf"])
@pytest.mark.parametrize("eps", [0.2, 1.0, 2.0])
def test_every_row_is_valid_within_budget_and_as_told(
    attack: EvasionAttack, norm: Norm, eps: float, counting: Any
) -> None:
    if norm not in attack.norms:
        pytest.skip("not a norm of this attack")
    model, x = counting(Rough(MIXED, 1, classes=3)), random_rows(MIXED, 60, 1)
    y = model(x).argmax(1)
    model.forwards = 0
    result = attack(model, x, y, ThreatModel(norm, eps), space=MIXED, seed=0)
    assert model.forwards == int(result.forwards_B.sum())
    assert not bool(violations(MIXED, result.adversarial, x).any())
    reach = FeasibleRows(MIXED, norm, eps, x.device)
    assert bool((reach.distance(result.adversarial, x) <= eps).all())
    assert torch.equal(model(result.adversarial).argmax(1) != y, result.broken_B)
    assert torch.equal(result.adversarial[~result.broken_B], x[~result.broken_B])
    # A free column moves within any l1 budget; no column within an l0 budget below 1.
    assert bool(result.broken_B.any()) is not (norm == "l0" and eps < 1)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_every_kind_of_column_is_used(attack: EvasionAttack) -> None:
    model, x = Rough(MIXED, 1, classes=3), random_rows(MIXED, 200, 1)
    result = attack(model, x, model(x).argmax(1), ThreatModel("l1", 1.5), space=MIXED, seed=0)
    assert float(result.broken_B.float().mean()) > 0.5
    changed = (result.adversarial != x).any(0)
    for column in MIXED.columns:
        assert bool(changed[MIXED.slices[column.name]].any()) is column.mutable, column.name


def test_single_changes_are_all_there_is_of_one_change() -> None:
    rows = FeasibleRows(FEW, "l0", 1, EVERY.device)
    for start in range(0, len(EVERY), 17):
        x = EVERY[start : start + 1]
        found, new = single_changes(rows, x, x, levels=4)
        listed = {tuple(row.tolist()) for row in found[0][new[0]]}
        assert len(listed) == int(new.sum()), "no row twice"
        clean = x.expand_as(EVERY)
        expected = rows.contains(EVERY, clean) & (clean != EVERY).any(1)
        assert listed == {tuple(row.tolist()) for row in EVERY[expected]}


def knapsack(weight: Tensor, schema: TableSchema, x: Tensor, need: float) -> float:
    """Least cost at which a linear score rises by `need`: columns in falling order of gain per cost."""
    offers = []
    for i, column in enumerate(schema.columns):
        slope = float(weight[i])
        if slope < 0 and column.monotone == "increasing":
            continue
        room = column.high - float(x[i]) if slope > 0 else float(x[i]) - column.low
        offers.append((abs(slope) * (column.high - column.low) / column.cost, abs(slope) * room))
    spent = 0.0
    for rate, gain in sorted(offers, reverse=True):
        used = min(gain, need)
        spent, need = spent + used / rate, need - used
    return spent if need < 1e-9 else float("inf")


@pytest.mark.parametrize(
    ("attack", "slack"),
    [(GreedyTable(beam=4, rounds=10), 1.02), (ProjectedTable(steps=25, restarts=1), 1.1)],
    ids=lambda value: getattr(value, "name", ""),
)
def test_close_to_the_knapsack_on_a_linear_model(attack: EvasionAttack, slack: float) -> None:
    generator = torch.Generator().manual_seed(1)
    schema = TableSchema(
        tuple(
            Column(
                f"{i}", "real", -float(i), 3.0 + i, cost=0.5 + i / 3, monotone=("none", "increasing")[i % 2]
            )
            for i in range(6)
        )
    )
    weight = torch.randn(6, generator=generator)
    x = random_rows(schema, 12, 2)
    bias = -float((x @ weight).max()) - 0.5
    model = nn.Linear(6, 2)
    model.weight.data = torch.stack([torch.zeros(6), weight])
    model.bias.data = torch.tensor([0.0, bias])
    checked = 0
    for row in range(8):
        least = knapsack(weight, schema, x[row], -(float(x[row] @ weight) + bias))
        if least == float("inf"):
            continue
        checked += 1
        for factor, expected in ((0.999, False), (slack, True)):
            result = attack(
                model,
                x[row : row + 1],
                torch.zeros(1, dtype=torch.int64),
                ThreatModel("l1", least * factor),
                space=schema,
                seed=0,
            )
            assert bool(result.broken_B) is expected
    assert checked >= 3


@pytest.mark.parametrize("norm", ["l1", "linf"])
@pytest.mark.parametrize("eps", [0.1, 0.5, 1.3])
def test_the_projection_is_the_nearest_point(norm: Norm, eps: float) -> None:
    """⟨want − p, z − p⟩ ≤ 0 for every point z of a convex set says that p is the nearest to `want`."""
    rows = FeasibleRows(MIXED, norm, eps, torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    x0 = random_rows(MIXED, 50, 0).double()
    scale = torch.where(rows.category_W, 1.0, rows.range_W)

    def somewhere(spread: float) -> Tensor:
        noise = torch.randn(x0.shape, generator=generator, dtype=torch.float64)
        return x0 + spread * noise * scale

    for spread in (0.05, 0.5, 3.0):
        want = somewhere(spread)
        nearest = project(rows, want, x0)
        assert bool((rows.distance(nearest, x0) <= eps * (1 + 1e-9)).all())
        assert torch.equal(nearest[:, rows.fixed_W], x0[:, rows.fixed_W])
        torch.testing.assert_close(project(rows, nearest, x0), nearest, rtol=1e-6, atol=1e-6)
        for other_spread in (0.02, 0.3, 2.0):
            other = project(rows, somewhere(other_spread), x0)
            inner = (((want - nearest) / scale) * ((other - nearest) / scale)).sum(1)
            assert float(inner.max()) < 1e-6


def test_scores_are_enough_and_a_budget_is_kept() -> None:
    """A callable without gradients that answers probabilities; queries counted from outside."""
    model, x = Rough(MIXED, 1, classes=3), random_rows(MIXED, 40, 1)
    y = model(x).argmax(1)
    asked: dict[str, int] = {"rows": 0}

    def scores(rows: Tensor) -> Tensor:
        asked["rows"] += len(rows)
        with torch.no_grad():
            probabilities: Tensor = model(rows).softmax(1)
        return probabilities

    attack = GreedyTable(beam=2, rounds=4)
    shares = []
    for budget in (1, 30, 120, None):
        asked["rows"] = 0
        result = attack(scores, x, y, ThreatModel("l1", 0.6, "score", budget), space=MIXED, seed=0)
        assert asked["rows"] == int(result.forwards_B.sum())
        assert budget is None or int(result.forwards_B.max()) <= budget
        shares.append(float(result.broken_B.float().mean()))
    assert shares[0] == 0
    assert shares == sorted(shares)
    assert shares[1] < shares[-1]


@pytest.mark.parametrize("budget", [None, 50])
@pytest.mark.parametrize("norm", ["l0", "l1", "linf"])
def test_invariant_to_order_and_shard(norm: Norm, budget: int | None) -> None:
    model, x = Rough(MIXED, 3, classes=3), random_rows(MIXED, 24, 3)
    y = model(x).argmax(1)
    threat = ThreatModel(norm, 1.0 if norm == "l0" else 0.3, "score", budget)
    whole = GreedyTable(beam=2, rounds=4)(model, x, y, threat, space=MIXED, seed=1)
    order = torch.randperm(24, generator=torch.Generator().manual_seed(0))
    for part in (order[:9], order[9:]):
        shard = GreedyTable(beam=2, rounds=4, batch_size=700)(
            model, x[part], y[part], threat, space=MIXED, seed=1, ids=part
        )
        assert torch.equal(shard.broken_B, whole.broken_B[part])
        torch.testing.assert_close(shard.adversarial, whole.adversarial[part])
        assert torch.equal(shard.forwards_B, whole.forwards_B[part])


class Seen(nn.Module):
    """Remembers every row it is asked about, and is never wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.rows += list(x)
        return torch.stack([torch.ones(len(x)), -x[:, 0] / 100], dim=1)


def test_two_changes_in_either_order_are_asked_about_once() -> None:
    model, x = Seen(), torch.tensor([[2.0, 3.0, 1.0, 0.0, 0.0, 1.0, 0.0]])
    attack = GreedyTable(beam=50, rounds=2, levels=4)
    result = attack(model, x, torch.tensor([0]), ThreatModel("l0", 2), space=FEW, seed=0)
    assert not bool(result.broken_B)
    # The clean row again, and single changes anew, are asked about in the second round; pairs but once.
    pairs = [
        tuple(row.tolist())
        for row in model.rows
        if int(FeasibleRows(FEW, "l0", 9, x.device).distance(row[None], x)) == 2
    ]
    assert len(pairs) == len(set(pairs)) == 4 * 3 + 4 * 2 + 3 * 2


def test_where_nothing_can_move_nothing_is_tried() -> None:
    schema = TableSchema((Column("a", "real", 0, 1, mutable=False),))
    x, y = torch.tensor([[0.5], [0.2]]), torch.tensor([0, 1])
    model = nn.Linear(1, 2)
    result = GreedyTable()(model, x, model(x).argmax(1), ThreatModel("l1", 1), space=schema, seed=0)
    assert not bool(result.broken_B.any())
    assert result.forwards_B.tolist() == [1, 1]
    none = GreedyTable()(model, x[:0], y[:0], ThreatModel("l1", 1), space=schema, seed=0)
    assert none.adversarial.shape == (0, 1)


def test_bad_input_is_named() -> None:
    model, x = Rough(FEW, 0, classes=2), random_rows(FEW, 3, 0)
    y = model(x).argmax(1)
    with pytest.raises(UsageError, match="'greedy_table' is for encoded table rows, with norm 'l0', 'l1'"):
        GreedyTable()(model, x, y, ThreatModel("l2", 1), space=FEW, seed=0)
    with pytest.raises(
        UsageError, match="'projected_table' is for encoded table rows, with norm 'l1', 'linf'"
    ):
        ProjectedTable()(model, x, y, ThreatModel("l0", 1), space=FEW, seed=0)
    with pytest.raises(ValueError, match="at least 1"):
        GreedyTable(beam=0)
