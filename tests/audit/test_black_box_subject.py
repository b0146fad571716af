"""Black boxes under audit: what may be asked of them, what is never made up, and a run over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from raiaudit.attacks.spaces import ImageBox, TokenSpace
from raiaudit.attacks.threats import Norm
from raiaudit.audit.check import Capability, Task
from raiaudit.audit.fairness.by_group.groups import Groups, GroupsConfig
from raiaudit.audit.ledger import Ledger
from raiaudit.audit.performance.accuracy import Accuracy, AccuracyConfig
from raiaudit.audit.robustness.attack_names import choose_attack
from raiaudit.audit.robustness.evasion import Evasion, EvasionConfig
from raiaudit.audit.runner import run_suite
from raiaudit.audit.spec import load_spec
from raiaudit.audit.statistics.intervals import wilson
from raiaudit.audit.store import Home
from raiaudit.audit.subject import Subject
from raiaudit.cli import app
from raiaudit.errors import (
    CapabilityError,
    QueryFailedError,
    RaiauditError,
    SpecError,
    SubjectUnavailableError,
)
from raiaudit.models.black_box import from_callable, version_of
from raiaudit.models.data import load_dataset
from raiaudit.models.data.dataset import Dataset, Split

SIDE = 4
WEIGHT = np.random.default_rng(3).normal(size=SIDE * SIDE)
POISON = 7

Model = Callable[[Any], Any]


def pixels(n: int) -> Any:
    return np.random.default_rng(1).uniform(0.3, 0.7, size=(n, 1, SIDE, SIDE)).astype(np.float32)


def margin(x: Any) -> Any:
    """w·(x − ½), row by row, so that no answer depends on its batch."""
    return np.array([((row.ravel().astype(np.float64) - 0.5) * WEIGHT).sum() for row in x])


def dataset_of(n: int = 24) -> Dataset:
    x = pixels(n)
    labels = (margin(x) > 0).astype(np.int64)
    labels[::6] = 1 - labels[::6]
    groups = pl.DataFrame({"side": ["left", "right"] * (n // 2)})
    split = Split(pl.Series([f"e{row:03d}" for row in range(n)]), x, labels, groups)
    return Dataset(
        "planted", "image", ("no", "yes"), ImageBox((1, SIDE, SIDE)), {"test": split}, "d" * 64, ("side",)
    )


def scored(x: Any) -> Any:
    yes = 1 / (1 + np.exp(-margin(x)))
    return np.stack([1 - yes, yes], axis=1)


def labelled(x: Any) -> Any:
    return ["yes" if value > 0 else "no" for value in margin(x)]


def poisoned(model: Model) -> Model:
    """Refuses whatever is closer to the poisoned example than to any other."""
    clean = pixels(24).reshape(24, -1)

    def answer(x: Any) -> Any:
        nearest = [np.linalg.norm(clean - row.ravel(), axis=1).argmin() for row in x]
        if POISON in nearest:
            raise TimeoutError("no answer")
        return model(x)

    return answer


def subject_of(function: Model, returns: Any, dataset: Dataset | None = None) -> Subject:
    data = dataset or dataset_of()
    box = from_callable(function, returns=returns, classes=data.classes, space=data.space)
    version = version_of(box, data, name="box")
    return Subject("box", data, version.record, version, seed=0, device_name="cpu")


def options(**given: Any) -> EvasionConfig:
    return EvasionConfig.model_validate(given)


# What may be asked


def test_a_box_offers_its_answers_and_nothing_else() -> None:
    groups = {Capability.GROUPS}
    assert subject_of(labelled, "labels").capabilities == {Capability.LABELS} | groups
    expected = {Capability.LABELS, Capability.PROBABILITIES} | groups
    assert subject_of(scored, "scores").capabilities == expected


@pytest.mark.parametrize(
    ("capabilities", "asked", "chosen"),
    [
        ({Capability.LABELS, Capability.PROBABILITIES}, "auto", "square"),
        ({Capability.LABELS, Capability.PROBABILITIES}, "boundary", "boundary"),
        ({Capability.LABELS}, "boundary", "boundary"),
        ({Capability.LABELS, Capability.PROBABILITIES, Capability.GRADIENTS}, "auto", "pgd"),
    ],
)
def test_a_box_is_attacked_with_what_it_allows(
    capabilities: set[Capability], asked: str, chosen: str
) -> None:
    assert choose_attack(asked, "image", capabilities, None, where="here") == chosen


@pytest.mark.parametrize("norm", [None, "linf", "l1", "l0"])
def test_scores_alone_are_enough_to_attack_a_table(norm: Norm | None) -> None:
    scores = {Capability.LABELS, Capability.PROBABILITIES}
    assert choose_attack("auto", "tabular", scores, norm, where="here") == "greedy_table"


@pytest.mark.parametrize(
    ("asked", "modality", "capabilities", "says"),
    [
        (
            "pgd",
            "image",
            {Capability.LABELS, Capability.PROBABILITIES},
            "needs gradients; the model gives scores",
        ),
        ("square", "image", {Capability.LABELS}, "needs scores; the model gives labels alone"),
        ("auto", "tabular", {Capability.LABELS}, "no attack on tabular inputs"),
        ("auto", "text", {Capability.LABELS}, "no attack on text inputs"),
    ],
)
def test_an_attack_that_must_know_more_cannot_run(
    asked: str, modality: str, capabilities: set[Capability], says: str
) -> None:
    with pytest.raises(CapabilityError, match=says) as caught:
        choose_attack(asked, modality, capabilities, None, where="here")
    assert caught.value.remedy is not None
    assert ("boundary" in caught.value.remedy) == (modality == "image")


# What is never made up


def test_labels_alone_give_accuracy_but_no_log_loss(run_check: Any) -> None:
    subject = subject_of(labelled, "labels")
    ledger = run_check(Accuracy(), subject, AccuracyConfig())
    measured = {m.metric: m for m in Accuracy().summarise(ledger, subject, AccuracyConfig())}
    assert measured["accuracy"].value == 20 / 24
    assert measured["log_loss"].value is None
    assert "labels alone" in str(measured["log_loss"].reason)
    assert not {"accuracy.confidence", "accuracy.log_loss"} & ledger.columns()


def test_scores_give_the_log_loss_of_their_own_probabilities(run_check: Any) -> None:
    subject = subject_of(scored, "scores")
    ledger = run_check(Accuracy(), subject, AccuracyConfig())
    (log_loss,) = (
        m for m in Accuracy().summarise(ledger, subject, AccuracyConfig()) if m.metric == "log_loss"
    )
    split = subject.test
    expected = -np.log(scored(split.inputs)[np.arange(24), split.labels]).mean()
    assert log_loss.value == pytest.approx(expected, rel=1e-5)


def test_labels_alone_give_rates_by_group_but_no_area(run_check: Any) -> None:
    found = {}
    for name, subject in (
        ("labels", subject_of(labelled, "labels")),
        ("scores", subject_of(scored, "scores")),
    ):
        config = GroupsConfig(min_group=2, permutations=99)
        ledger = run_check(Groups(), subject, config)
        found[name] = {m.label(): m for m in Groups().summarise(ledger, subject, config)}
    assert {label for label in found["labels"] if label.startswith("auc")} == {
        "auc_difference (attribute=side)"
    }
    undefined = found["labels"].pop("auc_difference (attribute=side)")
    assert undefined.value is None
    assert "labels alone" in str(undefined.reason)
    for label, measured in found["labels"].items():  # the same model, so the same rates
        assert measured.value == found["scores"][label].value, label


def test_an_example_without_an_answer_stops_accuracy_and_is_named(run_check: Any) -> None:
    with pytest.raises(QueryFailedError, match="TimeoutError: no answer") as caught:
        run_check(Accuracy(), subject_of(poisoned(scored), "scores"), AccuracyConfig())
    assert caught.value.where == "box, test example e007"
    assert "no usable answer for 1 of 24 examples" in str(caught.value)


# Attacks


@pytest.mark.parametrize(
    ("returns", "model", "attack", "norm", "eps"),
    [
        ("scores", scored, "square", "linf", 0.05),
        ("labels", labelled, "boundary", "l2", 0.2),
    ],
)
def test_a_failing_example_is_unknown_and_changes_no_other(
    returns: Any, model: Model, attack: str, norm: Any, eps: float, run_check: Any
) -> None:
    """The others' rows are those of a box that never fails, and agree with the closed form."""
    config = options(attack=attack, norm=norm, eps=[eps], steps=200, shard=24)
    at = f"evasion.{norm}-{eps:g}-{attack}"
    columns = [f"{at}.broken", f"{at}.clean_broken"]
    ledgers: list[Ledger] = []
    for function in (model, poisoned(model)):
        subject = subject_of(function, returns)
        ledgers.append(run_check(Evasion(), subject, config))
    healthy, failing = (ledger.scan(*columns).collect().sort("example_id") for ledger in ledgers)
    bad = failing.row(POISON, named=True)
    assert bad["example_id"] == f"e{POISON:03d}"
    assert bad[columns[0]] is None
    assert bad[columns[1]] is None
    others = pl.Series(range(24)) != POISON
    assert healthy.filter(others)[columns[1]].equals(failing.filter(others)[columns[1]])
    assert failing.filter(others)[columns[0]].null_count() == 0
    split = dataset_of().splits["test"]
    distance = (
        margin(split.inputs) * (2 * split.labels - 1) / np.linalg.norm(WEIGHT, 1 if norm == "linf" else 2)
    )
    for frame in (healthy, failing.filter(others)):
        rows = [int(example[1:]) for example in frame["example_id"]]
        broken = frame[columns[0]].to_numpy()
        assert not broken[distance[rows] > eps].any()  # out of reach
        assert 0 < broken.sum() < len(broken)
        if attack == "square":
            assert broken[distance[rows] < eps / 2].all()  # within easy reach
    if attack == "square":  # keyed by example, so to the bit
        assert healthy.filter(others).equals(failing.filter(others))

    robust = {m.metric: m for m in Evasion().summarise(ledgers[1], subject, config)}["robust_accuracy"]
    right = int((~failing.filter(others)[columns[0]]).sum())
    assert robust.value == right / 23
    assert (robust.low, robust.high) == (wilson(right, 24).low, wilson(right + 1, 24).high)
    assert "no answer about 1 of 24 examples" in str(robust.reason)


