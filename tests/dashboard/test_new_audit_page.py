"""The page in every state: form, YAML, what is wrong, what may not be done here, and a job to its end."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from streamlit.testing.v1 import AppTest

from raiaudit.audit.spec import load_spec
from raiaudit.audit.store import Home
from raiaudit.dashboard.jobs import starting
from raiaudit.dashboard.jobs.job import Job, JobKind, JobRecord, list_jobs
from raiaudit.dashboard.jobs.process import ProcessId, spawn
from raiaudit.dashboard.new_audit import actions, following, page
from raiaudit.dashboard.new_audit.foretelling import about

EXAMPLES = Path(__file__).parents[2] / "examples"
VALID = """\
data: {name: digits}
model: {name: tiny, recipe: {architecture: mlp, epochs: 1}}
checks: [{use: performance.accuracy}]
"""


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for somebody who sits at this machine."""
    for module in (page, actions, following):
        monkeypatch.setattr(module, "obstacle_here", lambda: None)


def opened(**query: str) -> AppTest:
    def script() -> None:
        from raiaudit.audit.store import Home
        from raiaudit.dashboard.new_audit import page

        page.show(Home.at(), {})

    test = AppTest.from_function(script, default_timeout=30)
    for key, value in query.items():
        test.query_params[key] = value
    return ok(test.run())


def ok(test: AppTest) -> AppTest:
    assert not test.exception, [element.value for element in test.exception]
    return test


def spec_of(test: AppTest) -> dict[str, object]:
    shown = next(element.value for element in test.code if "apiVersion" in element.value)
    found: dict[str, object] = yaml.safe_load(shown)
    return found


def said(test: AppTest) -> str:
    parts = [
        *test.markdown,
        *test.caption,
        *test.error,
        *test.warning,
        *test.info,
        *test.success,
        *test.title,
    ]
    links = [str(element.proto.label) for element in test.get("page_link")]
    bars = [str(element.proto.text) for element in test.get("progress")]
    text = "\n".join(
        [*(str(part.value) for part in parts), *(str(part.value) for part in test.code), *links, *bars]
    )
    return text.replace("\\", "").replace("\u2060", "")


def button(test: AppTest, label: str) -> object:
    return next((each for each in test.button if each.label == label), None)


def press(test: AppTest, label: str) -> AppTest:
    return ok(next(each for each in test.button if each.label == label).click().run())


def widget(test: AppTest, kind: str, ending: str) -> object:
    return next(each for each in test.get(kind) if str(each.key).endswith(f"/{ending}/value"))


def typed(test: AppTest, ending: str, value: object, kind: str = "text_input") -> AppTest:
    return ok(widget(test, kind, ending).set_value(value).run())  # type: ignore[attr-defined]


def job(home: Home, *, kind: JobKind = "audit", process: ProcessId | None = None, title: str = "mine") -> Job:
    folder = home.root / "jobs" / "20261121-190000-0a0a"
    folder.mkdir(parents=True)
    spec = home.root / "specs" / "mine.yaml"
    spec.parent.mkdir()
    spec.write_text(VALID)
    record = JobRecord(
        kind=kind,
        title=title,
        spec=str(spec),
        command=(sys.executable, "-P", "-m", "raiaudit", "run", "--", str(spec)),
        models=("tiny",),
        created="2026-11-21T19:00:00+00:00",
        process=process,
    )
    (folder / "job.json").write_text(record.model_dump_json())
    return Job(folder, record)


def gone() -> ProcessId:
    """A process that has ended."""
    here = spawn([sys.executable, "-c", "pass"], env={}, out=Path(os.devnull), err=Path(os.devnull))
    os.waitpid(here.pid, 0)
    return here


@pytest.mark.usefixtures("local")
def test_it_opens_with_an_example_that_is_ready_to_start(home: Home) -> None:
    test = opened()
    assert "Valid: digits-cnn; 4 checks, 2 gates" in said(test)
    assert not button(test, "Start the audit").disabled  # type: ignore[attr-defined]
    assert spec_of(test)["data"] == {"name": "digits"}
    assert not home.root.exists()  # looking writes nothing


def test_from_elsewhere_it_has_no_button_reads_no_file_and_says_why(home: Home) -> None:
    test = opened()
    assert button(test, "Start the audit") is None
    assert button(test, "Suggest the rest") is None
    assert "can be reached from other machines" in said(test)
    assert "raiaudit run first-audit.yaml" in said(test)
    ok(test.segmented_control(key=key_of(test, "data/source")).set_value("files").run())
    test = typed(test, "data.path", "/etc/passwd")
    assert "root" not in said(test)
    assert spec_of(test)["data"] == {"name": "passwd", "path": "/etc/passwd"}


