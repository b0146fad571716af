"""A file with several mistakes is told all of them, each once, where it stands, and no consequences."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
import yaml

from raiaudit.audit.spec import load_spec
from raiaudit.audit.waivers import load_waivers
from raiaudit.errors import SpecError

SPEC = """\
data: {name: mine, path: rows.csv, groups: [sex]}
models:
  - name: a
    recipe: {architecture: mlp, kind: private, epochs: 0}
  - name: a
    recipe: {architecture: mpl}
  - name: fair
    recipe: {architecture: mlp, kind: fair, fairness: {method: reweighing, attribute: sexe}}
  - name: both
    recipe: {architecture: mlp}
    ref: registry:other
    seed: 1
contxt: {owner: me}
run: {seed: -1}
policy: {waivers: nowhere.yaml}
checks:
  - use: performance.acuracy
    with: {anything: 1}
  - use: robustness.evasion
    with: {norm: l3, epss: 0.1}
    only: [farir]
    gate: {metric: robust_accuracy, min: 0.9, max: 0.1}
  - use: performance.accuracy
    gate:
      - {metric: accuracy, minn: 0.4}
      - {metric: accuracy}
      - {min: 0.4}
"""
PLACES = [
    (4, "models.0.recipe", "`privacy` belongs to"),
    (4, "models.0.recipe.epochs", "greater than or equal to 1"),
    (5, "models.1.name", "two models are called 'a'"),
    (6, "models.1.recipe.architecture", "unknown architecture 'mpl'"),
    (8, "models.2.recipe.fairness.attribute", "unknown group column 'sexe'"),
    (9, "models.3", "exactly one of"),
    (12, "models.3.seed", "unknown key"),
    (13, "contxt", "unknown key"),
    (14, "run.seed", "greater than or equal to 0"),
    (15, "policy.waivers", "there is no file"),
    (17, "checks.0.use", "unknown check"),
    (20, "checks.1.with.epss", "unknown key"),
    (20, "checks.1.with.norm", "Input should be"),
    (21, "checks.1.only.0", "`only` for 'farir'"),
    (22, "checks.1.gate", "min 0.9 is above max 0.1"),
    (25, "checks.2.gate.0.minn", "unknown key"),
    (26, "checks.2.gate.1", "a gate needs"),
    (27, "checks.2.gate.2.metric", "'metric' is missing"),
]


def refused(folder: Path, text: str) -> SpecError:
    path = folder / "audit.yaml"
    path.write_text(text)
    with pytest.raises(SpecError) as caught:
        load_spec(path)
    return caught.value


def place(error: SpecError) -> tuple[int, str]:
    line, _, key = str(error.where).rpartition("audit.yaml:")[2].partition(" ")
    return int(line), key.strip("()")


def test_every_mistake_is_told_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    error = refused(tmp_path, SPEC)
    told = error.mistakes
    assert sorted(map(place, told)) == [(line, key) for line, key, _ in PLACES]
    assert [place(each)[0] for each in told] == sorted(line for line, *_ in PLACES)
    problems = {place(each): each.problem for each in told}
    for line, key, says in PLACES:
        assert says in problems[line, key]
    shown = str(error)
    assert shown.startswith(f"{len(PLACES)} mistakes:\n")
    assert all(str(each) in shown for each in told)
    assert error.exit_code == 2


@pytest.mark.parametrize(
    ("wrong", "near"),
    [("models.2.recipe.fairness.attribute", "sex"), ("checks.1.only.0", "fair"), ("contxt", "context")],
)
def test_the_nearest_name_is_offered(tmp_path: Path, wrong: str, near: str) -> None:
    (found,) = (each for each in refused(tmp_path, SPEC).mistakes if place(each)[1] == wrong)
    assert f"did you mean {near!r}?" in str(found.remedy)


GOOD = {
    "data": {"name": "digits"},
    "run": {"seed": 1},
    "models": [
        {
            "name": "a",
            "recipe": {
                "architecture": "cnn",
                "kind": "private",
                "epochs": 2,
                "privacy": {"epsilon": 8, "delta": 1.0e-4},
            },
        },
        {"name": "b", "ref": "registry:b"},
    ],
    "checks": [
        {"use": "performance.accuracy", "gate": {"metric": "accuracy", "min": 0.5}},
        {"use": "robustness.evasion", "with": {"norm": "linf", "eps": 0.1}, "only": ["a"]},
    ],
}
SINGLE = {  # each an edit that is one mistake, and the key it must be told at
    "data.name": ("data", "name", "digist"),
    "run.sed": ("run", "sed", 1),
    "models.0.recipe.epochs": ("models", 0, "recipe", "epochs", "many"),
    "models.0.recipe.privacy.epsilon": ("models", 0, "recipe", "privacy", "epsilon", -1),
    "models.1.reff": ("models", 1, "reff", "x"),
    "checks.0.gate.min": ("checks", 0, "gate", "min", "half"),
    "checks.1.with.norm": ("checks", 1, "with", "norm", "l3"),
    "checks.1.only.0": ("checks", 1, "only", ["c"]),
    "checks.1.gate": ("checks", 1, "gate", {"metric": "robust_accuracy"}),
    "context": ("context", "me"),
}


@pytest.mark.parametrize("seed", range(12))
def test_any_mistakes_together_are_told_as_each_alone(tmp_path: Path, seed: int) -> None:
    """The union of what single mistakes are told, for sets of independent ones."""
    chosen = random.Random(seed).sample(sorted(SINGLE), k=2 + seed % 5)
    assert not {place(e)[1] for e in refused(tmp_path, _with(chosen)).mistakes} ^ set(chosen)
    for name in chosen:
        assert [place(e)[1] for e in refused(tmp_path, _with([name])).mistakes] == [name]


def _with(names: list[str]) -> str:
    spec = yaml.safe_load(yaml.safe_dump(GOOD))
    for name in names:
        *path, key, value = SINGLE[name]
        at = spec
        for part in path:
            at = at[part]
        at[key] = value
    return yaml.safe_dump(spec)


def test_the_good_spec_is_good(tmp_path: Path) -> None:
    (tmp_path / "audit.yaml").write_text(_with([]))
    assert len(load_spec(tmp_path / "audit.yaml").configs) == 2


def test_every_key_that_stands_twice_is_told(tmp_path: Path) -> None:
    error = refused(tmp_path, "run: {seed: 1, seed: 2}\ndata: {name: digits}\ndata: {name: adult}\n")
    assert [(place(each)[0], "stands twice" in each.problem) for each in error.mistakes] == [
        (1, True),
        (3, True),
    ]


def test_a_hundred_mistakes_fit_on_a_screen(tmp_path: Path) -> None:
    shown = str(refused(tmp_path, "".join(f"k{i}: 1\n" for i in range(100))))
    assert len(shown.splitlines()) <= 45
    assert shown.endswith("more")


@pytest.mark.parametrize(
    "wrong",
    [
        "".join(f"k{i}: 1\n" for i in range(3000)),
        "checks:\n" + "- {us: x}\n" * 1500,
        "checks:\n" + "- {use: x}\n" * 1500,
        f"models: [{'{name: a, ref: x}, ' * 900}]\n",
        "models: [{name: a, ref: x}]\n"
        f"checks: [{{use: performance.accuracy, only: [{', '.join(f'm{i}' for i in range(2000))}]}}]\n",
    ],
)
def test_a_file_of_nothing_but_mistakes_is_refused_soon(tmp_path: Path, wrong: str) -> None:
    began = time.process_time()
    refused(tmp_path, wrong)
    assert time.process_time() - began < 5


def test_waivers_are_told_all_of_it_too(tmp_path: Path) -> None:
    path = tmp_path / "waivers.yaml"
    path.write_text(
        "- {check: performance.acuracy, metric: accuracy, owner: a, reason: b, expires: 2027-01-31}\n"
        "- {check: performance.accuracy, metric: accuracy, owner: a, reason: b, expires: soon}\n"
        "- {check: performance.accuracy, metric: accuracy, reason: ' ', expires: 2027-01-31}\n"
    )
    with pytest.raises(SpecError) as caught:
        load_waivers(path)
    places = [str(each.where).rpartition("waivers.yaml:")[2] for each in caught.value.mistakes]
    assert places == ["1 (0.check)", "2 (1.expires)", "3 (2.owner)", "3 (2.reason)"]
