"""What the values of label and prediction columns mean: classes, and which of them is positive.

Values may be words, truth values, whole numbers or floats that are whole. The same class must be written
alike in both columns (1, 1.0 and "1" are alike, so are true and "True"). Of two classes the positive one is
known where the pair says it (0 and 1, no and yes, …) and must be named where it does not: a guess would
turn every rate around.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from raiaudit.errors import DataError, UnknownNameError, UsageError

__all__ = ["MOST_CLASSES", "Vocabulary", "class_name", "is_fraction", "vocabulary"]

MOST_CLASSES = 100

_MISSING = frozenset({"", "na", "n/a", "nan", "null", "<na>"})
_WHOLE = re.compile(r"([+-]?\d+)\.0*")
_PAIRS = (("0", "1"), ("false", "true"), ("no", "yes"), ("n", "y"), ("negative", "positive"), ("-1", "1"))


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """`classes` in order; `positive` indexes the one rates count, None where there are more than two and
    none was named; `index_of` gives the class of a name from `class_name`, in either column.
    """

    classes: tuple[str, ...]
    positive: int | None
    index_of: Callable[[str], int]


def class_name(value: object) -> str | None:
    """One way to write a value of a label or prediction; None where it is missing."""
    if value is None or value != value:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value).strip()
    if text.lower() in _MISSING:
        return None
    if text.lower() in ("true", "false"):
        return text.lower()
    whole = _WHOLE.fullmatch(text)
    return whole[1] if whole else text


def is_fraction(name: str) -> bool:
    """Whether a class is called 0.73, which is rather a score."""
    try:
        return not float(name).is_integer()
    except (ValueError, OverflowError):
        return False


def vocabulary(
    labels: Iterable[str] | None, predictions: Iterable[str] | None, positive: Sequence[str], *, where: str
) -> Vocabulary:
    """The classes of both columns; None for a column there is not. Predictions made from scores have none.

    Raises `UsageError` kinds where the columns do not speak of the same classes.
    """
    columns = [set(found) for found in (labels, predictions) if found is not None]
    spoken = _as_numbers(columns)
    names = set().union(*columns)
    wished = [_spelled(name, spoken) for name in positive]
    if len(names) <= 2 and len(wished) <= 1:
        return _two(names, wished[0] if wished else None, spoken, where, scored=predictions is None)
    if len(columns) == 2 and (len(wished) > 1 or _disagree(*columns)):
        return _translated(columns[0], columns[1], wished, spoken, where)
    if len(names) > MOST_CLASSES:
        raise DataError(f"{len(names):,} classes are more than {MOST_CLASSES}", where=where, remedy=_RIGHT)
    if predictions is None and len(names) > 2:
        raise UsageError(
            f"a threshold on scores makes two classes, and the labels have {len(names)}: {_listed(names)}",
            where=where,
            remedy="name the column of predictions: --pred",
        )
    classes = tuple(sorted(names, key=_order))
    for name in wished:
        if name not in classes:
            raise UnknownNameError("class", name, classes, where="--positive")
    return Vocabulary(classes, classes.index(wished[0]) if wished else None, classes.index)


_RIGHT = "check that --label and --pred name columns of classes, not of ids, texts or scores"


def _two(
    names: set[str], positive: str | None, spoken: dict[str, str], where: str, *, scored: bool
) -> Vocabulary:
    """Both of two classes may occur, or one, or (scores without labels) none."""
    if not names and scored:
        names = {"0", "1"}
    lower = {name.lower() for name in names}
    known = next((p for p in _PAIRS if lower <= set(p) and len(lower) == len(names)), None)
    other = ""
    if positive is not None:
        if len(names) == 2 and positive not in names:
            raise UnknownNameError("class", positive, names, where="--positive")
        partner = known[1 - known.index(positive.lower())] if known and positive.lower() in known else None
        other = next(iter(names - {positive}), partner or f"not {positive}")
    elif known is not None:
        other, positive = (next((n for n in names if n.lower() == word), word) for word in known)
    else:
        raise UsageError(
            f"which class do rates count? The file has {_listed(names)}",
            where=where,
            remedy="name it: " + " or ".join(f"--positive {name}" for name in sorted(names)),
        )
    classes = (other, positive)
    return Vocabulary(classes, 1, lambda name: classes.index(spoken.get(name, name)))


def _disagree(labels: set[str], predictions: set[str]) -> bool:
    """Whether the columns cannot mean the same classes: none shared, or two against two others."""
    if labels <= predictions or predictions <= labels:
        return False
    return not labels & predictions or min(len(labels), len(predictions)) <= 2


def _translated(
    labels: set[str], predictions: set[str], positive: Sequence[str], spoken: dict[str, str], where: str
) -> Vocabulary:
    """Two classes that each column writes in its own words, each positive one named."""
    wished = set(positive)
    for name in wished - labels - predictions:
        raise UnknownNameError("class", name, labels | predictions, where="--positive")
    sides = [(found & wished, found - wished) for found in (labels, predictions)]
    if not wished or any(len(yes) > 1 or len(no) > 1 for yes, no in sides):
        raise DataError(
            f"labels are {_listed(labels)} and predictions are {_listed(predictions)}: not the same classes",
            where=where,
            remedy="write both alike in the file"
            + (
                "; or name the positive class of each: --positive WORD --positive WORD"
                if max(len(labels), len(predictions)) <= 2
                else ""
            ),
        )
    yes = next((name for found, _ in sides for name in sorted(found)), positive[0])
    no = next((name for _, found in sides for name in sorted(found)), f"not {yes}")
    return Vocabulary((no, yes), 1, lambda name: int(spoken.get(name, name) in wished))


def _as_numbers(columns: Sequence[set[str]]) -> dict[str, str]:
    """Where truth values stand beside 0 and 1, true means 1: changed in place, and told."""
    digits, words = {"0", "1"}, {"false": "0", "true": "1"}
    names = set().union(*columns)
    if not names <= digits | set(words) or not names & digits:
        return {}
    for found in columns:
        found.update([words[name] for name in found & set(words)])
        found.difference_update(words)
    return words


def _spelled(name: str, spoken: dict[str, str]) -> str:
    found = class_name(name) or name
    return spoken.get(found, found)


def _order(name: str) -> tuple[bool, float, str]:
    """Numbers by value, before words."""
    try:
        return False, float(name), name
    except ValueError:
        return True, 0.0, name


def _listed(names: Iterable[str]) -> str:
    shown = sorted(names, key=_order)
    more = f" and {len(shown) - 6} more" if len(shown) > 6 else ""
    return ", ".join(repr(name[:40]) for name in shown[:6]) + more
