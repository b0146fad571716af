"""The committed JSON Schemas: as generated, valid, and of one mind with the code about real files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from raiaudit.audit.catalogue import CHECKS
from raiaudit.audit.gates import Gate, Verdict
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.results import CheckOutcome, DataCard, Results, SubjectCard
from raiaudit.audit.schemas import SCHEMAS, schema_of
from raiaudit.audit.spec import load_spec
from raiaudit.errors import SpecError, UnknownNameError
from raiaudit.models.recipe import PrivacyBudget, Recipe
from raiaudit.models.version import TrainingRecord

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))


def committed(name: str) -> Any:
    return json.loads((ROOT / "audit" / "schema" / f"{name}.schema.json").read_text())


def validator(name: str) -> Any:
    return jsonschema.Draft202012Validator(committed(name))


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_committed_schema_is_the_generated_one(name: str) -> None:
    assert committed(name) == schema_of(name), "regenerate: python -m raiaudit.audit.schemas"


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schema_is_a_schema(name: str) -> None:
    schema = committed(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    text = json.dumps(schema)
    for reference in {part.split('"')[0] for part in text.split('"$ref": "')[1:]}:
        definition = reference.removeprefix("#/$defs/").replace("%20", " ")
        assert definition in schema["$defs"], reference


def test_an_unknown_schema() -> None:
    with pytest.raises(UnknownNameError, match="unknown schema"):
        schema_of("spce")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_valid_by_schema_and_by_code(example: Path) -> None:
    validator("spec").validate(yaml.safe_load(example.read_text()))
    loaded = load_spec(example)
    assert any(check.gate for check in loaded.spec.checks), "an example without a gate decides nothing"


def test_there_are_examples() -> None:
    assert {"digits"} <= {path.stem for path in EXAMPLES}


BASE = "data: {name: digits}\nmodel: {name: a, recipe: {architecture: cnn}}\n"


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        (BASE + "checks: [{use: performance.accuracy}]", True),
        (BASE + "checks: [{use: robustness.evasion, with: {eps: [8/255]}}]", True),
        (BASE + "checks: [{use: performance.accuracy, gate: {metric: accuracy, min: 1e-3}}]", True),
        (BASE + "checks: [{use: performance.accuracy, gate: [{metric: accuracy, max: 1/2}]}]", True),
        (BASE + "checks: []", False),
        (BASE + "checks: [{use: performance.accuracy, with: {confidnce: 0.9}}]", False),
        (BASE + "checks: [{use: performance.accuracy, with: {confidence: 2}}]", False),
        (BASE + "checks: [{use: robustness.evasion, with: {norm: linf}}]", False),
        (BASE + "checks: [{use: performance.accuracy, gate: {metric: accuracy, min: abc}}]", False),
        (BASE + "checks: [{use: performance.accuracy, gate: {min: 0.1}}]", False),
        (BASE + "checks: [{use: performance.accuracy}]\nrunn: {}", False),
        (BASE.replace("{name: digits}", "digits") + "checks: [{use: performance.accuracy}]", False),
    ],
)
def test_schema_and_code_agree(tmp_path: Path, text: str, valid: bool) -> None:
    path = tmp_path / "audit.yaml"
    path.write_text(text)
    assert validator("spec").is_valid(yaml.safe_load(text)) == valid
    if valid:
        load_spec(path)
    else:
        with pytest.raises(SpecError):
            load_spec(path)


def test_results_with_every_kind_of_gap_fit_their_schema() -> None:
    record = TrainingRecord(
        architecture="cnn",
        config={"shape": [1, 8, 8]},
        recipe=Recipe(
            architecture="cnn",
            kind="private",
            privacy=PrivacyBudget(epsilon=8, delta=1e-4),
            options={"width": 8},
        ),
        code_version="1",
        parameters=1,
        weights_digest="0",
    )
    undefined = Measurement(
        check="c",
        metric="m",
        value=None,
        n=0,
        better="higher",
        method="x",
        reason="nobody",
        where={"group": "a"},
    )
    gate = Gate(metric="m", where={"eps": 0.1, "deep": True}, min=0.5)
    results = Results(
        run="r",
        verdict="not_run",
        partial=True,
        subject=SubjectCard(name="a", version=0, record=record),
        data=DataCard(name="d", modality="image", classes=("a",), digest="0", sizes={"test": 1}, audited=1),
        seed=0,
        checks=(CheckOutcome(check="c", question="?", status="not_run", reason="no gradients"),),
        measurements=(undefined,),
        verdicts=(
            Verdict(status="inconclusive", check="c", gate=gate, measurement=undefined, explanation="e"),
            Verdict(status="error", check="c", gate=None, measurement=None, explanation="boom"),
        ),
    )
    written = json.loads(results.model_dump_json())
    validator("results").validate(written)
    assert Results.model_validate(written) == results
    assert not validator("results").is_valid({**written, "schema_version": 2})
    assert not validator("results").is_valid({**written, "verdict": "maybe"})


def test_every_check_has_its_options_in_the_schema() -> None:
    definitions = committed("spec")["$defs"]
    for name, check in CHECKS.items():
        assert set(definitions[f"with {name}"]["properties"]) == set(check.Config.model_fields)
