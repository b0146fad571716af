"""What values of label and prediction columns mean: alike, known pairs, disagreements, and never a guess."""

from __future__ import annotations

import pytest

from raiaudit.audit.fairness.predictions.vocabulary import class_name, vocabulary
from raiaudit.errors import DataError, UnknownNameError, UsageError


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ((1, 1.0, "1", "1.0", " 1 ", "1."), "1"),
        ((True, "True", "TRUE", "true"), "true"),
        ((None, float("nan"), "", "  ", "NA", "n/a", "NaN", "null", "<NA>"), None),
        (("none",), "none"),  # a class of its own in medicine
        (("-1.00", -1), "-1"),
        (("0.5", 0.5), "0.5"),
    ],
)
def test_one_way_to_write_a_class(values: tuple[object, ...], name: str | None) -> None:
    assert {class_name(value) for value in values} == {name}


@pytest.mark.parametrize(
    ("labels", "predictions", "positive", "classes", "index"),
    [
        ({"0", "1"}, {"0", "1"}, [], ("0", "1"), 1),
        ({"0", "1"}, {"0"}, [], ("0", "1"), 1),  # a model that always says no
        ({"1"}, {"1"}, [], ("0", "1"), 1),
        ({"No", "Yes"}, {"No", "Yes"}, [], ("No", "Yes"), 1),
        ({"-1", "1"}, {"-1", "1"}, [], ("-1", "1"), 1),
        ({"0", "1"}, {"0", "1"}, ["0"], ("1", "0"), 1),
        ({"bad", "good"}, {"bad", "good"}, ["bad"], ("good", "bad"), 1),
        ({"denied"}, {"denied"}, ["granted"], ("denied", "granted"), 1),
        ({"0", "1"}, None, [], ("0", "1"), 1),
        (None, {"0", "1"}, [], ("0", "1"), 1),
        (None, None, [], ("0", "1"), 1),  # scores alone
        ({"10", "9", "2"}, {"10", "2"}, [], ("2", "9", "10"), None),
        ({"a", "b", "c"}, {"a", "b"}, ["b"], ("a", "b", "c"), 1),
    ],
)
def test_classes_and_the_positive_one(
    labels: set[str] | None,
    predictions: set[str] | None,
    positive: list[str],
    classes: tuple[str, ...],
    index: int | None,
) -> None:
    found = vocabulary(labels, predictions, positive, where="f")
    assert (found.classes, found.positive) == (classes, index)
    for name in (labels or set()) | (predictions or set()):
        assert found.classes[found.index_of(name)] == name


def test_true_is_one_where_the_other_column_has_digits() -> None:
    found = vocabulary({"false", "true"}, {"0", "1"}, [], where="f")
    assert found.classes == ("0", "1")
    assert [found.index_of(name) for name in ("false", "0", "true", "1")] == [0, 0, 1, 1]


def test_two_words_for_one_class_must_both_be_named() -> None:
    with pytest.raises(DataError, match="not the same classes") as told:
        vocabulary({"no", "yes"}, {"0", "1"}, [], where="f")
    assert "--positive" in str(told.value)
    found = vocabulary({"no", "yes"}, {"0", "1"}, ["yes", "1"], where="f")
    assert found.classes == ("no", "yes")
    assert [found.index_of(name) for name in ("no", "0", "yes", "1")] == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("labels", "predictions"),
    [({"yes", "no"}, {"Yes", "No"}), ({"0", "1"}, {"1", "2"}), ({"a", "b", "c"}, {"0", "1", "2"})],
)
def test_other_classes_are_not_counted_as_more_classes(labels: set[str], predictions: set[str]) -> None:
    with pytest.raises(DataError, match="not the same classes"):
        vocabulary(labels, predictions, [], where="f")


def test_the_positive_class_is_asked_for_not_guessed() -> None:
    with pytest.raises(UsageError, match="which class do rates count"):
        vocabulary({"approved", "denied"}, {"approved", "denied"}, [], where="f")
    with pytest.raises(UsageError, match="which class do rates count"):
        vocabulary({"Yes", "yes"}, {"yes"}, [], where="f")  # one word twice is no pair
    with pytest.raises(UnknownNameError, match="granted"):
        vocabulary({"approved", "denied"}, {"denied"}, ["granted"], where="f")


def test_a_threshold_makes_two_classes() -> None:
    with pytest.raises(UsageError, match="--pred"):
        vocabulary({"a", "b", "c"}, None, [], where="f")


def test_more_than_a_hundred_classes_are_a_mistake() -> None:
    names = {str(number) for number in range(101)}
    with pytest.raises(DataError, match="101 classes"):
        vocabulary(names, names, [], where="f")
