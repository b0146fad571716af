"""In what runs differ besides their results: every field of the spec as run, the model's record, code, seed.

Raises `NotComparableError` for runs whose difference would say nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import yaml

from raiaudit.audit.comparison.results import Difference
from raiaudit.errors import NotComparableError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Literal

    from raiaudit.audit.results import Results
    from raiaudit.audit.store import Run

    Topic = Literal["data", "seed", "code", "model", "checks", "spec"]

__all__ = ["checks_of_other_versions", "differences", "refuse_incomparable"]

_TOPICS: tuple[Topic, ...] = ("data", "seed", "code", "model", "checks", "spec")
_TOPIC_OF = {"data": "data", "model": "model", "checks": "checks"}
# Told by the record, which has the recipe of a registered model too, or by the card of the data.
_TOLD_ELSEWHERE = ("model.name", "model.recipe", "resolved.model_identity", "resolved.data_digest")


# The record has these too, with every default.
_OF_THE_MODEL = ("architecture", "options")
_LABELS = ("use", "metric")
_VERSION = "version of "


def refuse_incomparable(ours: tuple[Run, Results], reference: tuple[Run, Results]) -> None:
    """Raise unless both were audited on the same examples of the same data, and kept them."""
    (run, a), (base, b) = ours, reference
    for each, results in (reference, ours):
        if results.subject.record.is_predictions:
            raise NotComparableError(
                f"{each.id} is of a file of predictions: it keeps counts, not examples that could be paired",
                remedy="audit both models by a spec, on the same data",
            )
    if a.data.digest != b.data.digest:
        raise NotComparableError(
            f"not comparable: {run.id} was audited on other data than {base.id} "
            f"({a.data.name} {a.data.digest[:12]} / {b.data.name} {b.data.digest[:12]})",
            remedy="run both models on the same data",
        )
    if a.data.audited != b.data.audited:
        raise NotComparableError(
            f"not comparable: {run.id} was audited on {a.data.audited:,} examples, {base.id} on "
            f"{b.data.audited:,}",
            remedy="run both with the same --limit, or with none",
        )


def differences(runs: Sequence[tuple[Run, Results]]) -> tuple[Difference, ...]:
    """Facts that are not the same in all runs, by topic and key."""
    facts = [dict(_facts(run, results)) for run, results in runs]
    keys = dict.fromkeys(key for found in facts for key in found)
    unequal = [(key, tuple(found.get(key) for found in facts)) for key in keys]
    found = [
        Difference(topic=topic, key=key, values=values)
        for (topic, key), values in unequal
        # A check that one run lacks is a difference of the spec.
        if len(set(values)) > 1 and not (key.startswith(_VERSION) and None in values)
    ]
    return tuple(sorted(found, key=lambda each: (_TOPICS.index(each.topic), each.key != "name", each.key)))


def checks_of_other_versions(ours: Run, reference: Run) -> frozenset[str]:
    """Checks whose algorithm changed between the runs: what they measured is not the same quantity."""
    a, b = (_lock(run).get("resolved", {}).get("check_versions", {}) for run in (ours, reference))
    return frozenset(check for check in a.keys() & b.keys() if a[check] != b[check])


def _facts(run: Run, results: Results) -> Iterator[tuple[tuple[Topic, str], str]]:
    header, record = run.header, results.subject.record
    yield from _spec_facts(run)
    yield ("data", "audited examples"), str(results.data.audited)
    yield ("code", "trained by raiaudit"), record.code_version
    for name, version in header.versions.items():
        yield ("code", name), version
    yield ("code", "machine"), header.machine
    yield ("model", "name"), results.subject.name
    yield ("model", "version"), str(results.subject.version)
    told = record.model_dump(
        mode="json", exclude={"code_version", "metrics", "data_source", "data_licence", "classes", "seconds"}
    )
    for key in _OF_THE_MODEL if told["recipe"] else ():
        told["recipe"].pop(key)
    yield ("model", "training seed"), str(told.pop("seed"))
    for key, value in _flat(told, ""):
        yield ("model", key), value


def _spec_facts(run: Run) -> Iterator[tuple[tuple[Topic, str], str]]:
    """Every leaf of `spec.lock.yaml` by its path."""
    for key, value in _flat(_lock(run), ""):
        if key.startswith(_TOLD_ELSEWHERE):
            continue
        topic: Any = _TOPIC_OF.get(key.partition(".")[0].partition("[")[0], "spec")
        if key == "run.seed":
            topic = "seed"
        elif key.startswith("resolved.check_versions."):
            topic, key = "code", f"{_VERSION}{key.removeprefix('resolved.check_versions.')}"
        yield (topic, key), value


def _lock(run: Run) -> dict[str, Any]:
    try:
        lock = yaml.safe_load(run.spec_lock)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise StorageError(f"cannot be read ({error})", where=str(run.folder / "spec.lock.yaml")) from None
    if not isinstance(lock, dict):
        raise StorageError("is no spec as it was run", where=str(run.folder / "spec.lock.yaml"))
    return lock


def _flat(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Paths and texts of the leaves; checks and gates are named, other lists are one leaf."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        seen: Counter[str] = Counter()
        for item in value:
            label = next((key for key in _LABELS if key in item), "")
            name = str(item.get(label, ""))
            seen[name] += 1
            again = f" #{seen[name]}" if seen[name] > 1 else ""
            yield from _flat({k: v for k, v in item.items() if k != label}, f"{path}[{name}{again}]")
    elif value is not None:
        yield path, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
