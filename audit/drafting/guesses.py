"""What the columns of a table mean, guessed from their names and what they hold; every guess says why.

A label is never guessed from values alone: where no column is called like one, the caller is asked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from raiaudit.audit.drafting.column_names import GROUPS, IDS, LABELS, TEXTS
from raiaudit.audit.drafting.column_names import SPLITS as SPLIT_NAMES
from raiaudit.errors import UsageError
from raiaudit.models.data.user import SPLITS
from raiaudit.models.data.user_files import require_columns

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from raiaudit.audit.drafting.table_head import ColumnFacts, TableHead

__all__ = ["MOST_GROUPS", "Guess", "Overrides", "Roles", "called", "guess_roles", "printable"]

MOST_GROUPS = 20  # levels of a group column; the loader compares up to 100
_MOST_CLASSES = 50  # of a label that is guessed; one that is named may have 1,000
_MOST_LEVELS = 100  # of a category, as the loader has it
_MOSTLY = 0.9  # share of numbers from which a cell that is none is taken for a mistake by the loader
_LONG = 5.0  # words of a text, on the mean
_LISTED = 8


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the user said about the columns; None: guess."""

    label: str | None = None
    groups: tuple[str, ...] | None = None
    id: str | None = None
    text: str | None = None

    def named(self) -> tuple[str, ...]:
        """All columns that are mentioned."""
        single = [name for name in (self.label, self.id, self.text) if name is not None]
        return (*single, *(self.groups or ()))


@dataclass(frozen=True, slots=True)
class Guess:
    """One line of what was guessed: `value` as shown to people, `why`, and the option that changes it."""

    what: str
    value: str
    why: str
    change: str


@dataclass(frozen=True, slots=True)
class Roles:
    """What each column is. `left_out` gives the reason for every column that is no feature."""

    label: str
    id: str | None
    groups: tuple[str, ...]
    text: str | None
    split: str | None
    features: tuple[str, ...]
    categorical: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    guesses: tuple[Guess, ...] = ()


def printable(name: str, most: int = 60) -> str:
    """A name from outside as one short line that can stand in a terminal or a comment."""
    shown = name if len(name) <= most else f"{name[:most]}…"
    return "".join(c if c.isprintable() else "·" for c in shown)


def guess_roles(head: TableHead, said: Overrides) -> Roles:
    """The roles of all columns. Raises `DataError` for a column that is not there, `UsageError` where no
    column is obviously the label.
    """
    require_columns(head.names, said.named(), str(head.path))
    guesses = list(_guesses(head, said))
    chosen = {guess.what: name for guess, name in guesses}
    groups = tuple(name for guess, name in guesses if guess.what == "group")
    label, key, text, split = (chosen.get(what) for what in ("label", "id", "text", "split"))
    assert label is not None
    taken = {label, key, text, split, *groups}
    others = [column for column in head.columns if column.name not in taken]
    left_out: dict[str, str] = {}
    categorical: dict[str, str] = {}
    for column in [*others, *(head[name] for name in groups)]:
        if text is not None:
            continue  # the text is the input: no other column is a feature
        if (reason := _unfit(column)) is None:
            continue
        if column.encodable and column.filled and column.distinct < _MOST_LEVELS and not column.dates:
            categorical[column.name] = reason
        else:
            left_out[column.name] = reason
    for column in others if text is None else ():
        if column.name in left_out or column.name in categorical:
            continue
        if column.distinct == 1:
            left_out[column.name] = "the same in every row"
        elif called(column.name, IDS) or (column.name.lower().endswith("_id") and column.distinct > 20):
            left_out[column.name] = "names rows rather than describes them"
        elif column.counts and len(others) + len(groups) > 1:
            left_out[column.name] = "counts the rows"
    if text is None and (long := [c for c in others if c.words >= _LONG and c.name in left_out]):
        left_out[long[0].name] = f"long texts; --text {printable(long[0].name)} audits these instead"
    features = (
        () if text else tuple(c.name for c in (*others, *(head[g] for g in groups)) if c.name not in left_out)
    )
    if text is None and not features:
        raise UsageError(
            "no column is left as a feature",
            where=str(head.path),
            remedy="; ".join(f"{printable(k)}: {v}" for k, v in list(left_out.items())[:_LISTED]) or None,
        )
    shown = tuple(guess for guess, _ in guesses)
    return Roles(label, key, groups, text, split, features, categorical, left_out, shown)


def _guesses(head: TableHead, said: Overrides) -> Iterator[tuple[Guess, str]]:
    label, why = _label(head, said)
    yield Guess("label", printable(label), f"{why}; {_spread(head[label])}", "--label COLUMN"), label
    if (found := _id(head, said, label)) is not None:
        yield Guess("id", printable(found[0]), found[1], "--id COLUMN"), found[0]
    if (found := _split(head, {label})) is not None:
        yield Guess("split", printable(found[0]), found[1], "`split:` in the spec"), found[0]
    if (found := _text(head, said, label)) is not None:
        yield Guess("text", printable(found[0]), found[1], "--text COLUMN"), found[0]
    for name, why in _groups(head, said, label):
        yield Guess("group", printable(name), why, "--groups A,B"), name


