"""Specs: what is read, and what a wrong one is told."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raiaudit.audit.spec import LoadedSpec, NamedData, load_spec
from raiaudit.audit.yaml_source import read_yaml
from raiaudit.errors import SpecError
from raiaudit.models.data.user import UserData

BASE = """\
data: {name: digits}
models:
  - name: a
    recipe: {architecture: cnn}
checks:
  - use: performance.accuracy
    gate:
      metric: accuracy
      min: 0.5
"""


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "audit.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.fixture
def load(tmp_path: Path) -> Any:
    return lambda text: load_spec(write(tmp_path, text))


@pytest.fixture
def refuse(tmp_path: Path) -> Any:
    """The error of a wrong spec, after checking that it fits one screen and cannot steer a terminal."""

    def refused(text: str | bytes) -> SpecError:
        with pytest.raises(SpecError) as caught:
            load_spec(write(tmp_path, text))
        shown = str(caught.value).replace(str(tmp_path), "")
        # The one long line is the list of choices; a terminal of 80 columns wraps it to a few.
        assert sum(1 + len(line) // 80 for line in shown.splitlines()) <= 12
        assert all(line.isprintable() for line in shown.splitlines())
        assert caught.value.exit_code == 2
        return caught.value

    return refused


def place(error: SpecError) -> str:
    """`line (key)` of an error."""
    assert error.where is not None
    return error.where.rpartition("audit.yaml:")[2]


# What is read


def test_every_field_arrives(load: Any) -> None:
    loaded: LoadedSpec = load("""\
apiVersion: raiaudit/v1
kind: Audit
name: quarterly
data:
  name: mine
  path: rows.csv
  id: row
  label: y
  groups: [sex, race]
  drop: [ssn]
  classes: ["no", "yes"]
models:
  - name: robust
    recipe:
      kind: adversarial
      architecture: mlp
      options: {hidden: 64}
      epochs: 3
      adversary: {norm: linf, eps: 8/255, steps: 5}
  - ref: registry:net@candidate
  - {name: theirs, path: w.safetensors, arch: mlp, options: {hidden: 32}}
context: {purpose: Lending, owner: Ada, risk_class: high}
run: {seed: 7, device: "cuda:0", limit: 50}
policy: {not_run: fail, error: fail}
checks:
  - use: performance.accuracy
    with: {confidence: 0.9}
    gate: {metric: accuracy, min: 0.5, confidence: 0.9}
  - use: robustness.evasion
    only: [robust]
    with: {norm: linf, eps: [2/255, 8/255]}
    gate:
      - {metric: robust_accuracy, where: {eps: 8/255, attack: pgd}, min: 0.3, max: 1}
      - {metric: robust_accuracy, vs_baseline: {run: old, max_drop: 1e-2}}