def key_of(test: AppTest, ending: str) -> str:
    return next(str(each.key) for each in test.get("button_group") if str(each.key).endswith(ending))


@pytest.mark.usefixtures("local", "home")
def test_what_is_wrong_stands_beside_its_field_while_it_is_written() -> None:
    test = typed(opened(), "robustness.evasion.eps", "-1")
    assert ":red[:material/error: -1 is no radius" in said(test)
    assert "Not valid yet. Line " in said(test)
    assert button(test, "Start the audit").disabled  # type: ignore[attr-defined]
    test = typed(test, "robustness.evasion.eps", "2/255, 8/255")
    assert "Valid:" in said(test)
    assert spec_of(test)["checks"][1]["with"]["eps"] == ["2/255", "8/255"]  # type: ignore[index]
    test = typed(test, "model.recipe.epochs", 0, "number_input")
    assert ":red[:material/error: Input should be greater than or equal to 1, got 0" in said(test)


@pytest.mark.usefixtures("local", "home")
def test_hostile_texts_stay_texts() -> None:
    test = opened()
    for text in (
        "../../x",
        "a\nname: b",
        "[x](https://evil.example)",
        "x" * 10_000,
        "!!python/object:os.x",
        "\u202e",
    ):
        test = typed(test, "context.purpose", text)
        assert spec_of(test)["context"] == {"purpose": text}
    test = typed(test, "spec.name", "--unsafe-load")
    assert "String should match pattern" in said(test)
    assert not any("](https" in str(element.value) for element in test.markdown)


@pytest.mark.usefixtures("local", "home")
def test_a_kind_of_training_brings_the_fields_it_needs() -> None:
    test = opened()
    ok(widget(test, "selectbox", "model.recipe.kind").set_value("private").run())  # type: ignore[attr-defined]
    assert "kind: private needs" in said(test)
    test = typed(test, "model.recipe.privacy.epsilon", "8")
    assert ":red[:material/error: the key 'delta' is missing" in said(test)
    test = typed(test, "model.recipe.privacy.delta", "1e-4")
    assert spec_of(test)["model"]["recipe"]["privacy"] == {"epsilon": 8, "delta": 0.0001}  # type: ignore[index]
    assert "Valid:" in said(test)


@pytest.mark.usefixtures("local", "home")
def test_checks_that_are_chosen_bring_what_they_need_for_these_data() -> None:
    test = opened()
    pills = next(each for each in test.get("button_group") if str(each.key).endswith("checks/robustness"))
    test = ok(test.pills(key=str(pills.key)).set_value(["robustness.reliability"]).run())
    checks = spec_of(test)["checks"]
    assert {"use": "robustness.reliability", "with": {"eps": "8/255"}} in checks  # type: ignore[operator]
    assert "Valid:" in said(test)
    assert "2 more are not defined for image data" in said(test)


@pytest.mark.usefixtures("local", "home")
def test_a_gate_is_added_with_a_typical_threshold_and_removed() -> None:
    test = opened()
    adds = [each for each in test.button if each.label == "Add a gate"]
    test = ok(adds[-1].click().run())
    assert spec_of(test)["checks"][3]["gate"] == [{"metric": "ece", "max": 0.1}]  # type: ignore[index]
    removes = [each for each in test.button if each.label == "Remove this gate"]
    test = ok(removes[-1].click().run())
    assert "gate" not in spec_of(test)["checks"][3]  # type: ignore[index]


@pytest.mark.usefixtures("local", "home")
def test_columns_of_a_file_are_offered_and_the_rest_is_suggested(tmp_path: Path) -> None:
    table = tmp_path / "loans.csv"
    rows = [f"{n},{20 + n % 50},{'fm'[n % 2]},{'yes' if n % 3 else 'no'}" for n in range(200)]
    table.write_text("\n".join(["application,age,sex,repaid", *rows]))
    test = opened()
    ok(test.segmented_control(key=key_of(test, "data/source")).set_value("files").run())
    test = typed(test, "data.path", str(table))
    assert "Columns found: application, age, sex, repaid" in said(test)
    assert list(widget(test, "selectbox", "data.label").options) == ["application", "age", "sex", "repaid"]  # type: ignore[attr-defined]
    ok(widget(test, "selectbox", "data.label").set_value("repaid").run())  # type: ignore[attr-defined]
    test = press(test, "Suggest the rest")
    spec = spec_of(test)
    assert spec["data"]["path"] == str(table)  # type: ignore[index]
    assert spec["data"]["groups"] == ["sex"]  # type: ignore[index]
    assert "Valid: loans-mlp" in said(test)
    assert "you@example.org" not in said(test)


