"""The evasion check on a linear model, whose robust accuracy has a closed form."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from planted_images import Linear, linear_images, scores
from planted_ledger import Rows
from pydantic import ValidationError
from torch import Tensor

from raiaudit.attacks.evasion import EVASION
from raiaudit.attacks.evasion.images.transfer import Transfer
from raiaudit.audit.catalogue import CHECKS
from raiaudit.audit.gates import Gate
from raiaudit.audit.judgement import judge
from raiaudit.audit.plan import PlannedCheck
from raiaudit.audit.robustness.attack_names import ATTACKS, DEFAULT_ATTACK, DEFAULT_NORM
from raiaudit.audit.robustness.evasion import Evasion, EvasionConfig
from raiaudit.audit.robustness.evasion_summary import at_radius
from raiaudit.audit.spec import Policy
from raiaudit.errors import CapabilityError
from raiaudit.models.data.dataset import Dataset, Split

if TYPE_CHECKING:
    from raiaudit.audit.ledger import Ledger
    from raiaudit.audit.measurement import Measurement

SIDE = 5
WEIGHT = np.random.default_rng(7).normal(size=SIDE * SIDE)


def closed_form(dataset: Dataset, eps: float, dual: int) -> int:
    """How many examples stay right whatever happens within eps: ‖w‖_dual decides."""
    split = dataset.splits["test"]
    margin = scores(np.asarray(split.inputs), WEIGHT) * (2 * split.labels - 1)
    return int((margin > eps * np.linalg.norm(WEIGHT, dual)).sum())


def options(**given: Any) -> EvasionConfig:
    """As a spec gives them."""
    return EvasionConfig.model_validate(given)


def found(ledger: Ledger, subject: Any, config: EvasionConfig) -> dict[str, Measurement]:
    return {m.label(): m for m in Evasion().summarise(ledger, subject, config)}


@pytest.mark.parametrize(("norm", "dual", "radii"), [("linf", 1, (0.01, 0.03)), ("l2", 2, (0.04, 0.14))])
def test_a_linear_model_has_its_closed_form(
    norm: Any, dual: int, radii: tuple[float, float], make_subject: Any, run_check: Any
) -> None:
    dataset = linear_images(WEIGHT, 60)
    subject = make_subject(Linear(WEIGHT), dataset)
    config = EvasionConfig(norm=norm, eps=radii, shard=25)
    measured = found(run_check(Evasion(), subject, config), subject, config)
    counts = []
    for eps in radii:
        where = f"(norm={norm}, eps={eps:g}, attack=pgd)"
        robust = measured[f"robust_accuracy {where}"]
        counts.append(closed_form(dataset, eps, dual))
        # no example so near the border that float32 or an unfinished ascent could decide
        assert closed_form(dataset, 0.99 * eps, dual) == counts[-1] == closed_form(dataset, 1.01 * eps, dual)
        assert robust.value == counts[-1] / 60
        assert robust.low is not None
        assert robust.high is not None
        assert robust.low < robust.value < robust.high
        assert measured[f"clean_accuracy {where}"].value == 0.9
        success = measured[f"attack_success_rate {where}"]
        assert success.n == 54
        assert success.value == pytest.approx(1 - counts[-1] / 54)
    assert 0 < counts[1] < counts[0] < 54  # the radii tell something apart
    assert measured[f"monotone_in_eps (norm={norm}, attack=pgd)"].value == 1
    assert not [label for label in measured if label.startswith("zero_gradients")]


class Masked(Linear):
    """The same answers, with no gradient to go by: steep logits, a step, or a graph cut in two."""

    def __init__(self, mask: str) -> None:
        super().__init__(WEIGHT)
        self.mask = mask

    def forward(self, inputs: Tensor) -> Tensor:
        logits = super().forward(inputs)
        if self.mask == "saturated":
            return 1e6 * logits
        return logits.sign() if self.mask == "a step" else logits.detach() + 0 * inputs.sum()


@pytest.mark.parametrize("mask", ["saturated", "a step", "detached"])
def test_a_blind_attack_casts_doubt_on_its_own_robust_accuracy(
    mask: str, make_subject: Any, run_check: Any
) -> None:
    subject, config = make_subject(Masked(mask), linear_images(WEIGHT, 60)), EvasionConfig(eps=(0.03,))
    measured = Evasion().summarise(run_check(Evasion(), subject, config), subject, config)
    robust = next(m for m in measured if m.metric == "robust_accuracy")
    blind = next(m for m in measured if m.metric == "zero_gradients")
    assert robust.value is not None
    assert robust.value > closed_form(linear_images(WEIGHT, 60), 0.03, 1) / 60  # what it would pass for
    assert blind.value == 1
    assert blind.n == round(60 * robust.value)
    gate = Gate(metric="robust_accuracy", min=0.5)
    run: Any = None
    planned = PlannedCheck(CHECKS[Evasion.id], config, (gate,))
    (verdict,) = judge([planned], measured, {}, Policy(), run, data_digest="d")
    assert verdict.status == "inconclusive"
    assert "zero or NaN" in verdict.explanation


def test_shards_change_no_row(make_subject: Any) -> None:
    subject, check = make_subject(Linear(WEIGHT), linear_images(WEIGHT, 60)), Evasion()
    whole, parts = (
        pl.concat(
            [
                check.execute(task, subject)
                for task in check.tasks(subject, options(eps=0.02, steps=3, shard=shard))
            ]
        ).drop("evasion.linf-0.02-pgd.adversarial", "evasion.linf-0.02-pgd.predicted")
        for shard in (512, 7)
    )
    margin = "evasion.linf-0.02-pgd.margin"  # a batch of another size rounds the logits otherwise
    np.testing.assert_allclose(whole[margin], parts[margin], atol=1e-6)
    assert whole.drop(margin).equals(parts.drop(margin))


def test_examples_show_what_broke(make_subject: Any, run_check: Any) -> None:
    dataset, config = linear_images(WEIGHT, 60), options(eps=[0.01, "8/255"])
    subject = make_subject(Linear(WEIGHT), dataset)
    ledger = run_check(Evasion(), subject, config)
    evidence = Evasion().evidence(ledger, subject, config)
    assert evidence["curve"]["eps"].to_list() == [0.01, 8 / 255]
    examples = evidence["examples"]
    assert examples.height == 8
    assert examples["eps"].unique().to_list() == [8 / 255]
    clean, adversarial = (np.array(examples[name].to_list()) for name in ("clean", "adversarial"))
    assert (np.abs(clean - adversarial) <= 8 / 255 + 1e-6).all()
    assert (examples["label"] != examples["predicted"]).all()
    position = {example: row for row, example in enumerate(subject.test.ids)}
    rows = [position[example] for example in examples["example_id"]]
    np.testing.assert_array_equal(clean, subject.test.inputs[rows].reshape(8, -1))
    assert (examples["predicted"] == "yes").to_list() == [
        bool(score > 0) for score in adversarial @ WEIGHT - WEIGHT.sum() / 2
    ]
    # the smaller radius keeps no input in the ledger
    assert "evasion.linf-0.01-pgd.adversarial" not in ledger.columns()


def test_bytes_are_shown_as_the_model_sees_them(make_subject: Any, run_check: Any) -> None:
    floats = linear_images(WEIGHT, 60)
    split = floats.splits["test"]
    bytes_ = np.round(split.inputs * 255).astype(np.uint8)
    dataset = replace(floats, splits={**floats.splits, "test": Split(split.ids, bytes_, split.labels)})
    subject, config = make_subject(Linear(WEIGHT), dataset), options(eps=0.05)
    examples = Evasion().evidence(run_check(Evasion(), subject, config), subject, config)["examples"]
    gap = np.array(examples["clean"].to_list()) - np.array(examples["adversarial"].to_list())
    assert (np.abs(gap) <= 0.05 + 1e-6).all()


def rows(at: str, *, broken: list[bool], clean_broken: list[bool], norm: list[float]) -> dict[str, Any]:
    return {
        f"evasion.{at}.broken": broken,
        f"evasion.{at}.clean_broken": clean_broken,
        f"evasion.{at}.norm": norm,
        f"evasion.{at}.forwards": [1] * len(broken),
        f"evasion.{at}.backwards": [0] * len(broken),
    }


def test_an_attack_that_fails_at_the_larger_radius_is_caught(make_subject: Any) -> None:
    """Two of five examples are broken at 0.1 and survive 0.2: no model can do that, only an attack."""
    small, large = [True, True, True, False, False], [True, False, False, True, False]
    frame = pl.DataFrame(
        {
            "example_id": list("abcde"),
            **rows("linf-0.1-pgd", broken=small, clean_broken=[False] * 5, norm=[0.1] * 5),
            **rows("linf-0.2-pgd", broken=large, clean_broken=[False] * 5, norm=[0.2] * 5),
        }
    )
    measured = Evasion().summarise(
        Rows(frame), make_subject(Linear(WEIGHT), linear_images(WEIGHT, 60)), EvasionConfig(eps=(0.1, 0.2))
    )
    flag = next(m for m in measured if m.metric == "monotone_in_eps")
    assert flag.value == 3 / 5
    assert "2 examples" in str(flag.reason)


def test_nothing_to_attack_is_undefined_not_zero() -> None:
    frame = pl.DataFrame(
        {
            "example_id": ["a", "b"],
            **rows("l2-1-cw", broken=[True] * 2, clean_broken=[True] * 2, norm=[0.0] * 2),
        }
    )
    measured = {m.metric: m for m in at_radius("c", Rows(frame), "l2", 1.0, "cw")}
    assert measured["attack_success_rate"].value is None
    assert measured["median_norm"].value is None
    assert measured["robust_accuracy"].value == 0


def test_the_median_distance_counts_what_was_never_found_as_infinite() -> None:
    norm = [0.5, 0.1, 0.3, 0.0, 0.2, 0.4, 0.7, 0.6, 9.0]  # e (norm 0) resists; the last is a clean error
    frame = pl.DataFrame(
        {
            "example_id": list("abcdefghi"),
            **rows("l2-1-cw", broken=[True] * 9, clean_broken=[False] * 8 + [True], norm=norm),
        }
    )
    median = next(m for m in at_radius("c", Rows(frame), "l2", 1.0, "cw") if m.metric == "median_norm")
    assert median.value == pytest.approx(0.45)  # of .1 .2 .3 .4 .5 .6 .7 ∞
    assert median.n == 8
    assert (median.low, median.high) == (None, None)  # the upper limit is the infinite one
    assert median.reason is None


def test_the_interval_of_the_median_covers() -> None:
    """Order statistics of 41 exponential distances against the true median, ln 2, in 400 draws."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        frame = pl.DataFrame(
            {
                "example_id": [str(row) for row in range(41)],
                **rows(
                    "l2-1-cw",
                    broken=[True] * 41,
                    clean_broken=[False] * 41,
                    norm=rng.exponential(size=41).tolist(),
                ),
            }
        )
        median = next(m for m in at_radius("c", Rows(frame), "l2", 1.0, "cw") if m.metric == "median_norm")
        assert median.low is not None
        assert median.high is not None
        covered += median.low <= np.log(2) <= median.high
    assert 0.93 <= covered / 400 <= 0.995