def test_a_text_box_is_attacked_by_its_scores(run_check: Any) -> None:
    """The model looks for one word: whoever misspells it wins. One text has no answer."""
    texts = [f"text {n} is splendid" for n in range(6)] + ["this one is broken"]
    labels = np.array([1] * 6 + [0])
    split = Split(pl.Series([f"t{n}" for n in range(7)]), texts, labels)
    data = Dataset(
        "texts", "text", ("bad", "good"), TokenSpace(100, 16), {"train": split, "test": split}, "d" * 64
    )

    def model(given: list[str]) -> Any:
        if "this one is broken" in given:
            raise ValueError("no")
        return [[0.1, 0.9] if "splendid" in text else [0.8, 0.2] for text in given]

    subject = subject_of(model, "scores", data)
    config = options(eps=[0.4], norm="l0")
    ledger = run_check(Evasion(), subject, config)
    (task,) = Evasion().tasks(subject, config)
    assert task.params["attack"] == "characters"
    at = "evasion.l0-0.4-characters"
    rows = ledger.scan(f"{at}.broken", f"{at}.adversarial").collect().sort("example_id")
    assert rows[f"{at}.broken"].to_list() == [True] * 6 + [None]
    assert not any("splendid" in text for text in rows[f"{at}.adversarial"][:6])
    assert rows[f"{at}.adversarial"][6] is None