@pytest.mark.usefixtures("local", "home")
def test_yaml_is_checked_too_and_shown_in_the_form_where_it_fits() -> None:
    test = opened()
    test = ok(test.segmented_control(key="new_audit.mode").set_value("YAML").run())
    box = test.text_area(key="new_audit.editor")
    assert "apiVersion" in str(box.value)
    test = ok(box.set_value("data: {name: digit}\nmodel: {ref: registry:x}\nchecks: []\n").run())
    assert "Not valid yet" in said(test)
    test = ok(test.text_area(key="new_audit.editor").set_value(VALID + "run: {seed: 3}\n").run())
    assert "Valid: tiny; 1 check, 0 gates" in said(test)
    assert "the verdict will be inconclusive" in said(test)
    test = press(test, "Show it in the form")
    assert spec_of(test)["run"] == {"seed": 3}
    test = ok(test.segmented_control(key="new_audit.mode").set_value("YAML").run())
    code = VALID.replace("recipe: {architecture: mlp, epochs: 1}", "factory: 'net.py:make'")
    test = ok(test.text_area(key="new_audit.editor").set_value(code).run())
    test = press(test, "Show it in the form")
    assert "It stays YAML: the form is for a model trained here" in said(test)
    assert test.text_area(key="new_audit.editor").value == code


def in_form(text: str) -> AppTest:
    """The form that shows this spec."""
    test = ok(opened().segmented_control(key="new_audit.mode").set_value("YAML").run())
    return press(ok(test.text_area(key="new_audit.editor").set_value(text).run()), "Show it in the form")


SUITE = """\
data: {name: digits}
models:
  - {name: plain, recipe: {architecture: mlp, epochs: 1}}
  - {name: hardened, recipe: {kind: adversarial, architecture: mlp, epochs: 2, adversary: {eps: 0.1}}}
  - {ref: 'registry:older/3'}
checks:
  - use: robustness.evasion
    with: {eps: 0.05, attack: pgd}
    gate: {metric: robust_accuracy, min: 0.5}
  - use: robustness.evasion
    with: {norm: l2, eps: [0.5, 1]}
    only: [hardened]
    gate: [{metric: robust_accuracy, min: 0.7}, {metric: clean_accuracy, min: 0.9}]
  - use: fairness.groups
    only: [plain, older]
"""


@pytest.mark.usefixtures("local", "home")
@pytest.mark.parametrize("spec", [SUITE, (EXAMPLES / "digits.yaml").read_text()])
def test_several_models_and_uses_of_a_check_mean_the_same_after_the_form(spec: str, tmp_path: Path) -> None:
    test = in_form(spec)
    after = next(element.value for element in test.code if "apiVersion" in element.value)
    path = tmp_path / "suite.yaml"
    assert load_spec(path, text=after).digest() == load_spec(path, text=spec).digest()


@pytest.mark.usefixtures("local", "home")
def test_a_model_is_copied_changed_and_removed() -> None:
    test = typed(press(opened(), "Add a copy of this model"), "model#1.recipe.epochs", 3, "number_input")
    assert spec_of(test)["models"] == [
        {"name": "digits-cnn", "recipe": {"architecture": "cnn", "epochs": 10}},
        {"name": "digits-cnn-2", "recipe": {"architecture": "cnn", "epochs": 3}},
    ]
    assert "Valid: digits-cnn, digits-cnn-2; 4 checks, 2 gates" in said(test)
    test = press(press(test, "Remove model 1"), "Add a model")
    models = spec_of(test)["models"]
    assert [model["name"] for model in models] == ["digits-cnn", "digits-model"]  # type: ignore[attr-defined]
    assert "models.1.recipe.architecture" in said(test)  # what a new one lacks is told with its key
    test = press(test, "Remove model 2")
    assert spec_of(test)["model"] == {"name": "digits-cnn", "recipe": {"architecture": "cnn", "epochs": 3}}