""")
    spec = loaded.spec
    assert isinstance(spec.data, UserData)
    assert (spec.data.path, spec.data.groups) == (Path("rows.csv"), ("sex", "race"))
    assert spec.data.classes == ("no", "yes")
    robust, registered, theirs = spec.subjects
    assert robust.recipe is not None
    assert robust.recipe.adversary is not None
    assert robust.recipe.adversary.eps == 8 / 255
    assert [model.title for model in spec.subjects] == ["robust", "net", "theirs"]
    assert (registered.ref, theirs.architecture) == ("registry:net@candidate", "mlp")
    assert (spec.context.owner, spec.run.seed, spec.run.device, spec.run.limit) == ("Ada", 7, "cuda:0", 50)
    assert (spec.policy.not_run, spec.policy.error) == ("fail", "fail")
    assert loaded.configs[1].model_dump()["eps"] == (2 / 255, 8 / 255)
    slice_gate, paired_gate = spec.checks[1].gate
    assert slice_gate.where == {"eps": 8 / 255, "attack": "pgd"}
    assert paired_gate.vs_baseline is not None
    assert paired_gate.vs_baseline.max_drop == 0.01
    assert [check.use for check, _ in loaded.checks_of(theirs)] == ["performance.accuracy"]
    assert loaded.name == "quarterly"


def test_one_model_one_gate_and_a_name_from_the_file(load: Any) -> None:
    loaded: LoadedSpec = load(
        "data: {name: digits}\nmodel: {name: a, recipe: {architecture: cnn}}\n"
        "checks: [{use: performance.accuracy, gate: {metric: accuracy, max: 1}}]\n"
    )
    assert loaded.name == "audit"
    assert loaded.spec.data == NamedData(name="digits")
    assert len(loaded.spec.checks[0].gate) == 1


@pytest.mark.parametrize(
    ("source", "title"),
    [
        ("ref: registry:net", "net"),
        ("ref: registry:net.v2@prod", "net.v2"),
        ("ref: net/3", "net"),
        ('path: "weights/my net; rm -rf.safetensors", arch: cnn', "my-net-rm--rf"),
        ("path: ../../..safetensors, arch: cnn", "unnamed"),
    ],
)
def test_a_model_without_a_name_gets_one_that_a_folder_can_bear(load: Any, source: str, title: str) -> None:
    text = BASE.replace("name: a\n    recipe: {architecture: cnn}", f"{{{source}}}")
    assert load(text).spec.subjects[0].title.replace("safetensors", "unnamed").endswith(title)


@pytest.mark.parametrize("written", ["8/255", "0.03137254901960784", "3.137254901960784e-2", "'8 / 255'"])
def test_thresholds_as_people_write_them(load: Any, written: str) -> None:
    assert load(BASE.replace("0.5", written)).spec.checks[0].gate[0].min == pytest.approx(8 / 255, rel=1e-12)


def test_yaml_1_1_reads_1e_3_as_text_and_we_do_not(load: Any) -> None:
    gate = load(BASE.replace("0.5", "1e-3") + "      where: {eps: 1e-3}\n").spec.checks[0].gate[0]
    assert (gate.min, gate.where) == (0.001, {"eps": 0.001})


# Run identity: what changes a lock, and what does not


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("min: 0.5", "min: 0.6"),
        ("architecture: cnn", "architecture: cnn, epochs: 3"),
        ("checks:", "run: {seed: 1}\nchecks:"),
        ("checks:", "run: {limit: 10}\nchecks:"),
        ("    gate:", "    with: {confidence: 0.9}\n    gate:"),
    ],
)
def test_what_decides_results_changes_the_lock(load: Any, old: str, new: str) -> None:
    plain, changed = load(BASE), load(BASE.replace(old, new))
    assert plain.lock(plain.spec.subjects[0]) != changed.lock(changed.spec.subjects[0])
    assert plain.digest() != changed.digest()


def test_layout_and_written_defaults_do_not_change_the_lock(load: Any) -> None:
    plain = load(BASE)
    same = load("# a comment\n" + BASE.replace("0.5", "5/10") + "run: {seed: 0}\npolicy: {}\n")
    assert plain.lock(plain.spec.subjects[0]) == same.lock(same.spec.subjects[0])


# Unknown keys: the line, the path, the nearest key


@pytest.mark.parametrize(
    ("text", "where", "near"),
    [
        (BASE + "contxt: {}\n", "10 (contxt)", "context"),
        (
            BASE.replace("architecture: cnn", "architecture: cnn, epoch: 3"),
            "4 (models.0.recipe.epoch)",
            "epochs",
        ),
        (
            BASE.replace(
                "{architecture: cnn}",
                "\n      architecture: cnn\n      kind: private\n"
                "      privacy:\n        epsilon: 8\n        delta: 1e-4\n        clpi: 1",
            ),
            "10 (models.0.recipe.privacy.clpi)",
            "clip",
        ),
        (
            BASE + "  - use: robustness.evasion\n    with:\n      epss: [0.1]\n",
            "12 (checks.1.with.epss)",
            "eps",
        ),
        (BASE.replace("{name: digits}", "{name: d, pth: x}"), "1 (data.pth)", "path"),
        (BASE.replace("      min:", "      minn: 1\n      min:"), "9 (checks.0.gate.minn)", "min"),
        (
            BASE.replace(
                "    gate:\n      metric: accuracy\n      min: 0.5",
                "    gate:\n      - {metric: accuracy, min: 0.5}\n      - {metric: accuracy, mx: 1, min: 0}",
            ),
            "9 (checks.0.gate.1.mx)",
            "max",
        ),
        (
            BASE + "      vs_baseline: {run: x, max_drp: 0}\n",
            "10 (checks.0.gate.vs_baseline.max_drp)",
            "max_drop",
        ),
        (BASE + "run: {sed: 1}\n", "10 (run.sed)", "seed"),
        (BASE + "policy: {eror: fail}\n", "10 (policy.eror)", "error"),
    ],
)
def test_an_unknown_key_is_placed_and_its_neighbour_named(
    refuse: Any, text: str, where: str, near: str
) -> None:
    error = refuse(text)
    assert (place(error), error.others) == (where, ())
    assert "unknown key" in error.problem
    assert error.remedy is not None
    assert f"did you mean '{near}'?" in error.remedy


@pytest.mark.parametrize(
    ("text", "where", "near"),
    [
        (BASE.replace("digits", "digit"), "1 (data.name)", "digits"),
        (BASE.replace("cnn", "cn"), "4 (models.0.recipe.architecture)", "cnn"),
        (
            BASE.replace("performance.accuracy", "performance.acuracy"),
            "6 (checks.0.use)",
            "performance.accuracy",
        ),
        (
            BASE.replace("recipe: {architecture: cnn}", "path: x\n    arch: resnet-18"),
            "5 (models.0.arch)",
            "resnet18",
        ),
        (
            BASE.replace("{name: digits}", "{name: d, path: d.csv, groups: [gender, race]}").replace(
                "{architecture: cnn}",
                "{architecture: mlp, kind: fair, fairness: {method: group_dro, attribute: gendr}}",
            ),
            "4 (models.0.recipe.fairness.attribute)",
            "gender",
        ),
    ],
)
def test_an_unknown_name_is_placed_and_its_neighbour_named(
    refuse: Any, text: str, where: str, near: str
) -> None:
    error = refuse(text)
    assert (place(error), error.others) == (where, ())
    assert error.remedy is not None
    assert f"did you mean '{near}'?" in error.remedy


# Wrong values


@pytest.mark.parametrize(
    "bad",
    ["abc", ".nan", "nan", ".inf", "-inf", "Infinity", "1/0", "1.2.3/4", "yes", "[1]", "{a: 1}", "9" * 400],
)
def test_a_bad_threshold_is_placed(refuse: Any, bad: str) -> None:
    error = refuse(BASE.replace("0.5", bad))
    assert place(error) == "9 (checks.0.gate.min)"
    assert not error.others  # one mistake is one problem


@pytest.mark.parametrize(
    ("text", "where", "says"),
    [
        (BASE + "      max: 0.1\n", "7 (checks.0.gate)", "min 0.5 is above max 0.1"),
        (BASE.replace("      min: 0.5\n", ""), "7 (checks.0.gate)", "needs `min`, `max` or `vs_baseline`"),
        (BASE + "      confidence: 1\n", "10 (checks.0.gate.confidence)", "less than 1"),
        (BASE + "      where: {eps: .nan}\n", "10 (checks.0.gate.where.eps)", "finite"),
        (
            BASE + "      where: {eps: [1]}\n",
            "10 (checks.0.gate.where.eps)",
            "a number, a text or true/false",
        ),
        (BASE.replace("{name: digits}", "digits"), "1 (data)", "must be a mapping"),
        (BASE.replace("{name: digits}", ""), "1 (data)", "must be a mapping"),
        (BASE.replace("{name: digits}", "[digits]"), "1 (data)", "must be a mapping"),
        (BASE.replace("{name: digits}", "{}"), "1 (data.name)", "'name' is missing"),
        (BASE.replace("data: {name: digits}\n", ""), "1 (data)", "'data' is missing"),
        (
            BASE.replace("recipe: {architecture: cnn}", "recipe: {}"),
            "4 (models.0.recipe.architecture)",
            "missing",
        ),
        (
            BASE.replace("    recipe: {architecture: cnn}\n", ""),
            "3 (models.0)",
            "exactly one of recipe, ref, path",
        ),
        (BASE.replace("name: a\n    ", ""), "3 (models.0)", "needs a `name`"),
        (BASE.replace("recipe: {architecture: cnn}", "path: x"), "3 (models.0)", "`path` needs `arch`"),
        (BASE.replace("    recipe", "    arch: cnn\n    recipe"), "3 (models.0)", "go with `path`"),
        (BASE.replace("cnn}", "cnn, kind: robust}"), "4 (models.0.recipe.kind)", "'adversarial'"),
        (BASE.replace("cnn}", "cnn, kind: private}"), "4 (models.0.recipe)", "`privacy`"),
        (BASE.replace("cnn}", "cnn, epochs: 0}"), "4 (models.0.recipe.epochs)", "got 0"),
        (BASE.replace("name: a\n", "name: ../a\n"), "3 (models.0.name)", "pattern"),
        (BASE.split("checks:", maxsplit=1)[0] + "checks: []\n", "5 (checks)", "must not be empty"),
        (BASE + "model: {name: b, recipe: {architecture: cnn}}\n", "10 (model)", "not both"),
        (BASE + "apiVersion: v2\n", "10 (apiVersion)", "raiaudit/v1"),
        (BASE + "run: {seed: -1}\n", "10 (run.seed)", "got -1"),
        (BASE + "run: {device: gpu}\n", "10 (run.device)", "got 'gpu'"),
        (BASE + "run: {executor: ray}\n", "10 (run.executor)", "'local'"),
        (BASE + "policy: {error: pass}\n", "10 (policy.error)", "'inconclusive'"),
        (BASE + "    only: [b]\n", "10 (checks.0.only.0)", "`only` for 'b'; the models are a"),
        (BASE + "    only: a\n", "10 (checks.0.only)", "must be a list"),
        (BASE + "1: 2\n", "10 (1)", "strings"),
    ],
)
def test_a_wrong_value_is_placed_and_explained(refuse: Any, text: str, where: str, says: str) -> None:
    error = refuse(text)
    assert (place(error), says in error.problem, error.others) == (where, True, ()), error


def test_two_models_of_one_name(refuse: Any) -> None:
    second = "  - name: a\n    recipe: {architecture: mlp}\nchecks:"
    assert "two models are called 'a'" in refuse(BASE.replace("checks:", second)).problem


@pytest.mark.parametrize(
    "field", ["name: " + "k " * 5000, '"' + "k" * 5000 + '": 1', "run: {seed: " + "9" * 3000 + "}"]
)
def test_long_values_are_cut(refuse: Any, field: str) -> None:
    assert len(str(refuse(BASE + field + "\n"))) < 1000


# Hostile files


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("name: !!python/object/apply:os.system ['touch PWNED']", 10, "tags"),
        ("name: !!python/name:os.system", 10, "tags"),
        ("name: !!bool maybe", 10, "tags"),
        ("name: !!timestamp x", 10, "tags"),
        ("name: !thing x", 10, "tags"),
        ("name: a\nname: b", 11, "stands twice (first on line 10)"),
        ("run:\n  seed: 1\n  seed: 2", 12, "stands twice (first on line 11)"),
        ("name: &n a\ncontext: {owner: *n}", 10, "anchors"),
        ("name: *n", 10, "anchors"),
        ("---\nname: x", 10, "another document"),
        ("\tname: x", 10, "cannot start any token"),
        ("name: [1", 11, "expected"),
        ("? [a, b]\n: 1", 10, "unhashable"),
        ("x: " + "[" * 60 + "]" * 60, 10, "deeper than 40"),
        ("x: " + "{a: " * 60 + "}" * 60, 10, "deeper than 40"),
        ("x: [" + "1," * 30_000 + "]", 10, "values"),
    ],
)
def test_yaml_that_is_more_than_data_is_refused(
    refuse: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, line: int, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    error = refuse(BASE + text + "\n")
    assert place(error).split(" ")[0] == str(line)
    assert says in error.problem
    assert not Path("PWNED").exists()


def test_billion_laughs_end_at_the_first_anchor(refuse: Any) -> None:
    lines = ["a0: &a0 [lol, lol]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    assert place(refuse("\n".join(lines))) == "1"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"# only a comment\n", "empty"),
        (b"- a\n- b\n", "mapping"),
        (b"just text\n", "mapping"),
        (b"data: \xff\xfe\n", "not UTF-8 text (byte 6)"),
        ("data: {name: digits}\n".encode("utf-16"), "not UTF-8"),
        (b"\x80\x04\x95pickle", "not UTF-8"),
        (b"a: \x00\n", "not plain YAML"),
        (b"a: 2020-13-45\n", "not plain YAML"),
        (b"a: " + b"9" * 5000 + b"\n", "not plain YAML"),
        (b"a: " + b"x" * (1 << 20), "larger than 1 MiB"),
    ],
)
def test_files_that_are_no_spec(refuse: Any, content: bytes, says: str) -> None:
    assert says in refuse(content).problem


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no such file") as caught:
        load_spec(tmp_path / "none.yaml")
    assert caught.value.remedy is not None
    assert "raiaudit init" in caught.value.remedy
    with pytest.raises(SpecError, match="cannot be read"):
        load_spec(tmp_path)


def test_a_key_cannot_steer_the_terminal(refuse: Any) -> None:
    shown = str(refuse('"\\e[2J\\n\\r": 1\n' + BASE))
    assert "\x1b" not in shown
    assert "\r" not in shown


def test_a_byte_order_mark_and_crlf_are_harmless(load: Any) -> None:
    assert load("\ufeff" + BASE.replace("\n", "\r\n")).spec.checks[0].gate[0].min == 0.5


quiet = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
yamlish = st.text(st.sampled_from(list("ab:-?[]{},&*!|>'\"%@`#=<0.1e+~ \n\t\\\x85\u2028/xn")), max_size=60)


@quiet
@given(
    content=st.one_of(
        st.binary(max_size=200),
        yamlish.map(str.encode),
        st.text().map(lambda t: t.encode("utf-8", "surrogatepass")),
    )
)
def test_no_bytes_raise_anything_but_a_spec_error(tmp_path: Path, content: bytes) -> None:
    with suppress(SpecError):
        assert isinstance(read_yaml(write(tmp_path, content)).data, dict)


plain = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KEYS = ["data", "model", "models", "checks", "run", "policy", "context", "name", "kind", "apiVersion"]


@quiet
@given(data=st.data())
def test_no_plain_data_raises_anything_but_a_spec_error(tmp_path: Path, data: st.DataObject) -> None:
    import yaml

    content = yaml.safe_load(BASE)
    node, path = content, data.draw(st.sampled_from([[key] for key in KEYS] + PATHS))
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = data.draw(plain)
    text = yaml.safe_dump(content, allow_unicode=False)
    try:
        load_spec(write(tmp_path, text))
    except SpecError as error:
        str(error).encode()


PATHS: list[list[Any]] = [
    ["data", "name"],
    ["data", "path"],
    ["models", 0, "name"],
    ["models", 0, "recipe"],
    ["models", 0, "recipe", "options"],
    ["models", 0, "recipe", "epochs"],
    ["models", 0, "ref"],
    ["checks", 0, "use"],
    ["checks", 0, "with"],
    ["checks", 0, "gate"],
    ["checks", 0, "gate", "where"],
    ["checks", 0, "gate", "min"],
    ["checks", 0, "only"],
]
