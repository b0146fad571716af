"""A run's results derived once more from its ledger: summaries need rows and data set, not the model.

Seals tell what changed after they were made; this tells results that never followed from the rows, though all
seals agree. It needs the data set of the spec (a local mirror, or the user's files where they were), and the
algorithm versions that the run used; what cannot be derived here is said, and is no breach.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from raiaudit.audit.catalogue import find_check
from raiaudit.audit.gates import decide, overall
from raiaudit.audit.spec import LoadedSpec, Spec, load_data
from raiaudit.audit.subject import Subject
from raiaudit.audit.yaml_source import YamlSource
from raiaudit.errors import CapabilityError, RaiauditError
from raiaudit.models.version import ModelVersion

if TYPE_CHECKING:
    from collections.abc import Iterator

    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.results import Results
    from raiaudit.audit.store import Run
    from raiaudit.models.version import TrainingRecord

__all__ = ["Rederived", "rederive"]

_CLOSE = 1e-6  # sums of float32 differ so between processors
_SHOWN = 8


@dataclass(slots=True)
class Rederived:
    """`problems` are results that do not follow from the rows; `remarks` what was, and was not, derived."""

    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


class _NoModel:
    """Stands where the classifier would: a summary that asks it cannot be repeated without it."""

    def __init__(self, record: TrainingRecord) -> None:
        if record.recipe is not None:
            self.knowledge = "white"  # as of every model that is trained here

    def __getattr__(self, name: str) -> Any:
        raise CapabilityError(f"its summary asks the model ({name}), which is not loaded here")


def rederive(run: Run) -> Rederived:
    """Measurements from the ledger, then verdicts from the measurements."""
    results = run.results
    found = Rederived(problems=list(_verdicts(run, results)))
    if results.subject.record.is_predictions:
        found.remarks.append("measurements: not derived again, for the file of predictions is not kept")
        return found
    try:
        lock = yaml.safe_load(run.spec_lock)
        versions = lock.pop("resolved", {}).get("check_versions", {})
        subject = _subject(run, results, lock)
    except (RaiauditError, ValidationError, yaml.YAMLError, OSError, AttributeError) as error:
        text = " ".join(str(error).split())
        found.remarks.append(f"measurements: not derived again, the data set cannot be had: {text}")
        return found
    if subject.dataset.digest != results.data.digest:
        found.remarks.append("measurements: not derived again, the data set here is another one")
        return found
    _measurements(run, results, subject, versions, found)
    return found


def _subject(run: Run, results: Results, lock: dict[str, Any]) -> Subject:
    """The audited subject without its weights."""
    spec = Spec.model_validate(lock)
    source = YamlSource(path=Path(run.header.spec_path), text="", data=lock, lines={})
    dataset = load_data(LoadedSpec(spec, source, ()))
    card = results.subject
    model: Any = _NoModel(card.record)
    return Subject(
        name=card.name,
        dataset=dataset,
        record=card.record,
        version=ModelVersion(card.name, card.version, model, card.record),
        seed=results.seed,
        limit=spec.run.limit,
    )


def _measurements(
    run: Run, results: Results, subject: Subject, versions: dict[str, int], found: Rederived
) -> None:
    ledger, counted = run.ledger, 0
    said = {
        check: [m for m in results.measurements if m.check == check]
        for check in dict.fromkeys(outcome.check for outcome in results.checks if outcome.status == "ran")
    }
    for check, theirs in said.items():
        try:
            one = find_check(check)
            if one.version != versions.get(check, one.version):
                raise CapabilityError(f"it is version {one.version} here, {versions[check]} in the run")
            ours = [
                m
                for outcome in results.checks
                if (outcome.check, outcome.status) == (check, "ran")
                for m in one.summarise(ledger, subject, one.Config.model_validate(outcome.config))
            ]
        except (
            Exception
        ) as error:  # a summary of a plug-in may fail in any way: then this check is not derived
            found.remarks.append(f"{check}: not derived again: {' '.join(str(error).split())}")
            continue
        counted += len(ours)
        found.problems += _disagreements(check, theirs, ours)
    found.remarks.append(
        f"{counted:,} of {len(results.measurements):,} measurements derived again from the ledger"
    )


def _disagreements(check: str, theirs: list[Measurement], ours: list[Measurement]) -> Iterator[str]:
    """What results.json says of a check and its rows do not."""
    found: list[str] = []
    derived = {_key(m): m for m in ours}
    for m in theirs:
        again = derived.get(_key(m))
        if again is None:
            found.append(f"results.json: {check} measured no {m.label()}")
        elif not _alike(m, again):
            found.append(
                f"results.json: {check} says {m.label()} = {_number(m)}, its rows give {_number(again)}"
            )
    if Counter(map(_key, theirs)) != Counter(map(_key, ours)) and not found:
        found.append(f"results.json: {check} leaves out what its rows give")
    yield from found[:_SHOWN]
    if len(found) > _SHOWN:
        yield f"results.json: {len(found) - _SHOWN:,} further measurements of {check}"


def _key(m: Measurement) -> tuple[str, str]:
    return m.metric, repr(sorted(m.where.items()))


def _alike(one: Measurement, other: Measurement) -> bool:
    numbers = ("value", "low", "high", "confidence", "n", "support")
    plain = one.model_dump(exclude=set(numbers)) == other.model_dump(exclude=set(numbers))
    return plain and all(_close(getattr(one, name), getattr(other, name)) for name in numbers)


def _close(a: float | None, b: float | None) -> bool:
    if a is None or b is None:
        return a is b
    return math.isclose(a, b, rel_tol=_CLOSE, abs_tol=_CLOSE)


def _number(m: Measurement) -> str:
    limits = "" if m.low is None or m.high is None else f" [{m.low:.6g}, {m.high:.6g}]"
    return "undefined" if m.value is None else f"{m.value:.6g}{limits}, n = {m.n}"


def _verdicts(run: Run, results: Results) -> Iterator[str]:
    """What the verdicts say and their measurements do not."""
    if run.header.verdict != results.verdict:
        yield f"header.json: the verdict is {run.header.verdict}, in results.json it is {results.verdict}"
    if results.verdict != overall(results.verdicts):
        yield f"results.json: the verdict is {results.verdict}, its gates give {overall(results.verdicts)}"
    for verdict in results.verdicts:
        if verdict.status != "pass" or verdict.gate is None:
            continue
        given = decide(verdict.check, verdict.gate, results.measurements).status
        if given != "pass":
            metric = verdict.gate.metric
            yield f"results.json: {verdict.check} passes its gate on {metric}, its numbers give {given}"