def _label(head: TableHead, said: Overrides) -> tuple[str, str]:
    if said.label is not None:
        return said.label, "you said so"
    fit = [c for c in head.columns if 2 <= c.distinct <= _MOST_CLASSES and not _fraction(c)]
    named = sorted((c for c in fit if called(c.name, LABELS)), key=lambda c: LABELS.index(_normal(c.name)))
    if named:
        others = [printable(c.name) for c in named[1:]]
        return named[0].name, "by its name" + (f" (also possible: {', '.join(others)})" if others else "")
    candidates = [c for c in fit if not called(c.name, GROUPS) and c.words < _LONG]
    likely = sorted(candidates, key=lambda c: (c.distinct, -head.names.index(c.name)))[:_LISTED]
    listed = ", ".join(f"{printable(c.name)} ({c.distinct} values)" for c in likely)
    raise UsageError(
        "no column is obviously the label: what is the model to predict?",
        where=str(head.path),
        remedy="name it with --label COLUMN"
        + (f"; columns with few values: {listed}" if listed else "; no column has 2 to 50 values"),
    )


def _id(head: TableHead, said: Overrides, label: str) -> tuple[str, str] | None:
    if said.id is not None:
        return said.id, "you said so"
    for column in head.columns:
        alike = called(column.name, IDS) or _normal(column.name).endswith("_id")
        if alike and column.is_key and column.name != label:
            return column.name, "by its name, and no value stands twice"
    first = head.columns[0]
    word = first.numeric == 0 and first.words <= 1
    if first.is_key and word and first.name != label and len(head.columns) > 2:
        return first.name, "the first column: a word a row, and none stands twice"
    return None


def _split(head: TableHead, taken: set[str]) -> tuple[str, str] | None:
    for column in head.columns:
        values = {level for level, _ in column.levels}
        alike = column.name not in taken and called(column.name, SPLIT_NAMES) and not column.empty
        if alike and {"train", "test"} <= values <= set(SPLITS):
            return column.name, f"by its name; it says {', '.join(sorted(values))}"
    return None


def _text(head: TableHead, said: Overrides, label: str) -> tuple[str, str] | None:
    if said.text is not None:
        return said.text, "you said so"
    long = [
        c
        for c in head.columns
        if c.name not in (label, said.id)
        and not called(c.name, GROUPS)
        and c.numeric < _MOSTLY
        and not c.empty
        and (c.words >= _LONG or (called(c.name, TEXTS) and c.distinct > _MOST_LEVELS))
        and c.distinct > c.rows / 2
    ]
    long.sort(key=lambda c: (not called(c.name, TEXTS), -c.words))
    if not long:
        return None
    rest = [c for c in head.columns if c.name not in (label, long[0].name) and not c.is_key]
    described = sum(not called(c.name, (*GROUPS, *SPLIT_NAMES)) for c in rest)
    if called(long[0].name, TEXTS) or described <= 2:
        return long[0].name, f"{long[0].words:.0f} words a row on the mean; no other column is an input"
    return None


def _groups(head: TableHead, said: Overrides, label: str) -> list[tuple[str, str]]:
    if said.groups is not None:
        return [(name, f"you said so; {_spread(head[name])}") for name in said.groups]
    return [
        (column.name, f"by its name; {_spread(column)}")
        for column in head.columns
        if column.name != label
        and called(column.name, GROUPS)
        and 2 <= column.distinct <= MOST_GROUPS
        and column.encodable
    ]


def _unfit(column: ColumnFacts) -> str | None:
    """Why the loader would not take the column as it is."""
    if not column.encodable:
        return "dates, lists and bytes are neither numbers nor categories"
    if not column.filled:
        return "empty in every row"
    if column.dates:
        return "dates; a number that says what matters of them (a year, days since …) would be a feature"
    if column.numeric == 1.0 and column.empty:
        return f"empty in {column.empty:,} of {column.rows:,} rows: fill them to use it as a number"
    if _MOSTLY < column.numeric < 1.0:
        odd = next(level for level, _ in column.levels if not _number(level)) if column.levels else ""
        return f"numbers but for cells like {printable(odd, 20)!r}: correct those to use it as a number"
    if column.numeric < 1.0 and column.distinct >= _MOST_LEVELS:
        return f"{column.distinct:,} different texts; a category has at most {_MOST_LEVELS}"
    return None


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _fraction(column: ColumnFacts) -> bool:
    return column.numeric == 1.0 and not column.whole


def _spread(column: ColumnFacts) -> str:
    if not column.levels:
        return "no values"
    level, count = column.levels[0]
    share = f"{count / max(1, column.filled):.0%}"
    return f"{column.distinct} values, the commonest {printable(level, 30)!r} ({share})"


def _normal(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def called(name: str, names: Collection[str]) -> bool:
    """Whether a column's name, in lower case and without its punctuation, is one of these."""
    return len(name) <= 40 and _normal(name) in names