@pytest.mark.usefixtures("local", "home")
def test_a_check_is_used_twice_each_with_its_own_options_gates_and_models() -> None:
    test = press(opened(), "Add a copy of this model")
    again = next(each for each in test.button if str(each.key).endswith("/robustness.evasion/press copy"))
    test = ok(again.click().run())
    test = typed(test, "robustness.evasion#1.eps", "0.2")
    test = typed(test, "robustness.evasion#1.gate.0.min", "0.1")
    test = typed(test, "robustness.evasion#1.only", ["digits-cnn-2"], "multiselect")
    uses = [check for check in spec_of(test)["checks"] if check["use"] == "robustness.evasion"]  # type: ignore[attr-defined]
    options = {"attack": "pgd", "steps": 20}
    assert uses == [
        {
            "use": "robustness.evasion",
            "with": {"eps": 0.05, **options},
            "gate": [{"metric": "robust_accuracy", "min": 0.5}],
        },
        {
            "use": "robustness.evasion",
            "with": {"eps": 0.2, **options},
            "gate": [{"metric": "robust_accuracy", "min": 0.1}],
            "only": ["digits-cnn-2"],
        },
    ]
    assert "Valid: digits-cnn, digits-cnn-2; 5 checks, 3 gates" in said(test)
    # What is wrong with the second use stands beside its own field, and all else that is wrong as well.
    test = typed(typed(test, "robustness.evasion#1.eps", "-1"), "model.recipe.epochs", 0, "number_input")
    assert "Not valid yet, for 2 reasons" in said(test)
    beside = [str(element.value) for element in test.markdown if "material/error" in str(element.value)]
    assert len(beside) == 2


@pytest.mark.usefixtures("local", "home")
def test_what_stood_in_a_removed_gate_does_not_come_back() -> None:
    test = typed(opened(), "performance.accuracy.gate.0.min", "0.123")
    remove = next(each for each in test.button if str(each.key).endswith("accuracy.gate.0/press remove"))
    test = ok(remove.click().run())
    add = next(each for each in test.button if str(each.key).endswith("/performance.accuracy/press gate"))
    test = ok(add.click().run())
    assert spec_of(test)["checks"][0]["gate"] == [{"metric": "accuracy", "min": 0.9}]  # type: ignore[index]


@pytest.mark.usefixtures("local", "home")
def test_code_is_refused_and_secrets_that_would_be_sent_are_named() -> None:
    test = ok(opened().segmented_control(key="new_audit.mode").set_value("YAML").run())
    factory = VALID.replace("recipe: {architecture: mlp, epochs: 1}", "factory: 'net.py:make'")
    test = ok(test.text_area(key="new_audit.editor").set_value(factory).run())
    assert button(test, "Start the audit").disabled  # type: ignore[attr-defined]
    assert "net.py" in said(test)
    endpoint = (
        "endpoint: {url: 'https://models.example.org', returns: scores, headers_env: {X-Key: MY_TOKEN}}"
    )
    asks = VALID.replace("recipe: {architecture: mlp, epochs: 1}", endpoint)
    test = ok(test.text_area(key="new_audit.editor").set_value(asks).run())
    assert "https://models.example.org is asked" in said(test)
    assert "MY_TOKEN" in said(test)


@pytest.mark.usefixtures("local")
def test_start_writes_the_spec_runs_it_and_follows(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        starting, "command_of", lambda *_: (sys.executable, "-c", "import time; time.sleep(60)")
    )
    test = press(opened(), "Start the audit")
    (started,) = list_jobs(home)
    assert test.query_params["job"] == started.id
    assert "Running" in said(test)
    assert "It goes on if you close this page" in said(test)
    written = Path(started.record.spec)
    assert written == home.root / "specs" / "first-audit.yaml"
    assert yaml.safe_load(written.read_text())["name"] == "first-audit"
    other = opened()
    assert "first-audit is running: follow it" in said(other)
    other = press(other, "Start the audit")
    assert "first-audit is running" in said(other)
    assert len(list_jobs(home)) == 1
    starting.cancel(started, at_once=True)


def test_a_button_pressed_in_an_old_session_asks_again_whether_it_may(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "obstacle_here", lambda: None)
    monkeypatch.setattr(actions, "obstacle_here", lambda: "not any more")
    test = press(opened(), "Start the audit")
    assert "not any more" in said(test)
    assert list_jobs(home) == []
    assert not (home.root / "specs").exists()


