"""The form's parts without a page: fields from the schema, values there and back, YAML, the validator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from raiaudit.attacks.spaces import TokenSpace
from raiaudit.audit.catalogue import CHECKS
from raiaudit.audit.gates import Gate
from raiaudit.audit.model_spec import ModelSpec
from raiaudit.audit.robustness.evasion_threat import refuse_beyond_the_box
from raiaudit.audit.spec import Context, LoadedSpec, NamedData, Policy, RunOptions, Spec
from raiaudit.dashboard.new_audit.beginnings import DIGITS, TYPICAL_GATES, TYPICAL_OPTIONS
from raiaudit.dashboard.new_audit.checking import check
from raiaudit.dashboard.new_audit.checks_section import options_of
from raiaudit.dashboard.new_audit.fields import Field, fields_of
from raiaudit.dashboard.new_audit.local import obstacle
from raiaudit.dashboard.new_audit.values import entered, written
from raiaudit.dashboard.new_audit.yaml_text import commented, flow
from raiaudit.errors import UsageError
from raiaudit.models.data import UserData
from raiaudit.models.recipe import Recipe

MODELS = [Recipe, UserData, Gate, ModelSpec, RunOptions, Context, Policy, NamedData, Spec]
HERE = Path("/nowhere/specs/a.yaml")
OURS = {"host": "127.0.0.1:8501", "origin": "http://127.0.0.1:8501"}
COOKIES = ("_streamlit_xsrf",)


@pytest.mark.parametrize("model", [*MODELS, *(check.Config for check in CHECKS.values())])
def test_every_key_has_a_field_with_its_type_bounds_and_default(model: Any) -> None:
    schema = model.model_json_schema(by_alias=True)
    fields = {field.key: field for field in fields_of(schema)}
    assert fields.keys() == schema.get("properties", {}).keys()
    for key, part in schema.get("properties", {}).items():
        field = fields[key]
        assert field.required == (key in schema.get("required", []))
        if "enum" in part:
            assert (field.kind, list(field.choices)) == ("choice", part["enum"])
        if part.get("type") in ("integer", "number", "boolean"):
            assert field.kind == part["type"]
            bounds = {name: part[name] for name in part if name.lower().endswith("imum")}
            assert dict(field.bounds or {}) == bounds
        if "description" in part:
            assert part["description"] in field.help
        if "default" in part:
            assert field.default == part["default"]


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_s_defaults_survive_the_widgets(name: str) -> None:
    for field in options_of(CHECKS[name]):
        if field.required or field.default in (None, [], {}, "") or field.kind == "group":
            continue
        back = written(field, entered(field, field.default))
        alone = field.single and isinstance(field.default, list) and len(field.default) == 1
        alike = field.default[0] if alone else field.default
        assert back == (None if field.kind == "boolean" else alike), field


@pytest.mark.parametrize(
    ("kind", "typed", "value"),
    [
        ("number", "8/255", "8/255"),
        ("number", " 0.05 ", 0.05),
        ("number", "1e-3", 0.001),
        ("number", "7", 7),
        ("number", "nine", "nine"),
        ("number", "nan", "nan"),
        ("number", "9" * 10_000, "9" * 10_000),
        ("number", "", None),
        ("numbers", "0.05, 8/255", [0.05, "8/255"]),
        ("numbers", "0.05", [0.05]),
        ("numbers", ",,", None),
        ("text", "", None),
        ("text", "a\nb: !!python/object:os", "a\nb: !!python/object:os"),
        ("yaml", "eps: 0.15, attack: pgd", {"eps": 0.15, "attack": "pgd"}),
        ("yaml", "a:\n  - 1\n  - b", {"a": [1, "b"]}),
        ("yaml", "auto", "auto"),
        ("yaml", "[1, 2]", [1, 2]),
        ("yaml", "{unclosed", "{unclosed"),
        ("yaml", "!!python/object/apply:os.system [x]", "!!python/object/apply:os.system [x]"),
        ("yaml", "&a [*a]", "&a [*a]"),
        ("texts", [], None),
    ],
)
def test_what_is_typed_becomes_the_value_a_spec_has(kind: Any, typed: Any, value: Any) -> None:
    assert written(Field("key", kind), typed) == value


def test_one_of_several_may_stand_alone_where_the_schema_says_so() -> None:
    field = Field("eps", "numbers", single=True)
    assert written(field, "0.1") == 0.1
    assert written(field, entered(field, [0.1, 0.2])) == [0.1, 0.2]
    with pytest.raises(ValueError, match="no widget"):
        entered(Field("severities", "numbers"), 3)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("integer", 2**60),
        ("integer", True),
        ("choice", "x"),
        ("number", "nine"),
        ("texts", ["a", "a"]),
        ("text", 3),
        ("boolean", "yes"),
        ("choices", ["x"]),
    ],
)
def test_what_a_widget_cannot_show_is_an_error_not_a_loss(kind: Any, value: Any) -> None:
    with pytest.raises(ValueError, match="no widget"):
        entered(Field("key", kind, choices=("a",)), value)


ANY_TEXT = st.text(max_size=60) | st.sampled_from(
    [
        "yes",
        "1e-3",
        "2020-01-01",
        "# no comment",
        "a\nb: c",
        "- a",
        "!!python/object:x",
        "&a",
        "*a",
        "\u202eabc",
        "null",
    ]
)
ANY_VALUE = st.recursive(
    ANY_TEXT | st.integers(-(2**40), 2**40) | st.booleans() | st.none() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=40, deadline=None)
@given(ANY_VALUE, ANY_TEXT)
def test_whatever_is_written_is_read_back_and_stays_in_its_place(value: Any, text: str) -> None:
    assert yaml.safe_load(f"key: {flow(value)}\n") == {"key": value}
    assert len(flow(value).splitlines()) <= 1
    spec = {
        **DIGITS,
        "context": {"purpose": text, "owner": text},
        "checks": [
            {"use": "performance.accuracy", "with": {"confidence": value}, "gate": [{"metric": text}]}
        ],
    }
    questions = {"performance.accuracy": ("Is it\nright?", options_of(CHECKS["performance.accuracy"]))}
    assert yaml.safe_load(commented(spec, questions)) == spec


def test_a_comment_says_what_the_schema_says() -> None:
    check_ = CHECKS["robustness.evasion"]
    spec = {"checks": [{"use": check_.id, "with": {"eps": 0.1, "shard": 7}}]}
    text = commented(spec, {check_.id: (check_.question, options_of(check_))})
    assert f"# {check_.question}" in text
    assert "shard: 7 # examples in one task" in text


@settings(max_examples=20, deadline=None)
@given(st.lists(ANY_TEXT, min_size=2, max_size=3))
def test_several_models_stand_one_below_the_other(texts: list[str]) -> None:
    models = [
        {"name": text, "recipe": {"architecture": text, "epochs": place, "options": {text: text}}}
        for place, text in enumerate(texts)
    ]
    spec = {"models": [*models, {"ref": texts[0]}], "data": {"name": "digits"}}
    text = commented(spec, {})
    assert yaml.safe_load(text) == spec
    assert text.count("\n  - ") == len(texts) + 1


def test_the_example_is_valid_and_so_is_what_is_offered() -> None:
    spec = {**DIGITS, "model": {**DIGITS["model"], "name": "digits-cnn"}}
    assert isinstance(check(commented(spec, {}), HERE), LoadedSpec)
    for name, gate in TYPICAL_GATES.items():
        Gate.model_validate(gate)
        assert name in CHECKS
    for name, by_modality in TYPICAL_OPTIONS.items():
        for modality, options in by_modality.items():
            assert modality in CHECKS[name].modalities
            CHECKS[name].Config.model_validate(options)


def test_every_check_can_be_chosen_without_writing_anything_where_the_data_are_known() -> None:
    for name, found in CHECKS.items():
        for modality in found.modalities:
            chosen = dict(TYPICAL_OPTIONS.get(name, {}).get(modality, {}))
            assert chosen.keys() <= found.Config.model_validate(chosen).model_fields_set


def test_the_typical_attack_on_texts_changes_some_of_their_words() -> None:
    words = TokenSpace(vocabulary=100, max_length=4)
    for options in TYPICAL_OPTIONS.values():
        refuse_beyond_the_box(words, "l0", (options["text"]["eps"],), where="here")
    with pytest.raises(UsageError, match="all the words") as refused:
        refuse_beyond_the_box(words, "l0", (0.1, 2.0), where="here")
    assert "share of the words" in str(refused.value)


@pytest.mark.parametrize(
    ("line", "key", "says"),
    [
        ("run: {seed: -1}", "run.seed", "greater than or equal to 0"),
        ("run: {sed: 1}", "run.sed", "unknown key"),
        ("data: {name: digit}", "data.name", "unknown data set"),
        (
            "model: {name: m, recipe: {architecture: cnnn}}",
            "model.recipe.architecture",
            "unknown architecture",
        ),
        ("model: {name: m}", "model", "exactly one"),
        ("checks: [{use: robustness.evasion}]", "checks.0.with.eps", "missing"),
        ("checks: [{use: robustness.evasion, with: {eps: -1}}]", "checks.0.with.eps", "no radius"),
        ("checks: [{use: performance.accuracy, gate: [{metric: accuracy}]}]", "checks.0.gate.0", "min"),
    ],
)
def test_the_validator_s_words_are_put_where_they_belong(line: str, key: str, says: str) -> None:
    parts = {
        "data": "data: {name: digits}",
        "model": "model: {name: m, recipe: {architecture: cnn}}",
        "checks": "checks: [{use: performance.accuracy}]",
    }
    parts[line.partition(":")[0]] = line
    problems = check("\n".join(parts.values()), HERE)
    assert isinstance(problems, list)
    (found,) = problems
    assert found.key == key
    assert says in found.text
    assert found.line == list(parts).index(line.partition(":")[0]) + 1
    assert found.concerns(key)
    assert not found.concerns(key + "x")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1]",
        "a: &b 1",
        "x" * (1 << 21),
        "model: {path: " + "a/" * 9000 + "b.pt, arch: cnn}",
        "\x00",
        "a: b: c",
        "data: {name: digits}\nmodel: {factory: 'x.py:make'}\nchecks: [{use: performance.accuracy}]",
        'data: {name: digits}\nmodel: {path: "a\\0b", arch: cnn}\nchecks: [{use: performance.accuracy}]',
    ],
)
def test_a_text_that_is_no_spec_is_a_problem_not_a_crash(text: str) -> None:
    found = check(text, HERE)
    if isinstance(found, LoadedSpec):  # a path that cannot exist is for the run to find missing
        assert found.spec.model is not None
        assert "\0" in str(found.spec.model.path)
    else:
        assert found
        assert all(problem.text for problem in found)


def test_only_who_sits_here_may_start_anything() -> None:
    assert obstacle("127.0.0.1", OURS, COOKIES) is None
    assert obstacle("::1", {"host": "[::1]:80", "origin": "http://[::1]:80"}, COOKIES) is None
    assert obstacle("localhost", {"host": "localhost:1", "origin": "http://localhost:1"}, COOKIES) is None


@pytest.mark.parametrize(
    ("address", "headers", "cookies"),
    [
        ("0.0.0.0", OURS, COOKIES),
        (None, OURS, COOKIES),
        ("192.168.0.7", OURS, COOKIES),
        ("127.0.0.1", {**OURS, "x-forwarded-for": "10.0.0.1"}, COOKIES),
        ("127.0.0.1", {**OURS, "origin": "http://127.0.0.1:3000"}, COOKIES),
        ("127.0.0.1", {**OURS, "origin": "http://evil.example"}, COOKIES),
        ("127.0.0.1", {**OURS, "origin": "null"}, COOKIES),
        ("127.0.0.1", {"host": OURS["host"]}, COOKIES),
        ("127.0.0.1", {"host": "evil.example:8501", "origin": "http://evil.example:8501"}, COOKIES),
        ("127.0.0.1", {"host": "127.0.0.1.evil.example", "origin": "http://127.0.0.1.evil.example"}, COOKIES),
        ("127.0.0.1", {}, COOKIES),
        ("127.0.0.1", OURS, ()),
    ],
)
def test_nobody_else_may(address: str | None, headers: dict[str, str], cookies: tuple[str, ...]) -> None:
    assert obstacle(address, headers, cookies) is not None