def test_a_group_with_missing_answers_is_not_compared(run_check: Any) -> None:
    subject = subject_of(poisoned(scored), "scores")
    attack = options(attack="square", norm="linf", eps=[0.05], steps=20)
    ledger = run_check(Evasion(), subject, attack)
    groups = subject.test.groups.with_columns(example_id=subject.test.ids).rename({"side": "group"})
    answers = pl.DataFrame(
        {
            "example_id": subject.test.ids,
            "fairness.label": subject.test.labels,
            "fairness.predicted": subject.test.labels,
            "fairness.group.side": groups["group"],
        }
    )
    ledger.append(Task(check="fairness.groups", name="planted"), "0" * 64, answers)
    labels_only = subject_of(labelled, "labels")
    found = Groups().summarise(ledger, labels_only, GroupsConfig(min_group=2, permutations=99))
    robust = {m.where.get("group"): m for m in found if m.metric == "robust_accuracy"}
    assert robust["left"].n == 12
    assert robust["right"].n == 11  # e007 is one of them
    assert robust["left"].reason is None
    assert robust["right"].reason == "no answer about 1 of its 12 examples"
    (widest,) = (m for m in found if m.metric == "robust_accuracy_difference")
    assert widest.value is None


def test_a_box_that_dies_ends_the_attack() -> None:
    left = 2 * 24 + 100

    def answers_for_a_while(x: Any) -> Any:
        nonlocal left
        left -= len(x)
        if left < 0:
            raise ConnectionError("gone")
        return scored(x)

    subject = subject_of(answers_for_a_while, "scores")
    config = options(attack="square", eps=[0.01], steps=50)
    (task,) = Evasion().tasks(subject, config)
    with pytest.raises(SubjectUnavailableError, match="gone"):
        Evasion().execute(task, subject)


