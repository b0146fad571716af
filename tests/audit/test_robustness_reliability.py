"""Planted defects are flagged, honest models are not, and a flag keeps a gate from passing.

The trained models are small networks on the embedded digits, one plain and one trained against PGD; every
defect is put around the plain one, so that nothing but the defect tells them apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from raiaudit.attacks.evasion.images.pgd import PGD, perturb
from raiaudit.attacks.spaces import Column, TableSchema
from raiaudit.attacks.threats import ThreatModel
from raiaudit.audit.catalogue import CHECKS
from raiaudit.audit.gates import Gate
from raiaudit.audit.judgement import judge
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.plan import PlannedCheck
from raiaudit.audit.robustness.evasion import Evasion, EvasionConfig
from raiaudit.audit.robustness.evasion_parts import ROBUSTNESS_METRICS
from raiaudit.audit.robustness.reliability import Reliability, ReliabilityConfig
from raiaudit.audit.robustness.reliability_flags import FLAGS
from raiaudit.audit.robustness.reliability_sample import Sample
from raiaudit.audit.robustness.reliability_summary import findings, measurements
from raiaudit.audit.spec import Policy
from raiaudit.errors import UsageError
from raiaudit.models.architectures.classifier import Classifier
from raiaudit.models.data.dataset import Dataset, Split
from raiaudit.models.data.digits import digits

EPS = 0.15
QUICK: dict[str, Any] = {"eps": EPS, "steps": 20, "queries": 150}

# the flags alone ----------------------------------------------------------------------------------------

N = 64


def sound(**planted: Any) -> Sample:
    """A sample in which nothing is wrong, but for what is planted: {column: how many of its rows}."""
    no = np.zeros(N, dtype=bool)
    names = (
        "clean pgd one_step doubled rescaled scale_free black_box transfer silent invalid probabilities "
        "differs neighbours changes optimises plateau eps_0.5 eps_2 eps_4"
    )
    columns: dict[str, Any] = {name: no.copy() for name in names.split()}
    columns |= {"box": ~no, "binarised": ~no, "evaluated": no.copy()}
    columns |= {"dead_gradients": np.zeros(N, dtype=int), "variation": np.zeros(N), "late_gain": np.zeros(N)}
    for name, count in planted.items():
        columns[name] = columns[name].copy()
        columns[name][:count] = not columns[name][0] if columns[name].dtype == bool else 1
    return Sample(columns, dict.fromkeys(columns, ~no), N)


def raised(sample: Sample) -> set[str]:
    return {finding.flag.name for finding in findings(sample) if finding.raised}


def test_a_sound_sample_raises_nothing() -> None:
    assert raised(sound()) == set()


@pytest.mark.parametrize(
    ("flag", "column", "others"),
    [
        ("zero_gradients", "dead_gradients", set()),
        ("probability_outputs", "probabilities", set()),
        ("saturated_logits", "rescaled", {"evaluation_beaten"}),
        ("random_answers", "differs", set()),
        ("adapting_answers", "neighbours", set()),
        ("adapting_answers", "changes", set()),
        ("adapting_answers", "optimises", set()),
        ("plateaus", "plateau", set()),
        ("unstable_answers", "variation", set()),
        ("black_box_wins", "black_box", {"evaluation_beaten"}),
        ("transfer_wins", "transfer", {"evaluation_beaten"}),
        ("one_step_wins", "one_step", {"evaluation_beaten"}),
        ("unbounded_attack_fails", "box", set()),
        ("not_monotone", "eps_4", set()),
        ("silent_success", "silent", set()),
        ("incomplete_optimisation", "doubled", {"evaluation_beaten"}),
        ("binarisation_fails", "binarised", set()),
        ("invalid_adversarials", "invalid", set()),
        ("evaluation_beaten", "scale_free", set()),
    ],
)
def test_each_flag_is_raised_by_its_own_column(flag: str, column: str, others: set[str]) -> None:
    planted = sound(**{column: N})
    if column == "eps_4":  # broken there, and not with the whole box
        planted = sound(eps_4=N, box=N)
        others = {"unbounded_attack_fails"}
    if column == "box":
        others = set()
    assert raised(planted) == {flag} | others


def test_every_flag_can_be_raised_and_cites_its_source() -> None:
    from raiaudit.audit.bibliography import BIBLIOGRAPHY

    assert {flag.method for flag in FLAGS} <= set(BIBLIOGRAPHY)
    assert len({flag.name for flag in FLAGS}) == len(FLAGS)


@pytest.mark.parametrize(
    ("column", "flag", "silent", "loud"),
    [
        ("black_box", "black_box_wins", 1, 2),  # one of 64: exact lower bound 0.04 %, two: 0.38 %
        ("differs", "random_answers", 0, 1),
        ("rescaled", "saturated_logits", 4, 5),  # 5 of 64: 2.6 %
    ],
)
def test_chance_raises_nothing_and_the_bound_decides(column: str, flag: str, silent: int, loud: int) -> None:
    assert flag not in raised(sound(**{column: silent}))
    assert flag in raised(sound(**{column: loud}))


def test_what_a_gradient_found_as_well_is_no_victory_of_the_black_box() -> None:
    assert "black_box_wins" not in raised(sound(black_box=N, scale_free=N))


def test_what_the_modality_lacks_is_not_asked_and_says_so() -> None:
    whole = sound()
    del whole.columns["plateau"]
    finding = next(f for f in findings(whole) if f.flag.name == "plateaus")
    assert finding.count is None
    assert "plateau" in finding.why
    found = {m.metric: m for m in measurements("c", whole, "linf", EPS)}
    assert found["plateaus"].value is None


def test_the_count_carries_the_doubt_and_the_remedies() -> None:
    clear, masked = (
        next(m for m in measurements("c", sample, "linf", EPS) if m.metric == "flags_raised")
        for sample in (sound(), sound(dead_gradients=N, black_box=40))
    )
    assert (clear.value, clear.doubts) == (0, ())
    assert (masked.value, masked.doubts) == (3, ROBUSTNESS_METRICS)
    assert masked.reason is not None
    assert "zero gradients (64 of 64)" in masked.reason
    assert "black-box search (Square) broke 40" in masked.reason


def test_a_doubt_without_a_reason_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a reason"):
        Measurement(check="c", metric="m", value=1, n=1, better="lower", method="m", doubts=("x",))


# gates --------------------------------------------------------------------------------------------------

EVASION = CHECKS["robustness.evasion"]
ROBUST = Gate(metric="robust_accuracy", min=0.5)


def robust(low: float, **more: Any) -> Measurement:
    facts: dict[str, Any] = {"check": EVASION.id, "metric": "robust_accuracy", "better": "higher", "n": 100}
    return Measurement(**{**facts, "value": low + 0.1, "low": low, "high": low + 0.2, "method": "m", **more})


def doubt(**more: Any) -> Measurement:
    facts: dict[str, Any] = {"metric": "flags_raised", "better": "lower", "n": 64, "unit": "flags"}
    facts |= {"value": 1, "reason": "zero gradients", "doubts": ROBUSTNESS_METRICS, "method": "m"}
    return Measurement(check="robustness.reliability", **{**facts, **more})


def decided(gate: Gate, *found: Measurement) -> tuple[str, str]:
    planned = PlannedCheck(EVASION, EvasionConfig(eps=(0.1,)), (gate,))
    run: Any = None
    (verdict,) = judge([planned], found, {}, Policy(), run, data_digest="d")
    return verdict.status, verdict.explanation


def test_a_flag_turns_the_pass_of_a_robust_accuracy_into_inconclusive() -> None:
    status, why = decided(ROBUST, robust(0.8), doubt())
    assert status == "inconclusive"
    assert "clears" in why
    assert "zero gradients" in why
    assert decided(ROBUST, robust(0.8))[0] == "pass"  # without the check all is as before
    assert decided(ROBUST, robust(0.8), doubt(value=0, reason=None, doubts=()))[0] == "pass"


def test_a_failure_stands_whatever_the_flags_say() -> None:
    assert decided(ROBUST, robust(0.1), doubt())[0] == "fail"


def test_metrics_that_an_attack_does_not_measure_are_not_doubted() -> None:
    accuracy = Gate(metric="clean_accuracy", min=0.5)
    assert decided(accuracy, robust(0.8, metric="clean_accuracy"), doubt())[0] == "pass"


@pytest.mark.parametrize("metric", ["robust_accuracy_difference", "attack_success_rate", "median_norm"])
def test_what_derives_from_the_attack_is_doubted_as_well(metric: str) -> None:
    gate = Gate(metric=metric, max=0.9)
    assert decided(gate, robust(0.3, metric=metric), doubt())[0] == "inconclusive"


# whole models -------------------------------------------------------------------------------------------


class Around(Classifier):
    """A network behind a change of its input or its logits."""

    architecture = "planted"
    modality = "image"

    def __init__(self, network: nn.Module, before: Any = None, after: Any = None) -> None:
        super().__init__()
        self.network, self.before, self.after, self.classes = network, before, after, 10

    def forward(self, inputs: Tensor) -> Tensor:
        x = self.before(inputs) if self.before else inputs
        logits: Tensor = self.network(x)
        return self.after(logits) if self.after else logits


def trained(seed: int, *, adversarial: bool) -> nn.Module:
    """Ten epochs on the digits; the adversarial one against PGD-4 at `EPS`."""
    split = digits().splits["train"]
    x_N, y_N = torch.tensor(split.inputs), torch.tensor(split.labels)
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Conv2d(1, 12, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(12, 24, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(24 * 16, 64),
            nn.ReLU(),
            nn.Linear(64, 10),
        )
    optimizer = torch.optim.Adam(network.parameters(), lr=4e-3)
    for _ in range(10):
        for index in torch.split(torch.randperm(len(x_N), generator=generator), 64):
            x, y = x_N[index], y_N[index]
            if adversarial:
                x = perturb(
                    network,
                    x,
                    y,
                    norm="linf",
                    eps=EPS,
                    step_size=EPS / 2,
                    steps=4,
                    low=0.0,
                    high=1.0,
                    generator=generator,
                )
            optimizer.zero_grad()
            functional.cross_entropy(network(x), y).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return network.eval()


@pytest.fixture(scope="module")
def plain() -> nn.Module:
    return trained(0, adversarial=False)


@pytest.fixture
def flags(make_subject: Any, run_check: Any) -> Callable[..., dict[str, Measurement]]:
    """model, **options → measurements by metric."""

    def measure(model: Classifier, **options: Any) -> dict[str, Measurement]:
        config = ReliabilityConfig.model_validate({**QUICK, **options})
        subject = make_subject(model.eval(), digits())
        ledger = run_check(Reliability(), subject, config)
        return {m.metric: m for m in Reliability().summarise(ledger, subject, config)}

    return measure


def loud(found: dict[str, Measurement]) -> set[str]:
    names = {flag.name for flag in FLAGS}
    return {m.metric for m in found.values() if m.metric in names and m.reason and m.value is not None}


def test_a_plainly_trained_model_raises_nothing(plain: nn.Module, flags: Any) -> None:
    found = flags(Around(plain))
    assert loud(found) == set()
    assert found["flags_raised"].doubts == ()
    assert found["accuracy_after_everything_tried"].value < 0.4


def test_an_adversarially_trained_model_raises_nothing(flags: Any) -> None:
    found = flags(Around(trained(0, adversarial=True)))
    assert loud(found) == set()
    assert found["accuracy_after_everything_tried"].value > 0.5


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("adversarial", [False, True])
def test_honest_models_of_other_seeds_raise_nothing(seed: int, adversarial: bool, flags: Any) -> None:
    model = Around(trained(seed, adversarial=adversarial))
    for options in ({"eps": 0.05}, {"eps": EPS, "steps": 40}, {"eps": 0.6, "norm": "l2"}):
        assert loud(flags(model, **options)) == set()


MASKS: dict[str, tuple[Any, Any, set[str]]] = {
    "quantised": (lambda x: (x * 4).round() / 4, None, {"plateaus", "zero_gradients", "black_box_wins"}),
    "a step": (lambda x: (x > 0.5).float(), None, {"plateaus", "zero_gradients", "black_box_wins"}),
    "detached": (Tensor.detach, None, {"zero_gradients", "black_box_wins", "unbounded_attack_fails"}),
    "shattered": (
        lambda x: x + 0.02 * torch.sin(1e4 * x),
        None,
        {"black_box_wins", "transfer_wins", "binarisation_fails"},
    ),
    "steep sigmoid": (lambda x: torch.sigmoid(200 * (x - 0.5)), None, {"binarisation_fails"}),
    "random": (lambda x: x + 0.1 * torch.randn_like(x), None, {"random_answers", "invalid_adversarials"}),
    "saturated": (None, lambda logits: 1e4 * logits, {"zero_gradients", "saturated_logits"}),
    "softmax": (None, lambda logits: logits.softmax(1), {"probability_outputs"}),
}


@pytest.mark.parametrize("name", MASKS)
def test_a_masked_model_is_doubted(name: str, plain: nn.Module, flags: Any) -> None:
    before, after, expected = MASKS[name]
    found = flags(Around(plain, before, after))
    assert expected <= loud(found)
    count = found["flags_raised"]
    assert count.doubts == ROBUSTNESS_METRICS
    assert "left standing" in count.reason
    robust_claim = robust(0.9)
    assert decided(ROBUST, robust_claim, count)[0] == "inconclusive"


def test_remedies_show_what_the_mask_hid(plain: nn.Module, flags: Any) -> None:
    """Saturation hides nothing from rescaled logits: no more is left than plain PGD leaves without it."""
    found = flags(Around(plain, after=lambda logits: 1e4 * logits))
    test = digits().splits["test"].take(slice(64))
    bare = PGD(steps=20)(
        plain,
        torch.tensor(test.inputs),
        torch.tensor(test.labels),
        ThreatModel("linf", EPS),
        space=digits().space,
        seed=0,
    )
    assert found["accuracy_after_everything_tried"].value <= float((~bare.broken_B).float().mean()) + 1 / 64


def test_a_weak_evaluation_is_beaten(plain: nn.Module, make_subject: Any, run_check: Any) -> None:
    """Five queries break little of what PGD breaks: the flag is about the evaluation, not the model."""
    subject = make_subject(Around(plain).eval(), digits())
    ledger = run_check(Reliability(), subject, ReliabilityConfig(**QUICK))
    weak = EvasionConfig(eps=(EPS,), attack="square", steps=5, examples=64)
    for task in Evasion().tasks(subject, weak):
        ledger.append(task, "0" * 64, Evasion().execute(task, subject))
    config = ReliabilityConfig(**QUICK)
    found = {m.metric: m for m in Reliability().summarise(ledger, subject, config)}
    assert loud(found) == {"evaluation_beaten"}
    gate = Gate(metric="robust_accuracy", min=0.01)
    claims = Evasion().summarise(ledger, subject, weak)
    assert decided(gate, *claims)[0] == "pass"
    assert decided(gate, *claims, *found.values())[0] == "inconclusive"


def test_an_adversarial_input_that_the_ledger_shows_out_of_bounds_is_found(
    plain: nn.Module, make_subject: Any, run_check: Any
) -> None:
    subject, config = make_subject(Around(plain).eval(), digits()), ReliabilityConfig(**QUICK, examples=8)
    ledger = run_check(Reliability(), subject, config)
    table = Reliability().evidence(ledger, subject, config)["flags"]
    assert table["flag"].to_list() == [flag.name for flag in FLAGS]
    assert table.filter(flag="evaluation_beaten")["share"].to_list() == [None]  # no evaluation ran yet
    assert not table["raised"].any()

    honest = EvasionConfig(eps=(EPS,), steps=20, examples=16)
    (task,) = Evasion().tasks(subject, honest)
    frame = Evasion().execute(task, subject)
    kept = f"evasion.linf-{EPS:g}-pgd.adversarial"
    shown = frame.drop_nulls(kept)["example_id"][0]
    far = [None if row is None else [*row[:-1], row[-1] + 0.5] for row in frame[kept].to_list()]
    lie = frame.with_columns(
        pl.when(example_id=shown)
        .then(pl.Series(kept, far, dtype=frame[kept].dtype))
        .otherwise(kept)
        .alias(kept)
    )
    for content, expected in ((frame, 0), (lie, 1)):
        for shard in ledger.root.glob("robustness.evasion/*.parquet"):
            shard.unlink()
        ledger.append(task, "0" * 64, content)
        found = {m.metric: m for m in Reliability().summarise(ledger, subject, config)}
        assert found["invalid_adversarials"].value == expected / 8


class Row(Classifier):
    """Two logits from the first column of a row; or from that and chance."""

    architecture = "planted"
    modality = "tabular"

    def __init__(self, *, random: bool) -> None:
        super().__init__()
        self.random, self.classes = random, 2

    def forward(self, inputs: Tensor) -> Tensor:
        score = inputs[:, 0] - 0.5 + (torch.randn(len(inputs)) if self.random else 0)
        return torch.stack([-score, score], dim=1)


@pytest.mark.parametrize("random", [False, True])
def test_a_table_is_asked_what_makes_sense_for_it(random: bool, make_subject: Any, run_check: Any) -> None:
    rng = np.random.default_rng(0)
    rows = rng.uniform(size=(40, 2)).astype(np.float32)
    split = Split(pl.Series([f"r{i:02d}" for i in range(40)]), rows, (rows[:, 0] > 0.5).astype(np.int64))
    schema = TableSchema((Column("a", "real"), Column("b", "real")))
    dataset = Dataset("rows", "tabular", ("no", "yes"), schema, {"test": split}, digest="0")
    subject, config = make_subject(Row(random=random), dataset), ReliabilityConfig(eps=0.2, examples=40)
    found = {
        m.metric: m
        for m in Reliability().summarise(run_check(Reliability(), subject, config), subject, config)
    }
    assert loud(found) >= {"random_answers"} if random else loud(found) == set()
    assert bool(found["flags_raised"].doubts) is random
    assert found["zero_gradients"].value is None
    assert found["not_monotone"].value is not None
    assert found["probability_outputs"].value == 0
    if not random:  # a row moves by a fifth of the range at most
        robust_share = float((np.abs(rows[:, 0] - 0.5) > 0.2).mean())
        assert found["accuracy_after_everything_tried"].value == pytest.approx(robust_share)


def test_a_norm_that_the_diagnostics_lack_is_refused(plain: nn.Module, make_subject: Any) -> None:
    subject = make_subject(Around(plain).eval(), digits())
    with pytest.raises(UsageError, match="l1"):
        Reliability().tasks(subject, ReliabilityConfig(eps=1.0, norm="l1"))
