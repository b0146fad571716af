"""Attribute flips on planted models: what depends on the attribute, and how much, is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from raiaudit.attacks.spaces import Column, ImageBox, TableSchema
from raiaudit.audit.fairness.counterfactual.counterfactual import Counterfactual, CounterfactualConfig
from raiaudit.audit.fairness.counterfactual.tables import flips
from raiaudit.audit.gates import Gate, decide
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.statistics.intervals import wilson
from raiaudit.audit.subject import Subject
from raiaudit.errors import CapabilityError, UnknownNameError, UsageError
from raiaudit.models.black_box import from_callable
from raiaudit.models.data.dataset import Dataset, Split

CHECK = Counterfactual()
SCHEMA = TableSchema(
    (
        Column("income", "real", 0, 1),
        Column("sex", "category", categories=("female", "male", "unknown")),
        Column("role", "category", categories=("husband", "other", "wife")),
        Column("race", "category", categories=("a", "b", "c #=/")),
    )
)
N = 252
Row = dict[str, Any]


def table(n: int = N) -> Dataset:
    """Every combination of sex, role and race, and an income from 0 to 1; the last row's sex is unknown."""
    x_NW = np.zeros((n, SCHEMA.width), dtype=np.float32)
    x_NW[:, 0] = (np.arange(n) + 0.5) / n
    sexes = [row % 2 for row in range(n - 1)] + [2]
    for row, sex in enumerate(sexes):
        x_NW[row, 1 + sex] = x_NW[row, 4 + row // 2 % 3] = x_NW[row, 7 + row // 6 % 3] = 1
    groups = pl.DataFrame(
        {"sex": [SCHEMA.columns[1].categories[sex] for sex in sexes], "town": ["x", "y"] * (n // 2)}
    )
    split = Split(pl.Series([f"row{row:03d}" for row in range(n)]), x_NW, np.arange(n) % 2, groups)
    splits = {"test": split}
    return Dataset("planted", "tabular", ("no", "yes"), SCHEMA, splits, "0", group_names=("sex", "town"))


@pytest.fixture
def subject_of(make_subject: Any) -> Callable[..., Subject]:
    """(rule: row → chance of "yes", returns, dataset) → Subject of a black box."""

    def make(
        rule: Callable[[Row], float], returns: Any = "scores", dataset: Dataset | None = None
    ) -> Subject:
        data = dataset or table()

        def answer(rows: list[Row]) -> list[Any]:
            chances = [rule(row) for row in rows]
            return [[1 - p, p] for p in chances] if returns == "scores" else [int(p > 0.5) for p in chances]

        box = from_callable(answer, returns=returns, classes=data.classes, space=data.space)
        subject: Subject = make_subject(box, data)
        return subject

    return make


def measured(run_check: Any, subject: Subject, **options: Any) -> list[Measurement]:
    config = CounterfactualConfig(**options)
    return CHECK.summarise(run_check(CHECK, subject, config), subject, config)


def one(found: list[Measurement], metric: str, **where: str) -> Measurement:
    """The only measurement with exactly this slice, beside the source."""
    (only,) = [
        m for m in found if m.metric == f"counterfactual_{metric}" and {**where, "source": "table"} == m.where
    ]
    return only


def test_a_model_that_ignores_the_attribute_never_flips_and_the_bound_says_how_sure_that_is(
    subject_of: Any, run_check: Any
) -> None:
    found = measured(run_check, subject_of(lambda row: row["income"]), columns=("sex",))
    overall = one(found, "flip_rate", attribute="sex")
    assert (overall.value, overall.n) == (0.0, N - 1)  # the person of unknown sex is left out
    assert (overall.low, overall.high) == pytest.approx(wilson(0, N - 1))
    pair = {"attribute": "sex", "from": "male", "to": "female"}
    assert one(found, "effect", **pair).value == 0
    assert one(found, "p_value", **pair).value == 1
    assert one(found, "score_change", **pair).value == pytest.approx(0, abs=1e-9)


def test_a_model_of_the_attribute_alone_flips_every_decision(subject_of: Any, run_check: Any) -> None:
    found = measured(
        run_check, subject_of(lambda row: 0.9 if row["sex"] == "male" else 0.2), columns=("sex",)
    )
    assert one(found, "flip_rate", attribute="sex").value == 1
    assert one(found, "flips", attribute="sex").value == N - 1
    up = {"attribute": "sex", "from": "female", "to": "male"}
    down = {"attribute": "sex", "from": "male", "to": "female"}
    assert (one(found, "effect", **up).value, one(found, "effect", **down).value) == (1, -1)
    assert one(found, "score_change", **up).value == pytest.approx(0.7, abs=1e-6)
    p = one(found, "p_value", **up).value
    assert p is not None
    assert p < 1e-30


def test_a_planted_dependence_is_found_to_the_last_example(subject_of: Any, run_check: Any) -> None:
    """Men above an income of 0.6 and women above 0.8 are favoured: those between flip, each one way."""
    rule = lambda row: 0.9 if row["income"] > (0.6 if row["sex"] == "male" else 0.8) else 0.1  # noqa: E731
    found = measured(run_check, subject_of(rule), columns=("sex",))
    incomes = (np.arange(N - 1) + 0.5) / N
    between = (incomes > 0.6) & (incomes <= 0.8)
    for sex, (old, new), sign in ((0, ("female", "male"), 1), (1, ("male", "female"), -1)):
        whose = np.arange(N - 1) % 2 == sex
        effect = one(found, "effect", **{"attribute": "sex", "from": old, "to": new})
        assert effect.value == pytest.approx(sign * between[whose].mean())
        assert effect.low is not None
        assert effect.high is not None
        assert effect.low <= sign * 0.2 <= effect.high
    assert one(found, "flip_rate", attribute="sex").value == pytest.approx(between.mean())


def test_labels_alone_give_the_same_flips_and_no_scores(subject_of: Any, run_check: Any) -> None:
    rule = lambda row: 0.9 if row["sex"] == "male" and row["income"] > 0.5 else 0.1  # noqa: E731
    scored, labels = (
        measured(run_check, subject_of(rule, returns), columns=("sex",)) for returns in ("scores", "labels")
    )
    pair = {"attribute": "sex", "from": "female", "to": "male"}
    assert one(scored, "effect", **pair) == one(labels, "effect", **pair)
    change = one(labels, "score_change", **pair)
    assert change.value is None
    assert "labels alone" in str(change.reason)


def test_an_attribute_of_three_levels_has_six_directions_and_one_overall_rate(
    subject_of: Any, run_check: Any
) -> None:
    found = measured(run_check, subject_of(lambda row: 0.9 if row["race"] == "a" else 0.1), columns=("race",))
    rates = [m for m in found if m.metric == "counterfactual_flip_rate"]
    assert len(rates) == 7
    # Of a person's two flips one changes the decision, but for those of level a, of whose both do.
    assert one(found, "flip_rate", attribute="race").value == pytest.approx((1 / 3) * 1 + (2 / 3) * 0.5)
    assert one(found, "any_flip_rate", attribute="race").value == 1
    assert one(found, "flip_rate", **{"attribute": "race", "from": "b", "to": "c #=/"}).value == 0


def test_a_gate_that_names_the_attribute_is_about_the_overall_rate(subject_of: Any, run_check: Any) -> None:
    found = measured(run_check, subject_of(lambda row: row["income"]), columns=("race",))
    gate = Gate(metric="counterfactual_flip_rate", where={"attribute": "race"}, max=0.02)
    verdict = decide(CHECK.id, gate, found)
    assert verdict.status == "pass"  # of the 84 pairs of a direction alone it could not
    worst = Gate(metric="counterfactual_flip_rate", where={"attribute": "race", "from": "a"}, max=0.02)
    assert decide(CHECK.id, worst, found).status == "inconclusive"


def test_columns_that_follow_are_set_with_the_attribute(subject_of: Any, run_check: Any) -> None:
    also = {"sex": {"female": {"role": {"husband": "wife", "wife": "husband"}}}}
    probe = flips(table().splits["test"], SCHEMA, ["sex"], also)
    rows = dict(zip(probe.ids, np.asarray(probe.inputs), strict=True))
    role = {"husband": 4, "other": 5, "wife": 6}
    for row, (own, then) in {1: ("husband", "wife"), 3: ("other", "other"), 5: ("wife", "husband")}.items():
        before, after = rows[f"row{row:03d}"], rows[f"row{row:03d}#sex=female"]
        assert before[role[own]] == after[role[then]] == 1
        assert after[4:7].sum() == 1
        assert after[1:4].tolist() == [1, 0, 0]
        assert (before[7:] == after[7:]).all()
    assert rows["row000#sex=male"][4:7].tolist() == rows["row000"][4:7].tolist()
    config = CounterfactualConfig(columns=("sex",), also=also)
    subject = subject_of(lambda row: 0.9 if row["role"] == "wife" else 0.1)
    found = CHECK.summarise(run_check(CHECK, subject, config), subject, config)
    assert one(found, "flip_rate", **{"attribute": "sex", "from": "male", "to": "female"}).value > 0.6  # type: ignore[operator]
    assert one(found, "flip_rate", **{"attribute": "sex", "from": "female", "to": "male"}).value == 0


def test_what_cannot_be_set_is_undefined_and_says_what_to_read_instead(
    subject_of: Any, run_check: Any
) -> None:
    found = measured(run_check, subject_of(lambda row: row["income"]))  # the group columns: sex and town
    town = one(found, "flip_rate", attribute="town")
    assert town.value is None
    assert "fairness.groups" in str(town.reason)
    assert one(found, "flip_rate", attribute="sex").value == 0
    found = measured(run_check, subject_of(lambda row: 0.1), columns=("income", "sex"))
    number = one(found, "flip_rate", attribute="income")
    assert "ranges" in str(number.reason)


def test_nothing_to_flip_at_all_is_not_run_with_the_reason(subject_of: Any) -> None:
    with pytest.raises(CapabilityError, match=r"'town' is no feature.*columns"):
        CHECK.tasks(subject_of(lambda row: 0.1), CounterfactualConfig(columns=("town",)))


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"columns": ("sx",)}, UnknownNameError),
        ({"pair": "family"}, UnknownNameError),
        ({"positive": "maybe"}, UnknownNameError),
        ({"also": {"sx": {}}}, UnknownNameError),
        ({"also": {"sex": {"females": {}}}}, UnknownNameError),
        ({"also": {"sex": {"female": {"rôle": {}}}}}, UnknownNameError),
        ({"also": {"sex": {"female": {"role": {"widow": "wife"}}}}}, UnknownNameError),
        ({"also": {"sex": {"female": {"role": {"wife": "widow"}}}}}, UnknownNameError),
        ({"also": {"sex": {"female": {"sex": {"male": "female"}}}}}, UsageError),
    ],
)
def test_names_that_are_not_there_are_named(subject_of: Any, options: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"fairness\.counterfactual"):
        CHECK.tasks(subject_of(lambda row: 0.1), CounterfactualConfig(**options))