def test_a_box_that_answers_for_nobody_is_undefined(run_check: Any) -> None:
    rows = pl.DataFrame(
        {
            "example_id": ["a", "b"],
            "evasion.linf-0.1-square.broken": pl.Series([None, None], dtype=pl.Boolean),
            "evasion.linf-0.1-square.clean_broken": pl.Series([None, False], dtype=pl.Boolean),
            "evasion.linf-0.1-square.norm": pl.Series([0.0, 0.0], dtype=pl.Float32),
            "evasion.linf-0.1-square.forwards": [0, 0],
            "evasion.linf-0.1-square.backwards": [0, 0],
        }
    )

    class Planted(Evasion):
        def execute(self, task: Any, subject: Any) -> pl.DataFrame:
            return rows

    subject = subject_of(scored, "scores")
    config = options(attack="square", eps=[0.1], norm="linf")
    measured = Evasion().summarise(run_check(Planted(), subject, config), subject, config)
    assert {m.value for m in measured} == {None}
    assert all("no answer about" in str(m.reason) for m in measured)


# A run over HTTP

SPEC = """\
data: {{name: digits}}
models:
  - name: prod
    endpoint:
      url: {url}
      returns: {returns}
      batch: 32
      timeout: 5
      retries: 0
      headers_env: {{Authorization: RAIAUDIT_TEST_TOKEN}}
run: {{seed: 3, device: cpu, limit: 40}}
checks:
  - use: performance.accuracy
    gate: {{metric: accuracy, min: 0.5}}
  - use: robustness.evasion
    with: {{eps: [0.1], steps: 20, attack: {attack}, examples: 12}}
    gate: {{metric: robust_accuracy, max: 1}}
  - use: robustness.corruption
    with: {{corruptions: [gaussian_noise], severities: [1], examples: 12}}
  - use: fairness.groups
    with: {{permutations: 99, min_group: 5}}
  - use: reliability.calibration
    gate: {{metric: ece, max: 1}}
  - use: explanations.attribution
  - use: privacy.membership
"""


def nearest_mean(spread: float = 0.1) -> Callable[[Any, int], Any]:
    """A known model of the digits: softmax over the distances to the mean image of each class."""
    train = load_dataset("digits").splits["train"]
    means = np.stack([train.inputs[train.labels == k].mean(axis=0).ravel() for k in range(10)])

    def reply(body: Any, _: int) -> Any:
        x = np.array(body["inputs"]).reshape(len(body["inputs"]), -1)
        closeness = -((x[:, None] - means) ** 2).sum(axis=2) / spread
        scores = np.exp(closeness - closeness.max(axis=1, keepdims=True))
        return {"scores": (scores / scores.sum(axis=1, keepdims=True)).tolist()}

    return reply


