"""The table attack: never a row that breaks the schema, and the exact minimum where it is known."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_tables import Rough, random_rows
from torch import Tensor, nn

from raiaudit.attacks.evasion.tables.feasible import FeasibleRows, violations
from raiaudit.attacks.evasion.tables.frank_wolfe import Table
from raiaudit.attacks.spaces import Column, ImageBox, TableSchema
from raiaudit.attacks.threats import Norm, ThreatModel
from raiaudit.errors import UsageError

SCHEMA = TableSchema(
    (
        Column("age", "integer", 18, 90, monotone="increasing"),
        Column("income", "real", 0.0, 5e4, cost=0.5),
        Column("job", "category", categories=("a", "b", "c")),
        Column("sex", "category", categories=("f", "m"), mutable=False),
        Column("debt", "real", -10.0, 10.0, monotone="decreasing"),
    )
)


columns = st.one_of(
    st.builds(
        lambda low, width, monotone, mutable, cost: ("real", low, low + width, monotone, mutable, cost),
        st.floats(-1e3, 1e3, width=32),
        st.floats(0.0, 1e4, width=32),
        st.sampled_from(["none", "increasing", "decreasing"]),
        st.booleans(),
        st.floats(0, 3),
    ),
    st.builds(
        lambda low, width, monotone, mutable, cost: ("integer", low, low + width, monotone, mutable, cost),
        st.integers(-50, 50),
        st.integers(0, 100),
        st.sampled_from(["none", "increasing", "decreasing"]),
        st.booleans(),
        st.floats(0, 3),
    ),
    st.builds(
        lambda levels, mutable, cost: ("category", levels, mutable, cost),
        st.integers(1, 4),
        st.booleans(),
        st.floats(0, 3),
    ),
)


def schema_of(drawn: list[tuple[Any, ...]]) -> TableSchema:
    made = []
    for index, column in enumerate(drawn):
        if column[0] == "category":
            _, levels, mutable, cost = column
            names = tuple(f"level {level}" for level in range(levels))
            made.append(Column(f"{index}", "category", categories=names, mutable=mutable, cost=cost))
        else:
            kind, low, high, monotone, mutable, cost = column
            made.append(Column(f"{index}", kind, low, high, (), mutable, monotone, cost))
    return TableSchema(tuple(made))


@settings(max_examples=40, deadline=None)
@given(
    drawn=st.lists(columns, min_size=1, max_size=5),
    norm=st.sampled_from(["l1", "linf"]),
    eps=st.floats(0, 3),
    seed=st.integers(0, 5),
)
def test_no_row_ever_breaks_the_schema(drawn: list[Any], norm: Norm, eps: float, seed: int) -> None:
    schema = schema_of(drawn)
    x = random_rows(schema, 12, seed)
    model = Rough(schema, seed, classes=3)
    y = model(x).argmax(1)
    result = Table(steps=4, restarts=2)(model, x, y, ThreatModel(norm, eps), space=schema, seed=seed)
    assert not bool(violations(schema, result.adversarial, x).any())
    reach = FeasibleRows(schema, norm, eps, x.device)
    assert bool((reach.distance(result.adversarial, x) <= eps).all())
    assert torch.equal(model(result.adversarial).argmax(1) != y, result.broken_B)
    # Not only what was returned: any vertex and any mixture of vertices settles to a reachable row.
    generator = torch.Generator().manual_seed(seed)
    first, second = (reach.steepest(torch.randn(x.shape, generator=generator), x) for _ in range(2))
    assert bool(reach.contains(first, x).all())
    assert bool(reach.contains(reach.settle(first.lerp(second, 0.4), x), x).all())


def test_the_attack_finds_errors_and_uses_every_kind_of_column() -> None:
    x = random_rows(SCHEMA, 200, 0)
    model = Rough(SCHEMA, 0, classes=3)
    y = model(x).argmax(1)
    result = Table()(model, x, y, ThreatModel("l1", 1.5), space=SCHEMA, seed=0)
    assert float(result.broken_B.float().mean()) > 0.5
    changed = (result.adversarial != x).any(0)
    for column in SCHEMA.columns:
        assert bool(changed[SCHEMA.slices[column.name]].any()) is column.mutable, column.name


@pytest.mark.parametrize(
    ("column", "before", "after"),
    [
        (Column("c", "real", 0, 1), 0.5, 1.5),
        (Column("c", "real", 0, 1), 0.5, float("nan")),
        (Column("c", "real", 0, 1, mutable=False), 0.5, 0.6),
        (Column("c", "integer", 0, 9), 4.0, 4.5),
        (Column("c", "real", 0, 1, monotone="increasing"), 0.5, 0.4),
        (Column("c", "real", 0, 1, monotone="decreasing"), 0.5, 0.6),
    ],
)
def test_planted_violations_are_seen(column: Column, before: float, after: float) -> None:
    schema = TableSchema((column,))
    assert bool(violations(schema, torch.tensor([[after]]), torch.tensor([[before]])))
    assert not bool(violations(schema, torch.tensor([[before]]), torch.tensor([[before]])))


@pytest.mark.parametrize("after", [[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
def test_planted_one_hot_violations_are_seen(after: list[float]) -> None:
    schema = TableSchema((Column("c", "category", categories=("a", "b", "c")),))
    clean = torch.tensor([[1.0, 0.0, 0.0]])
    assert bool(violations(schema, torch.tensor([after]), clean))
    assert not bool(violations(schema, torch.tensor([[0.0, 0.0, 1.0]]), clean))


def linear(weight: Tensor, bias: float) -> nn.Module:
    layer = nn.Linear(len(weight), 2)
    layer.weight.data = torch.stack([torch.zeros_like(weight), weight])
    layer.bias.data = torch.tensor([0.0, bias])
    return layer


def test_l1_minimum_of_a_linear_model_is_the_fractional_knapsack() -> None:
    """Columns in falling order of gain per cost, the last one in part: that is the least cost of an error."""
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
    x = random_rows(schema, 10, 2)
    bias = -float((x @ weight).max()) - 0.5  # every row starts in class 0, some far from the boundary
    model = linear(weight, bias)
    y = torch.zeros(10, dtype=torch.int64)
    checked = 0
    for row in range(10):
        need = -(float(x[row] @ weight) + bias)
        offers = []
        for i, column in enumerate(schema.columns):
            falls = column.monotone == "none" and weight[i] < 0
            room = column.high - float(x[row, i]) if weight[i] > 0 else float(x[row, i]) - column.low
            if weight[i] > 0 or falls:
                rate = float(weight[i].abs()) * (column.high - column.low) / column.cost
                offers.append((rate, float(weight[i].abs()) * room))
        spent = 0.0
        for rate, gain in sorted(offers, reverse=True):
            used = min(gain, need)
            spent, need = spent + used / rate, need - used
        if need > 1e-9:
            continue
        checked += 1
        for factor, expected in ((0.999, False), (1.001, True)):
            result = Table(steps=1, restarts=1)(
                model, x[row : row + 1], y[:1], ThreatModel("l1", spent * factor), space=schema, seed=0
            )
            assert bool(result.broken_B) is expected
    assert checked >= 4


@pytest.mark.parametrize("norm", ["l1", "linf"])
def test_never_beyond_exhaustive_search_and_nearly_as_good(norm: Norm) -> None:
    """Integers and categories only: every reachable row can be tried."""
    schema = TableSchema(
        (
            Column("n", "integer", 0, 4, cost=0.8),
            Column("m", "integer", 0, 3, monotone="decreasing"),
            Column("c", "category", categories=("a", "b", "c"), cost=0.7),
            Column("d", "category", categories=("u", "v"), mutable=False),
        )
    )
    levels = [torch.eye(3), torch.eye(2)]
    every = torch.stack(
        [
            torch.cat([torch.tensor([float(n), float(m)]), levels[0][c], levels[1][d]])
            for n, m, c, d in itertools.product(range(5), range(4), range(3), range(2))
        ]
    )
    found = possible = 0
    for seed in range(6):
        model = Rough(schema, seed, classes=2)
        x = random_rows(schema, 10, seed + 50)
        y = model(x).argmax(1)
        for eps in (0.3, 0.75, 1.2):
            result = Table(steps=10, restarts=4)(model, x, y, ThreatModel(norm, eps), space=schema, seed=0)
            reach = FeasibleRows(schema, norm, eps, x.device)
            for row in range(10):
                clean = x[row].expand_as(every)
                wrong = reach.contains(every, clean) & (model(every).argmax(1) != y[row])
                possible += bool(wrong.any())
                found += bool(result.broken_B[row])
                assert bool(wrong.any()) or not bool(result.broken_B[row])
    assert found >= 0.85 * possible


def test_invariant_to_order_and_shard(counting: Any) -> None:
    x = random_rows(SCHEMA, 30, 3)
    model = counting(Rough(SCHEMA, 3, classes=3))
    y = model(x).argmax(1)
    threat = ThreatModel("l1", 0.4)
    model.forwards = 0
    whole = Table()(model, x, y, threat, space=SCHEMA, seed=1)
    assert model.forwards == int(whole.forwards_B.sum())
    order = torch.randperm(30, generator=torch.Generator().manual_seed(0))
    for part in (order[:11], order[11:]):
        shard = Table(batch_size=4)(model, x[part], y[part], threat, space=SCHEMA, seed=1, ids=part)
        assert torch.equal(shard.broken_B, whole.broken_B[part])
        torch.testing.assert_close(shard.adversarial, whole.adversarial[part], rtol=1e-4, atol=1e-4)
        assert torch.equal(shard.forwards_B, whole.forwards_B[part])


def test_odd_clean_rows_stay_what_they_are() -> None:
    """Outside the bounds, a whole number missing, a category unknown: such columns may rest, not worsen."""
    x = random_rows(SCHEMA, 3, 0)
    x[0, 0], x[1, 0] = 99.0, 40.5
    x[2, SCHEMA.slices["job"]] = 0.0
    model = Rough(SCHEMA, 0, classes=3)
    result = Table()(model, x, model(x).argmax(1), ThreatModel("l1", 2.0), space=SCHEMA, seed=0)
    assert not bool(violations(SCHEMA, result.adversarial, x).any())
    assert float(result.adversarial[0, 0]) == 99.0
    assert float(result.adversarial[1, 0]) == 40.5
    assert float(result.adversarial[2, SCHEMA.slices["job"]].sum()) == 0


def test_eps_zero_changes_nothing_and_bad_input_is_named() -> None:
    x = random_rows(SCHEMA, 5, 0)
    model = Rough(SCHEMA, 0, classes=3)
    y = model(x).argmax(1)
    result = Table()(model, x, y, ThreatModel("l1", 0.0), space=SCHEMA, seed=0)
    assert torch.equal(result.adversarial, x)
    assert not bool(result.broken_B.any())
    with pytest.raises(UsageError, match="'l1', 'linf'"):
        Table()(model, x, y, ThreatModel("l2", 1.0), space=SCHEMA, seed=0)
    with pytest.raises(UsageError, match="table rows"):
        Table()(model, x, y, ThreatModel("l1", 1.0), space=ImageBox((1, 2, 2)), seed=0)
    with pytest.raises(UsageError, match="slots wide"):
        Table()(model, x[:, 1:], y, ThreatModel("l1", 1.0), space=SCHEMA, seed=0)