def test_answers_that_lack_are_left_out_and_bound_the_count(subject_of: Any, run_check: Any) -> None:
    """A third of the rows is refused: the rate is of the others, the count may be as much larger."""

    def rule(row: Row) -> float:
        if row["role"] == "other":
            raise ValueError("no answer")
        return 0.9 if row["sex"] == "male" else 0.1

    found = measured(run_check, subject_of(rule), columns=("sex",))
    rate, count = one(found, "flip_rate", attribute="sex"), one(found, "flips", attribute="sex")
    lost = sum(row // 2 % 3 == 1 for row in range(N - 1))
    assert (rate.value, rate.n) == (1, N - 1 - lost)
    assert f"{lost} pairs without an answer" in str(rate.reason)
    assert (count.low, count.high) == (N - 1 - lost, N - 1)


def test_several_classes_without_a_positive_one_have_flips_but_no_direction(
    make_subject: Any, run_check: Any
) -> None:
    data = table()
    three = Dataset("t", "tabular", ("x", "y", "z"), SCHEMA, data.splits, "0", group_names=("sex",))
    box = from_callable(
        lambda rows: [2 if row["sex"] == "male" else 1 for row in rows],
        returns="labels",
        classes=three.classes,
        space=SCHEMA,
    )
    found = measured(run_check, make_subject(box, three))
    assert one(found, "flip_rate", attribute="sex").value == 1
    effect = one(found, "effect", **{"attribute": "sex", "from": "male", "to": "female"})
    assert (effect.value, effect.reason) == (
        None,
        "no class counts as positive: set `positive` to one of the classes",
    )
    directed = measured(run_check, make_subject(box, three), positive="z")
    assert one(directed, "effect", **{"attribute": "sex", "from": "male", "to": "female"}).value == -1


def test_the_evidence_lists_what_turned_by_ids_and_corrects_for_all_pairs(
    subject_of: Any, run_check: Any
) -> None:
    subject, config = subject_of(lambda row: row["income"] * (1.0 if row["sex"] == "male" else 0.7)), None
    config = CounterfactualConfig(columns=("sex", "race"), shown=3)
    ledger = run_check(CHECK, subject, config)
    tables = CHECK.evidence(ledger, subject, config)
    table_of = tables["flips"]
    assert table_of.height == 8
    assert (table_of["p_adjusted"] >= table_of["p"]).all()
    listed = tables["pairs"]
    assert listed.height == 3
    assert listed["change"].abs().is_sorted(descending=True)
    assert (listed["from_class"] != listed["to_class"]).all()
    assert listed["to_id"][0].startswith(listed["from_id"][0] + "#sex=")
    assert set(tables) == {"flips", "pairs"}
    assert ledger.scan("counterfactual.class").collect().height == N + 2 * N + N - 1


def test_few_people_of_a_level_count_overall_but_have_no_rate_of_their_own(
    subject_of: Any, run_check: Any
) -> None:
    found = measured(run_check, subject_of(lambda row: 0.1), columns=("race",), min_pairs=85)
    assert {tuple(m.where) for m in found} == {("source", "attribute")}
    assert one(found, "flip_rate", attribute="race").n == 2 * N


def images(links: list[str] | None, tones: list[str]) -> Dataset:
    """1×1 pictures whose brightness is the row's parity; the model answers by it."""
    n = len(tones)
    x = (np.arange(n) % 2).astype(np.float32).reshape(n, 1, 1, 1)
    groups = pl.DataFrame({"tone": tones})
    ids = pl.Series([f"img{row}" for row in range(n)])
    split = Split(ids, x, np.zeros(n, dtype=np.int64), groups, None if links is None else pl.Series(links))
    splits = {"test": split}
    return Dataset(
        "pictures", "image", ("no", "yes"), ImageBox((1, 1, 1)), splits, "0", group_names=("tone",)
    )


def test_linked_pictures_are_compared_within_their_subject(make_subject: Any, run_check: Any) -> None:
    """Forty people, each dark (row even: dark picture) and light; three pictures link to nobody."""
    links = [f"person{row // 2}" for row in range(80)] + ["unknown", "alone", "person0"]
    tones = ["dark", "light"] * 40 + ["dark", "dark", "unknown"]
    data = images(links, tones)
    box = from_callable(
        lambda x: np.stack([1 - x.reshape(-1), x.reshape(-1)], axis=1),
        returns="scores",
        classes=data.classes,
        space=data.space,
    )
    subject = make_subject(box, data)
    config = CounterfactualConfig()
    found = CHECK.summarise(run_check(CHECK, subject, config), subject, config)
    by_metric = {m.metric: m for m in found if "from" in m.where}
    effect = by_metric["counterfactual_effect"]
    assert effect.where == {"source": "linked", "attribute": "tone", "from": "dark", "to": "light"}
    assert (effect.value, effect.n) == (1, 40)


def test_a_group_column_may_link_examples(make_subject: Any, run_check: Any) -> None:
    data = images(None, ["dark", "light"] * 40)
    split = data.splits["test"]
    people = pl.Series("person", [f"p{row // 2}" for row in range(80)])
    paired = Split(split.ids, split.inputs, split.labels, split.groups.with_columns(people))
    data = Dataset(
        "d", "image", data.classes, data.space, {"test": paired}, "0", group_names=("tone", "person")
    )
    box = from_callable(lambda x: [0] * len(x), returns="labels", classes=data.classes, space=data.space)
    found = CHECK.summarise(
        run_check(CHECK, make_subject(box, data), config := CounterfactualConfig(pair="person")),
        make_subject(box, data),
        config,
    )
    (rate,) = [m for m in found if m.metric == "counterfactual_flip_rate" and "from" not in m.where]
    assert (rate.value, rate.n) == (0, 40)
    assert (rate.low, rate.high) == pytest.approx(wilson(0, 40))


def test_pictures_without_links_are_not_run_and_told_what_is_needed(make_subject: Any) -> None:
    data = images(None, ["dark", "light"])
    box = from_callable(lambda x: [0] * len(x), returns="labels", classes=data.classes, space=data.space)
    with pytest.raises(CapabilityError, match=r"links.*several groups"):
        CHECK.tasks(make_subject(box, data), CounterfactualConfig())


@pytest.mark.parametrize(
    "options",
    [
        {"terms": {"g": {"a": ("x",)}}},
        {"terms": {"g": {"a": ("x",), "b": ("y", "z")}}},
        {"terms": {"g": {"a": ("",), "b": ("y",)}}},
        {"terms": {"g": {"a": ("X",), "b": ("x",)}}},
        {"sources": ()},
        {"sources": ("blog",)},
        {"columns": ()},
        {"confidence": 1.0},
    ],
)
def test_options_that_cannot_be_are_refused(options: Any) -> None:
    with pytest.raises(ValidationError):
        CounterfactualConfig(**options)