def test_the_table_of_names_says_what_the_attacks_say() -> None:
    assert ATTACKS.keys() - {"transfer"} == EVASION.keys()  # which needs a surrogate
    for name, facts in ATTACKS.items():
        attack = EVASION[name]() if name in EVASION else Transfer(surrogates=[Linear(WEIGHT)])
        assert (attack.modality, attack.norms) == (facts.modality, facts.norms), name
        assert attack.knowledge == facts.knowledge, name
        if name in EVASION:
            constructor = inspect.signature(EVASION[name]).parameters
            assert facts.options == {"steps", "restarts", "version", "precision"} & set(constructor), name
    for modality, name in DEFAULT_ATTACK.items():
        assert ATTACKS[name].modality == modality
        assert DEFAULT_NORM[modality] in ATTACKS[name].norms


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"eps": 0.1, "attack": "pgdd"}, "did you mean 'pgd'"),
        ({"eps": 0.1, "attack": "fgsm", "steps": 5}, "no option 'steps'"),
        ({"eps": 0.1, "attack": "cw", "norm": "linf"}, "knows the norms l2 only"),
        ({"eps": -0.1}, "-0.1 is no radius: give eps > 0"),
        ({"eps": [0, 0.1]}, "0 is no radius"),
        ({"eps": 0.1, "attack": "pgd", "version": "screen"}, "'version' .got 'screen'.*autoattack"),
        ({"eps": 0.1, "attack": "table", "precision": "bf16"}, "no option 'precision'"),
        ({"eps": 0.1, "attack": "autoattack", "version": "quick"}, "'standard', 'plus', 'rand' or 'screen'"),
        ({"eps": 0.1, "attack": "transfer"}, "needs a `surrogate`"),
        ({"eps": 0.1, "budget": 0}, "greater than or equal to 1"),
        ({"eps": [0.1, 0.1]}, "same radius twice"),
        ({"eps": "8/0"}, "8/255"),
        ({}, "eps"),
        ({"eps": 0.1, "stepz": 3}, "stepz"),
    ],
)
def test_a_wrong_option_is_refused_with_a_reason(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        options(**given)


def test_an_attack_on_another_modality_is_refused(make_subject: Any) -> None:
    subject = make_subject(Linear(WEIGHT), linear_images(WEIGHT, 60))
    with pytest.raises(CapabilityError, match="for text inputs"):
        Evasion().tasks(subject, options(eps=0.1, attack="characters"))
