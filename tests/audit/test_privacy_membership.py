"""Membership end to end: an overfitted model gives its members away, one that never saw them does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from raiaudit.attacks.spaces import Column, TableSchema
from raiaudit.audit.privacy.inference.membership import Membership, MembershipConfig, membership_scores
from raiaudit.audit.privacy.inference.pool import joined, keep_matrix, pool_of
from raiaudit.errors import CapabilityError
from raiaudit.models.data.dataset import Dataset, Split
from raiaudit.models.recipe import Recipe
from raiaudit.models.training import train

if TYPE_CHECKING:
    from raiaudit.audit.ledger import Ledger
    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.subject import Subject

RECIPE = Recipe(architecture="mlp", options={"hidden": 64}, epochs=25, batch_size=32, learning_rate=5e-3)
CONFIG = MembershipConfig(shadows=8, pool=120, fpr=(0.2, 0.01))


def noise(seed: int, prefix: str = "") -> Dataset:
    """Ten normal columns and labels that are coin flips: all there is to learn is who was there."""
    rng = np.random.default_rng(seed)
    splits = {}
    for name, count in (("train", 160), ("validation", 60), ("test", 140)):
        splits[name] = Split(
            pl.Series([f"{prefix}{name}{row:03d}" for row in range(count)]),
            rng.normal(size=(count, 10)).astype(np.float32),
            rng.integers(0, 2, size=count),
            pl.DataFrame({"half": ["a" if row % 2 else "b" for row in range(count)]}),
        )
    schema = TableSchema(tuple(Column(f"c{i}", "real", -4, 4) for i in range(10)))
    return Dataset(
        "noise", "tabular", ("no", "yes"), schema, splits, digest=f"noise{seed}", group_names=("half",)
    )


@pytest.fixture(scope="module")
def overfitted() -> tuple[Dataset, Any]:
    dataset = noise(0)
    return dataset, train(RECIPE, dataset, seed=1, device="cpu")


def subject_of(make_subject: Any, dataset: Dataset, version: Any) -> Subject:
    record = version.record.model_copy(update={"data_digest": dataset.digest})
    subject: Subject = make_subject(version.classifier, dataset, **record.model_dump())
    return subject


def measured(ledger: Ledger, subject: Subject, config: MembershipConfig) -> dict[str, Measurement]:
    return {m.label(): m for m in Membership().summarise(ledger, subject, config)}


def test_an_overfitted_model_gives_its_members_away(
    overfitted: tuple[Dataset, Any], make_subject: Any, run_check: Any
) -> None:
    subject = subject_of(make_subject, *overfitted)
    ledger = run_check(Membership(), subject, CONFIG)
    found = measured(ledger, subject, CONFIG)
    for attack in ("lira", "loss"):
        area = found[f"membership_auc (attack={attack})"]
        assert area.low is not None
        assert area.low > 0.6
        assert area.n == 240
        gain = found[f"membership_advantage (attack={attack})"]
        assert gain.low is not None
        assert gain.low > 0
    assert (found["tpr_at_fpr (attack=lira, fpr=0.2)"].value or 0) > 0.4
    cell = found["tpr_at_fpr (attack=lira, fpr=0.01)"]
    assert cell.value is None
    assert "10 are needed" in str(cell.reason)
    for group in ("a", "b"):
        by_group = found[f"group_membership_auc (attack=lira, attribute=half, group={group})"]
        assert by_group.value is not None
        assert by_group.value > 0.6
    assert {"membership.loss.score", "membership.member", "membership.group.half"} <= ledger.columns()
    scores = membership_scores(ledger)
    assert scores.columns == ["example_id", "score", "member"]
    assert scores["member"].sum() == 120
    evidence = Membership().evidence(ledger, subject, CONFIG)
    assert set(evidence["roc"]["attack"]) == {"lira", "rmia", "base", "loss"}
    assert evidence["histogram"]["count"].sum() == 240


def test_a_model_that_never_saw_them_tells_nothing(
    overfitted: tuple[Dataset, Any], make_subject: Any, run_check: Any
) -> None:
    """The same model, audited on rows drawn anew: every interval covers chance."""
    subject = subject_of(make_subject, noise(99, prefix="fresh-"), overfitted[1])
    found = measured(run_check(Membership(), subject, CONFIG), subject, CONFIG)
    for attack in ("lira", "loss"):
        area = found[f"membership_auc (attack={attack})"]
        assert area.low is not None
        assert area.high is not None
        assert area.low < 0.5 < area.high
        gain = found[f"membership_advantage (attack={attack})"]
        assert gain.low is not None
        assert gain.low < 0


def test_the_loss_attack_needs_no_recipe_and_lira_does(
    overfitted: tuple[Dataset, Any], make_subject: Any, run_check: Any
) -> None:
    dataset, version = overfitted
    subject = make_subject(version.classifier, dataset)
    with pytest.raises(CapabilityError, match="shadow models"):
        Membership().tasks(subject, MembershipConfig(attack=("lira",)))
    mixed = measured(run_check(Membership(), subject, CONFIG), subject, CONFIG)
    for attack in ("lira", "rmia", "base"):
        assert "how this model was trained is not known" in str(
            mixed[f"membership_auc (attack={attack})"].reason
        )
    config = MembershipConfig.model_validate({"attack": "loss", "pool": 120})
    found = measured(run_check(Membership(), subject, config), subject, config)
    assert {m.where["attack"] for m in found.values()} == {"loss"}
    assert (found["membership_auc (attack=loss)"].low or 0) > 0.6


def test_members_are_rows_the_target_trained_on(make_subject: Any) -> None:
    dataset = noise(0)
    limited = RECIPE.model_copy(update={"train_limit": 50})
    subject = make_subject(None, dataset, recipe=limited, metrics={"training_examples": 50.0})
    pool = pool_of(subject, 500)
    members = pool.points.take(np.flatnonzero(pool.member_P)).ids.to_list()
    assert members == dataset.splits["train"].ids[:50].to_list()
    others = pool.points.take(np.flatnonzero(~pool.member_P)).ids
    assert len(others) == 50
    assert not any(example.startswith("train") for example in others)
    other_rows = make_subject(None, dataset, recipe=limited, metrics={"training_examples": 40.0})
    with pytest.raises(CapabilityError, match="trained on 40 rows"):
        pool_of(other_rows, 500)


def test_each_point_is_in_half_of_the_shadows_and_each_shadow_holds_half() -> None:
    keep_MP = keep_matrix(6, 240, seed=3)
    assert (keep_MP.sum(0) == 3).all()
    assert (keep_MP.sum(1) == 120).all()
    assert (keep_MP == keep_matrix(6, 240, seed=3)).all()
    assert (keep_MP != keep_matrix(6, 240, seed=4)).any()
    assert len({row.tobytes() for row in keep_MP}) == 6


def test_a_shadow_sees_as_many_rows_as_the_target_and_never_the_others(make_subject: Any) -> None:
    """40 of 80 points, and the 120 training rows outside the pool: 160, like the target."""
    subject = make_subject(None, noise(0), recipe=RECIPE.model_copy(update={"epochs": 1}))
    pool = pool_of(subject, 40)
    assert len(pool.rest) == 120
    assert not set(pool.rest.ids) & set(pool.points.ids)
    keep_MP = keep_matrix(4, 80, 0)
    for keep_P in keep_MP:
        rows = pool.shadow_rows(keep_P)
        learned = joined(pool.points, pool.rest).take(rows).ids.to_list()
        assert len(set(learned)) == len(learned) == 160
        assert set(learned) == {*pool.points.ids.filter(keep_P), *pool.rest.ids}


def test_the_same_pool_serves_every_task_whatever_the_attack(
    overfitted: tuple[Dataset, Any], make_subject: Any
) -> None:
    subject = subject_of(make_subject, *overfitted)
    lira, loss = (
        Membership().tasks(subject, MembershipConfig.model_validate({"attack": attack, "pool": 50}))[0]
        for attack in ("lira", "loss")
    )
    assert lira == loss


def test_texts_are_joined_like_arrays() -> None:
    def texts(*words: str) -> Split:
        return Split(pl.Series(list(words)), list(words), np.zeros(len(words), dtype=np.int64))

    both = joined(texts("a", "b"), texts("c"))
    assert both.inputs == both.ids.to_list() == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"shadows": 5}, "even"),
        ({"shadows": -2}, "greater"),
        ({"fpr": [0]}, "between 0 and 1"),
        ({"attack": "x"}, "lira"),
    ],
)
def test_a_wrong_option_is_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        MembershipConfig.model_validate(given)
