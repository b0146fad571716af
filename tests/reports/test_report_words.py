"""Numbers, names, colours and catalogues that every document shares."""

from typing import Any

import pytest

from raiaudit.audit.gates import Gate
from raiaudit.audit.measurement import Measurement
from raiaudit.reports.theme import VERDICTS
from raiaudit.reports.words.catalogues import limits, mapping, not_tested
from raiaudit.reports.words.printable import Printable
from raiaudit.reports.words.wording import interval, metric_title, quantity, slice_text, threshold, value

CHECKS = frozenset(
    {
        "performance.accuracy",
        "robustness.evasion",
        "robustness.corruption",
        "robustness.character_noise",
        "privacy.membership",
        "privacy.accounting",
        "fairness.groups",
        "explanations.attribution",
        "reliability.calibration",
    }
)


def m(metric: str, number: float | None, **more: Any) -> Measurement:
    reason = None if number is not None else "too few examples"
    return Measurement(
        check="c", metric=metric, value=number, n=10, better="higher", method="m", reason=reason, **more
    )


@pytest.mark.parametrize(
    ("measurement", "shown"),
    [
        (m("accuracy", 0.98649, low=0.97, high=0.995), "98.6 % [97.0, 99.5]"),
        (m("accuracy", 1.0), "100.0 %"),
        (m("tpr_at_fpr", 0.0004, low=0.0, high=0.00123), "0.04 % [0.0, 0.1]"),
        (m("membership_auc", 0.5734, low=0.55, high=0.6), "0.573 [0.550, 0.600]"),
        (m("epsilon", 7.912), "7.91"),
        (m("impact_ratio", 0.8), "0.800"),
        (m("log_loss", 0.0514, unit="nats"), "0.051 nats"),
        (m("forward_passes", 41.25, unit="passes per example"), "41.2 passes per example"),
        (m("accuracy", None), "not defined: too few examples"),
    ],
)
def test_numbers(measurement: Measurement, shown: str) -> None:
    assert quantity(measurement) == shown


def test_a_value_without_an_interval_has_no_brackets() -> None:
    assert interval(m("accuracy", 0.5)) == ""
    assert value(m("accuracy", 0.5)) == "50.0 %"


def test_a_threshold_is_in_the_unit_of_what_it_bounds() -> None:
    assert threshold(Gate(metric="accuracy", min=0.95), m("accuracy", 0.9)) == "≥ 95.0 %"
    assert threshold(Gate(metric="x", min=0.8, max=1.25), m("impact_ratio", 0.9)) == "in [0.8, 1.25]"
    assert threshold(Gate(metric="accuracy", max=0.5), None) == "≤ 0.5"


@pytest.mark.parametrize(
    ("number", "shown"), [(0.0, "0 people"), (1.0, "1 person"), (1200.0, "1\u202f200 people")]
)
def test_what_is_counted_is_whole_and_one_is_one(number: float, shown: str) -> None:
    assert quantity(m("unknown_people", number, unit="people")) == shown


def test_names() -> None:
    assert metric_title("false_positive_rate") == "False positive rate"
    assert metric_title("tpr_at_fpr") == "TPR at fixed FPR"
    assert slice_text({"eps": 8 / 255, "attack": "pgd"}) == "ε = 0.03137, attack = pgd"
    by_group = {"attribute": "sex", "group": "Female", "reference": "Male"}
    assert slice_text(by_group) == "sex = Female, reference = Male"


def test_verdict_colours_can_be_read_and_do_not_stand_alone() -> None:
    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for look in VERDICTS.values():
        contrast = (luminance(look.tint) + 0.05) / (luminance(look.colour) + 0.05)
        assert contrast >= 4.5  # WCAG 2.2, 1.4.3
    assert len({look.symbol for look in VERDICTS.values()}) == len(VERDICTS)


def test_every_reference_of_the_mapping_has_a_text() -> None:
    found = mapping(CHECKS)
    known = {key for key, _ in found["references"]}
    used = {cell for row in found["rows"] for cells in row["cells"] for cell in cells}
    assert used == known
    assert len(found["frameworks"]) == 3
    assert all(framework["source"].startswith("https://") for framework in found["frameworks"])


def test_every_check_of_ours_is_mapped_and_has_limits() -> None:
    for check in CHECKS:
        assert limits(check), check
    without = {check: not_tested(CHECKS - {check}) for check in CHECKS}
    assert all(len(gaps) == len(not_tested(CHECKS)) + 1 for gaps in without.values())


def test_fonts_are_asked_once_and_only_about_doubtful_characters() -> None:
    asked: list[frozenset[str]] = []

    def lacking(chars: frozenset[str]) -> frozenset[str]:
        asked.append(chars)
        return frozenset("漢")

    printable = Printable(["plain", {"key": ["naïve 漢 ∂", "a\x00"]}], lacking)
    assert asked == [frozenset("漢∂")]
    assert printable.everything({"a": ["漢∂\x00", 1, None]}) == {"a": ["[U+6F22]∂[U+0000]", 1, None]}


def test_plain_texts_ask_nothing() -> None:
    def fail(chars: frozenset[str]) -> frozenset[str]:
        raise AssertionError(chars)

    assert Printable(["ε ≥ 0.5, naïve"], fail).text("ε ≥ 0.5") == "ε ≥ 0.5"


def test_long_words_get_places_to_break_and_lose_nothing() -> None:
    word = "x" * 200
    shown = Printable([], lambda chars: chars).text(word)
    assert max(len(part) for part in shown.split("\u200b")) <= 20
    assert shown.replace("\u200b", "") == word