def as_labels(reply: Callable[[Any, int], Any]) -> Callable[[Any, int], Any]:
    return lambda body, n: {"labels": np.argmax(reply(body, n)["scores"], axis=1).tolist()}


@pytest.fixture
def audited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, list[Path]]]:
    """`raiaudit run` of the spec: (exit code, output, run directories)."""
    monkeypatch.setenv("RAIAUDIT_TEST_TOKEN", "s3cret-token")

    def run(url: str, returns: str, attack: str = "auto") -> tuple[int, str, list[Path]]:
        spec = tmp_path / "audit.yaml"
        spec.write_text(SPEC.format(url=url, returns=returns, attack=attack))
        done = CliRunner().invoke(app, ["run", str(spec), "--home", str(tmp_path / "home")])
        runs = tmp_path / "home" / "runs"
        code = done.exception.exit_code if isinstance(done.exception, RaiauditError) else done.exit_code
        return code, f"{done.output}{done.exception or ''}", sorted(runs.glob("*"))

    return run


def outcomes(run: Path) -> dict[str, tuple[str, str]]:
    results = json.loads((run / "results.json").read_text())
    return {check["check"]: (check["status"], check["reason"] or "") for check in results["checks"]}


def test_a_whole_audit_of_an_endpoint_with_scores(serve: Any, audited: Any) -> None:
    server = serve(nearest_mean())
    code, output, (run,) = audited(server.url, "scores")
    assert code == 0, output
    ended = outcomes(run)
    assert {check for check, (status, _) in ended.items() if status == "ran"} == {
        "performance.accuracy",
        "robustness.evasion",
        "robustness.corruption",
        "fairness.groups",
        "reliability.calibration",
    }
    assert "no gradients" in ended["explanations.attribution"][1]
    assert "no training data" in ended["privacy.membership"][1]

    results = json.loads((run / "results.json").read_text())
    test = load_dataset("digits").splits["test"].take(slice(0, 40))
    scores = nearest_mean()({"inputs": test.inputs.tolist()}, 0)["scores"]
    (accuracy,) = (
        m["value"] for m in results["measurements"] if m["metric"] == "accuracy" and not m["where"]
    )
    assert accuracy == (np.argmax(scores, axis=1) == test.labels).mean()
    robust = [
        m for m in results["measurements"] if m["metric"] == "robust_accuracy" and not m["where"].get("group")
    ]
    assert robust[0]["where"]["attack"] == "square"

    record = results["subject"]["record"]
    assert record["architecture"] == "endpoint"
    assert record["config"] == {
        "url": server.url,
        "returns": "scores",
        "protocol": "raiaudit-json/1",
        "answers": "repeat exactly",
    }
    assert server.headers[0]["Authorization"] == "s3cret-token"
    assert not [path for path in run.rglob("*") if path.is_file() and b"s3cret" in path.read_bytes()]
    from raiaudit.audit.store import Run
    from raiaudit.reports.content.report import report_content

    facts = dict(report_content(Run(run))["system"])
    assert "unverifiable weights" in facts["Architecture"]

    asked = len(server.bodies)
    assert audited(server.url, "scores")[0] == 0
    assert len(server.bodies) == asked + 2  # the fingerprint, twice: the same model, so nothing else

    server.reply = nearest_mean(spread=0.2)  # a change that moves no label
    assert len(audited(server.url, "scores")[2]) == 2  # another model, so another run


def test_a_whole_audit_of_an_endpoint_with_labels(serve: Any, audited: Any) -> None:
    server = serve(as_labels(nearest_mean()))
    code, output, (run,) = audited(server.url, "labels", "boundary")
    assert code == 3, output  # the calibration gate could not be decided
    ended = outcomes(run)
    assert ended["reliability.calibration"] == ("not_run", "the subject offers no probabilities")
    assert ended["robustness.evasion"][0] == "ran"
    assert ended["fairness.groups"][0] == "ran"
    verdicts = json.loads((run / "results.json").read_text())["verdicts"]
    assert {verdict["check"]: verdict["status"] for verdict in verdicts} == {
        "performance.accuracy": "pass",
        "robustness.evasion": "pass",
        "reliability.calibration": "not_run",
    }