@pytest.mark.usefixtures("local")
@pytest.mark.parametrize(
    ("event", "shows", "offers"),
    [
        ({"event": "finished", "verdict": "pass", "runs": []}, "✓ Pass", None),
        ({"event": "finished", "verdict": "interrupted", "runs": []}, "Cancelled", "Resume"),
        (
            {"event": "finished", "verdict": "error", "error": "/x: full\n→ free some"},
            "/x: full",
            "Try again",
        ),
        ({"event": "run_started", "run": "r", "model": "tiny"}, "Ended without a word", "Resume"),
    ],
)
def test_every_end_is_told_with_what_can_be_done(
    home: Home, event: dict[str, Any], shows: str, offers: str | None
) -> None:
    ended = job(home, process=gone())
    (ended.folder / "events.jsonl").write_text(json.dumps(event) + "\n")
    test = opened(job=ended.id)
    assert shows in said(test)
    assert (button(test, offers) is not None) if offers else "By hand" not in said(test)
    assert "New audit" in said(test)


@pytest.mark.usefixtures("local")
def test_a_training_that_ended_names_its_model(home: Home) -> None:
    ended = job(home, kind="training", process=gone())
    model = {"name": "t", "version": 2, "metrics": {"validation_accuracy": 0.91}}
    event = {"event": "finished", "exit_code": 0, "models": [model]}
    (ended.folder / "events.jsonl").write_text(json.dumps(event) + "\n")
    assert "**t** is registered as version 2, validation accuracy 91.0 %" in said(opened(job=ended.id))


@pytest.mark.usefixtures("local")
def test_hostile_names_in_a_job_s_files_stay_text(home: Home) -> None:
    name = "<script>alert(1)</script> [x](https://evil.example)"
    ended = job(home, process=gone(), title=name)
    (ended.folder / "events.jsonl").write_text(
        '{"event": "run_started", "run": "../../../etc", "model": "' + name + '"}\n'
        '{"event": "finished", "runs": ["../../../etc"], "verdict": ":red[x]", "exit_code": 0}\n'
    )
    (ended.folder / "log.txt").write_text("\x1b[31m" + name)
    test = opened(job=ended.id)
    assert name in said(test)
    assert not any("](https" in str(element.value) for element in [*test.markdown, *test.title, *test.error])


@pytest.mark.usefixtures("local", "home")
def test_a_job_that_is_not_there_is_said_so() -> None:
    test = opened(job="../../etc")
    assert "There is no job ../../etc here" in said(test)


@pytest.mark.usefixtures("local")
def test_a_training_has_no_checks_and_its_own_command(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    test = opened(**{"for": "training"})
    assert "Valid: digits-cnn\n" in said(test)
    assert spec_of(test)["checks"] == [{"use": "performance.accuracy"}]
    seen: list[JobKind] = []

    def command(kind: JobKind, *_: object) -> tuple[str, ...]:
        seen.append(kind)
        return (sys.executable, "-c", "pass")

    monkeypatch.setattr(starting, "command_of", command)
    press(test, "Start the training")
    assert seen == ["training"]


@pytest.mark.usefixtures("local", "home")
def test_what_cannot_run_and_how_long_it_takes_is_told_before(tmp_path: Path) -> None:
    test = opened()
    assert "About **" in said(test)
    test = ok(test.segmented_control(key="new_audit.mode").set_value("YAML").run())
    asks = (
        VALID.replace("digits", "sst2")
        .replace("mlp", "lstm")
        .replace("performance.accuracy", "fairness.groups")
    )
    test = ok(test.text_area(key="new_audit.editor").set_value(asks).run())
    assert "**Fairness between groups** cannot run: the subject offers no group columns" in said(test)
    missing = VALID.replace("{name: digits}", f"{{name: mine, path: {tmp_path}/none.csv}}")
    test = ok(test.text_area(key="new_audit.editor").set_value(missing).run())
    assert "The data cannot be read" in said(test)
    assert button(test, "Start the audit").disabled  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [((9.2, 26.3), "9–26 s"), ((0.24, 4), "0.2–4 s"), ((68, 393), "1–7 min"), ((4000, 90_000), "1–25 h")],
)
def test_an_estimate_has_few_digits(seconds: tuple[float, float], words: str) -> None:
    assert about(seconds) == words


@pytest.mark.usefixtures("local", "home")
def test_the_address_can_name_a_model_to_audit() -> None:
    test = opened(model="digits-vit/3", data="digits")
    assert spec_of(test)["model"] == {"ref": "registry:digits-vit/3"}
    assert spec_of(test)["data"] == {"name": "digits"}
    hostile = opened(model="[x](https://evil.example)", data="../../etc/passwd")
    assert spec_of(hostile)["model"] == {"ref": "registry:[x](https://evil.example)"}
    assert "data" not in spec_of(hostile)
