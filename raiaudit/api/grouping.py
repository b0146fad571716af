"""Compare how groups of people are treated, by arrays of your own: no model, no spec.

```python
import numpy as np

import raiaudit

rng = np.random.default_rng(0)
sex = rng.choice(["f", "m"], 1000)
repaid = rng.random(1000) < 0.5
granted = rng.random(1000) < np.where(sex == "f", 0.4, 0.6)

for measured in raiaudit.compare_groups({"sex": sex}, granted, repaid):
    if measured.metric == "demographic_parity_difference":
        print(measured.value, [measured.low, measured.high])
```

Rates of each group, their gaps, the widest gap and the smallest ratio with simultaneous intervals, and tests.
What each means and does not mean: [fairness](../fairness.md). Of a file, with verdicts and a PDF:
`raiaudit fairness`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from raiaudit.audit.measurement import Measurement

__all__ = ["compare_groups"]


def compare_groups(
    groups: Mapping[str, Iterable[Any]],
    predicted: Iterable[Any],
    label: Iterable[Any] | None = None,
    *,
    score: Iterable[Any] | None = None,
    positive: object = None,
    weight: Iterable[Any] | None = None,
    person: Iterable[Any] | None = None,
    seed: int = 0,
    **options: Any,
) -> list[Measurement]:
    """Every metric of `fairness.groups` for N examples.

    `groups` maps an attribute to its N levels; a missing one is the level "unknown". `predicted` and `label`
    are classes: words, truth values or whole numbers. `score`, in [0, 1], is that of the positive class.
    `positive` is the class that rates count; of 0 and 1, no and yes and their like it is the second. `person`
    says whose a row is, where people have several. `options` are those of the check: `min_group`,
    `confidence`, `permutations`, `tolerance`, `most_groups`. `seed` draws the permutations.

    Raises `UsageError` for lengths that do not fit, missing classes, a positive class that must be named.
    """
    import polars as pl

    from raiaudit.audit.fairness.by_group.findings import groups_findings
    from raiaudit.audit.fairness.by_group.groups import GroupsConfig
    from raiaudit.audit.fairness.counting.tally import TAKEN, Tally
    from raiaudit.audit.fairness.predictions.values import level_name
    from raiaudit.audit.fairness.predictions.vocabulary import class_name, vocabulary
    from raiaudit.errors import UsageError

    if not groups:
        raise UsageError("there is no group to compare", remedy='give one: {"sex": sex}')
    columns: dict[str, list[Any]] = {
        **{f"group {name}": _texts(levels, level_name) for name, levels in groups.items()},
        "predicted": _texts(predicted, class_name),
    }
    if label is not None:
        columns["label"] = _texts(label, class_name)
    for name, values in (("score", score), ("weight", weight), ("person", person)):
        if values is not None:
            columns[name] = _values(values)
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        raise UsageError(f"one value an example is needed everywhere; lengths differ ({told})")
    for name in ("predicted", "label"):
        if None in columns.get(name, ()):
            raise UsageError(f"row {columns[name].index(None)} of `{name}` is missing")
    if any(not (number is not None and 0 <= number <= 1) for number in columns.get("score", ())):
        raise UsageError("scores are numbers in [0, 1]", remedy="scale them, and leave out rows without one")
    if taken := sorted(TAKEN & set(groups)):
        raise UsageError(f"a group cannot be called {taken[0]!r}", remedy="give the attribute another name")
    words = vocabulary(
        None if label is None else set(columns["label"]),
        set(columns["predicted"]),
        () if positive is None else (class_name(positive) or str(positive),),
        where="compare_groups",
    )
    coded = {
        **{name: columns[f"group {name}"] for name in groups},
        "predicted": [words.index_of(name) for name in columns["predicted"]],
        "label": [words.index_of(name) for name in columns.get("label", ())] or None,
    }
    rows = pl.DataFrame(coded, schema_overrides=dict.fromkeys(groups, pl.String))
    for name, key in (("score", "score"), ("weight", "weight"), ("person", "cluster")):
        if name in columns:
            rows = rows.with_columns(pl.Series(key, columns[name]))
    tally = Tally.of(rows, attributes=tuple(groups), classes=words.classes, positive=words.positive)
    return groups_findings(tally, GroupsConfig(**options), seed=seed).measurements


def _values(values: Iterable[Any]) -> list[Any]:
    """Plain Python values of an array, a series, a tensor or a list."""
    return list(values.tolist() if hasattr(values, "tolist") else values)


def _texts(values: Iterable[Any], name: Callable[[object], str | None]) -> list[str | None]:
    seen: dict[object, str | None] = {}
    plain = [None if v != v else v for v in _values(values)]  # NaN is missing
    return [seen[v] if v in seen else seen.setdefault(v, name(v)) for v in plain]