def test_a_white_box_attack_on_an_endpoint_is_not_run(serve: Any, audited: Any) -> None:
    _, _, (run,) = audited(serve(nearest_mean()).url, "scores", "pgd")
    status, reason = outcomes(run)["robustness.evasion"]
    assert status == "not_run"
    assert "needs gradients" in reason
    assert "square" in reason


def test_an_endpoint_that_dies_leaves_a_run_that_resumes(serve: Any, audited: Any) -> None:
    honest = nearest_mean()

    def dying(body: Any, number: int) -> Any:
        return (503, {}, b"") if number >= 8 else honest(body, number)

    server = serve(dying)
    code, output, (run,) = audited(server.url, "scores")
    assert code == 3
    assert "HTTP 503" in output
    assert json.loads((run / "header.json").read_text())["status"] == "failed"
    server.reply = honest
    code, output, (again,) = audited(server.url, "scores")
    assert (code, again) == (0, run), output


def test_an_endpoint_that_is_down_costs_no_other_model(
    serve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAIAUDIT_TEST_TOKEN", "s3cret-token")
    down, up = serve(nearest_mean()), serve(nearest_mean())
    down.stop()
    path = tmp_path / "two.yaml"
    path.write_text(
        f"""\
data: {{name: digits}}
models:
  - {{name: down, endpoint: {{url: "{down.url}", returns: scores, retries: 0}}}}
  - {{name: up, endpoint: {{url: "{up.url}", returns: scores}}}}
run: {{limit: 20}}
checks: [{{use: performance.accuracy}}]
"""
    )
    events: list[Any] = []
    home = Home(tmp_path / "home")
    with pytest.raises(SubjectUnavailableError, match="cannot connect"):
        run_suite(load_spec(path), home, listener=events.append, documents=lambda _: None)
    assert [event["model"] for event in events if event["event"] == "run_failed"] == ["down"]
    (run,) = (tmp_path / "home" / "runs").iterdir()
    assert json.loads((run / "header.json").read_text())["status"] == "finished"


# Specs


@pytest.mark.parametrize(
    ("model", "says", "line"),
    [
        ("endpoint: {url: 'http://h/p', returns: scores}", "needs a `name`", 3),
        ("{name: a, endpoint: {url: 'http://h/p'}}", "'returns' is missing", 3),
        ("{name: a, endpoint: {url: 'http://h/p', return: scores}}", "unknown key 'return'", 3),
        ("{name: a, endpoint: {url: 'http://h/p', returns: logits}}", "logits", 3),
        ("{name: a, endpoint: {url: 'ftp://h/p', returns: scores}}", "http:// or https://", 3),
        ("{name: a, endpoint: {url: 'http://u:s3cret@h/p', returns: scores}}", "user or password", 3),
        ("{name: a, endpoint: {url: 'http://h/p', returns: scores, timeout: 0}}", "greater than 0", 3),
        ("{name: a, ref: b, endpoint: {url: 'http://h/p', returns: scores}}", "exactly one of", 3),
    ],
)
def test_a_wrong_endpoint_is_told_at_its_line(tmp_path: Path, model: str, says: str, line: int) -> None:
    path = tmp_path / "audit.yaml"
    path.write_text(
        f"data: {{name: digits}}\nmodels:\n  - {model}\nchecks: [{{use: performance.accuracy}}]\n"
    )
    with pytest.raises(SpecError) as caught:
        load_spec(path)
    assert says in str(caught.value)
    assert f"audit.yaml:{line}" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_plan_is_made_without_asking() -> None:
    """Only the fingerprint was asked for; what a check needs is known without more."""
    asked = 0

    def counted(x: Any) -> Any:
        nonlocal asked
        asked += len(x)
        return scored(x)

    subject = subject_of(counted, "scores")
    before = asked
    Evasion().tasks(subject, options(eps=[0.1]))
    Accuracy().tasks(subject, AccuracyConfig())
    assert asked == before == 2 * 24
