"""What `validate` foretells is what the run then does; nothing heavy is loaded to tell it."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from raiaudit.attacks.evasion.images.spatial import Spatial
from raiaudit.audit.catalogue import CHECKS
from raiaudit.audit.forecast import costs, costs_robustness, scene
from raiaudit.audit.forecast.forecast import CheckForecast, Forecast, forecast
from raiaudit.audit.forecast.speeds import SPREAD, USUAL, seconds_of, speed_of
from raiaudit.audit.forecast.work import Situation, Work
from raiaudit.audit.robustness.attack_names import ATTACKS
from raiaudit.audit.robustness.evasion import EvasionConfig
from raiaudit.audit.runner import run_suite
from raiaudit.audit.spec import load_spec
from raiaudit.audit.store import Home
from raiaudit.cli import app
from raiaudit.cli.validating import notes
from raiaudit.models.names import ARCHITECTURE_NAMES

FIND = "raiaudit.audit.forecast.forecast.find_spec"
ROOT = Path(__file__).resolve().parents[2]
RECIPE = "recipe: {architecture: mlp, options: {hidden: 16}, epochs: 1, train_limit: 200}"
DIGITS = "data: {name: digits}\nmodel: {name: m, MODEL}\nrun: {limit: 40}\nchecks:\n"


def told(tmp_path: Path, checks: str, model: str = RECIPE, head: str = DIGITS) -> Forecast:
    path = tmp_path / "audit.yaml"
    path.write_text(head.replace("MODEL", model) + checks)
    return forecast(load_spec(path))


def by_check(found: Forecast) -> dict[str, CheckForecast]:
    return {check.check: check for check in found.models[0].checks}


EVERY = "\n".join(
    f"  - use: {name}"
    + ("\n    with: {eps: 0.1}" if name in ("robustness.evasion", "robustness.reliability") else "")
    for name in CHECKS
    if name != "explanations.inside"
)


def test_the_run_does_what_was_foretold(tmp_path: Path) -> None:
    quick = """\
  - use: performance.accuracy
  - use: robustness.evasion
    with: {eps: 0.1, steps: 2}
  - use: robustness.character_noise
  - use: privacy.membership
    with: {attack: [lira, loss], shadows: 2, pool: 20}
  - use: privacy.attribute_inference
  - use: privacy.canaries
    with: {kinds: [gradient]}
  - use: fairness.groups
  - use: fairness.counterfactual
"""
    found = by_check(told(tmp_path, quick))
    (run,) = run_suite(
        load_spec(tmp_path / "audit.yaml"),
        Home.at(tmp_path / "home"),
        listener=lambda _: None,
        documents=lambda _: None,
    )
    for outcome in run.results.checks:
        foretold = found[outcome.check]
        assert (foretold.status == "cannot") == (outcome.status == "not_run"), outcome.check
        if outcome.status == "not_run":
            assert foretold.reason == outcome.reason
        else:
            assert foretold.tasks == outcome.tasks
    assert {name for name, check in found.items() if check.status == "cannot"} == {
        "robustness.character_noise",
        "privacy.attribute_inference",
        "privacy.canaries",
        "fairness.counterfactual",
    }


def test_every_check_of_ours_has_an_estimate(tmp_path: Path) -> None:
    assert costs._COSTS.keys() == CHECKS.keys()
    found = by_check(told(tmp_path, EVERY))
    for check in found.values():
        assert (check.seconds is not None) == (check.status == "runs"), check
        if check.seconds:
            assert 0 < check.seconds[0] < check.seconds[1]


def test_every_attack_has_an_estimate_and_the_grid_of_turns_its_own() -> None:
    for name, facts in ATTACKS.items():
        at = Situation(facts.modality, 10, {"test": 10}, 2, 64, {}, 4, None)  # type: ignore[arg-type]  # one of three
        surrogate = {"surrogate": "a@b"} if name == "transfer" else {}
        asked = EvasionConfig.model_validate({"eps": [0.5, 2.0], "attack": name, **surrogate})
        work = costs_robustness.evasion(asked, at)
        assert work.forwards + work.gradients > 10, name
        if name == "spatial":
            assert f"{len(Spatial().moves(2.0)):,} times" in work.peak


def test_every_architecture_has_a_speed() -> None:
    unknown = speed_of("none of ours", 1024, "image")
    for name, kinds in ARCHITECTURE_NAMES.items():
        for kind in kinds:
            forward, both = speed_of(name, 1024, kind)
            assert 0 < forward < both
            assert kind != "image" or (forward, both) != unknown, name


def test_the_sizes_that_were_measured_are_the_defaults() -> None:
    from raiaudit.models.architectures import family

    for name, usual in USUAL.items():
        kind = family(name)
        known = {option: info.default for option, info in inspect.signature(kind).parameters.items()}
        if hasattr(kind, "sizes"):
            known |= dict(zip(("width", "depth"), kind.sizes, strict=False))
        assert usual.items() <= known.items(), name
    assert speed_of("cnn", 64, "image", {"width": 32})[1] == 2 * speed_of("cnn", 64, "image")[1]


@pytest.mark.parametrize(
    ("model", "check", "status", "reason"),
    [
        (
            "endpoint: {url: 'http://127.0.0.1:1/p', returns: labels}",
            "privacy.membership",
            "cannot",
            "no logits",
        ),
        (
            "endpoint: {url: 'http://127.0.0.1:1/p', returns: labels}",
            "reliability.calibration",
            "cannot",
            "probab",
        ),
        ("endpoint: {url: 'http://127.0.0.1:1/p', returns: scores}", "reliability.calibration", "runs", ""),
        (
            "endpoint: {url: 'http://127.0.0.1:1/p', returns: scores}",
            "explanations.stability",
            "cannot",
            "gradients",
        ),
        ("path: net.onnx", "explanations.stability", "may_run", "whether the graph translates into torch"),
        ("path: net.onnx", "privacy.membership", "cannot", "no training data"),
        ("path: net.onnx", "performance.accuracy", "runs", ""),
        ("'ref': registry:m@candidate", "privacy.membership", "may_run", "was trained on this data"),
        (RECIPE, "privacy.membership", "runs", ""),
        (RECIPE, "privacy.attribute_inference", "cannot", "not defined for image data"),
    ],
)
def test_what_cannot_run_is_told_with_the_reason(
    model: str, check: str, status: str, reason: str, tmp_path: Path
) -> None:
    found = by_check(told(tmp_path, f"  - use: {check}\n", model))[check]
    assert (found.status, reason in found.reason) == (status, True), found


def test_what_stops_the_run_is_told_before(tmp_path: Path) -> None:
    checks = (
        "  - use: robustness.evasion\n    with: {eps: 8}\n"
        "  - use: fairness.groups\n    with: {columns: [sex]}\n"
    )
    found = by_check(told(tmp_path, checks))
    assert found["robustness.evasion"].status == "stops"
    assert "eps 8 is above 1" in found["robustness.evasion"].reason
    assert "sex" in found["fairness.groups"].reason


def test_data_without_groups(tmp_path: Path) -> None:
    pl.DataFrame({"a": range(40), "label": ["x", "y"] * 20}).write_csv(tmp_path / "t.csv")
    head = "data: {name: t, path: t.csv}\nmodel: {name: m, MODEL}\nchecks:\n"
    found = told(tmp_path, "  - use: fairness.groups\n", head=head)
    assert by_check(found)["fairness.groups"].reason == "the subject offers no group columns"
    assert found.sizes == {"train": 28, "validation": 4, "test": 8}


def test_of_a_large_table_rows_are_estimated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = 4_000
    frame = pl.DataFrame(
        {"a": range(rows), "sex": ["f", "m"] * (rows // 2), "label": ["x", "y"] * (rows // 2)}
    )
    frame.write_csv(tmp_path / "t.csv")
    head = "data: {name: t, path: t.csv, groups: [sex]}\nmodel: {name: m, MODEL}\nchecks:\n"
    exact = told(tmp_path, "  - use: fairness.groups\n", head=head)
    monkeypatch.setattr(scene, "WHOLE", 1_000)
    monkeypatch.setattr("raiaudit.audit.drafting.table_head.WHOLE", 1_000)
    monkeypatch.setattr(scene, "_read", None)
    guessed = told(tmp_path, "  - use: fairness.groups\n", head=head)
    assert sum(guessed.sizes.values()) == pytest.approx(sum(exact.sizes.values()), rel=0.02)
    assert any("estimated from its head" in line for line in guessed.basis)
    assert by_check(guessed)["fairness.groups"].status == "runs"


def test_a_data_file_that_is_not_there_is_no_error_of_the_spec(tmp_path: Path) -> None:
    head = "data: {name: t, path: none.csv}\nmodel: {name: m, MODEL}\nchecks:\n"
    found = told(tmp_path, "  - use: performance.accuracy\n", head=head)
    assert "there is no such file" in found.problem
    done = CliRunner().invoke(app, ["validate", str(tmp_path / "audit.yaml")])
    assert (done.exit_code, "stops here (exit code 2)" in done.stdout) == (2, True)  # as a run would
    told_as_data = CliRunner().invoke(app, ["validate", str(tmp_path / "audit.yaml"), "--json"])
    assert (told_as_data.exit_code, json.loads(told_as_data.stdout)["stops"]) == (2, True)


def test_a_model_that_is_not_there_is_told(tmp_path: Path) -> None:
    checks = "  - use: performance.accuracy\n"
    missing = told(tmp_path, checks, "path: net.onnx")
    assert missing.stops
    assert CliRunner().invoke(app, ["validate", str(tmp_path / "audit.yaml")]).exit_code == 2
    assert "there is no file or folder net.onnx" in told(tmp_path, checks, "path: net.onnx").models[0].problem
    (tmp_path / "net.onnx").write_bytes(b"")
    assert not told(tmp_path, checks, "path: net.onnx").models[0].problem
    done = CliRunner().invoke(app, ["validate", str(tmp_path / "audit.yaml")])
    assert (done.exit_code, "trained" in done.stdout) == (0, False)


@pytest.mark.parametrize(
    ("missing", "file", "extra"),
    [
        ("onnx", "net.onnx", "onnx"),
        ("onnxruntime", "net.onnx", "onnx"),
        ("transformers", "folder", "huggingface"),
    ],
)
def test_an_extra_that_is_not_installed_is_told(
    missing: str, file: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net.onnx").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    checks, source = "  - use: performance.accuracy\n", f"path: {file}"
    monkeypatch.setattr(FIND, lambda name: object())
    assert not told(tmp_path, checks, source).stops
    monkeypatch.setattr(FIND, lambda name: None if name == missing else object())
    found = told(tmp_path, checks, source)
    assert found.stops
    assert f"raiaudit[{extra}]" in found.models[0].problem


def test_a_gate_on_what_nobody_measures_is_told_with_the_nearest(tmp_path: Path) -> None:
    gate = "  - use: performance.accuracy\n    gate: {metric: METRIC, min: 0.5}\n"
    for metric, words in (("acuracy", "did you mean 'accuracy'?"), ("accuracy", ""), ("auc", "")):
        told(tmp_path, gate.replace("METRIC", metric))
        done = CliRunner().invoke(app, ["validate", str(tmp_path / "audit.yaml")])
        assert done.exit_code == 0
        assert ("no check measures" in done.stdout) == bool(words)
        assert words in done.stdout


def test_no_gate_of_an_example_is_on_what_nobody_measures() -> None:
    examples = Path(__file__).resolve().parents[2] / "examples"
    specs = [path for path in examples.rglob("*.yaml") if "checks:" in path.read_text()]
    assert len(specs) > 10
    for path in specs:
        assert not [note for note in notes(load_spec(path)) if "measures" in note], path


def test_what_neither_checks_nor_training_take_is_part_of_the_whole(tmp_path: Path) -> None:
    found = told(tmp_path, "  - use: performance.accuracy\n")
    (model,) = found.models
    (check,) = model.checks
    assert found.seconds is not None
    assert check.seconds is not None
    assert model.training is not None
    for end in (0, 1):
        parts = found.overhead[end] + check.seconds[end] + model.training[end]
        assert found.seconds[end] == pytest.approx(parts)


def test_shadow_models_cost_as_many_trainings(tmp_path: Path) -> None:
    def middle(shadows: int) -> float:
        checks = f"  - use: privacy.membership\n    with: {{attack: lira, shadows: {shadows}}}\n"
        found = told(tmp_path, checks)
        check = by_check(found)["privacy.membership"]
        assert check.seconds is not None
        assert f"{shadows} shadow models" in check.peak
        return check.seconds[0] * SPREAD

    training = told(tmp_path, "  - use: performance.accuracy\n").models[0].training
    assert training is not None
    forward = speed_of("mlp", 64, "image")[0] * 1e-6
    assert middle(32) - middle(8) == pytest.approx(24 * (training[0] * SPREAD + 900 * forward), rel=1e-6)


def test_seconds_are_the_sum_of_the_parts() -> None:
    work = Work(forwards=1000, gradients=100, trainings=2, seconds=3) + Work(seconds=1)
    assert seconds_of(work, (1000.0, 5000.0), training=10.0) == pytest.approx(1 + 0.5 + 20 + 4)


def test_the_forecast_is_plain_json(tmp_path: Path) -> None:
    path = tmp_path / "audit.yaml"
    path.write_text(DIGITS.replace("MODEL", RECIPE) + "  - use: performance.accuracy\n")
    done = CliRunner().invoke(app, ["validate", str(path), "--json"])
    (data,) = map(json.loads, done.stdout.splitlines())
    assert data["valid"] is True
    assert data["models"][0]["checks"][0]["status"] == "runs"
    assert data["seconds"][0] < data["seconds"][1]


def test_no_example_needs_torch_to_be_foretold() -> None:
    code = """
import sys
from pathlib import Path
from raiaudit.audit.forecast.forecast import forecast
from raiaudit.audit.spec import load_spec
for path in sorted(Path("examples").glob("*.yaml")):
    found = forecast(load_spec(path))
    assert found.models and not found.problem, path
    assert found.took < 10, (path, found.took)
    unsure = [c for m in found.models for c in m.checks if c.status in ("stops", "may_run")]
    bad = [c for c in unsure if "depends on the network" not in c.reason]
    assert not bad, (path, bad)
heavy = {"torch", "sklearn", "mlflow", "streamlit", "numba"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_it_is_offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("validate opened a socket")

    monkeypatch.setattr("socket.socket.connect", refuse)
    found = told(tmp_path, EVERY, "endpoint: {url: 'http://127.0.0.1:1/p', returns: scores}")
    assert by_check(found)["performance.accuracy"].status == "runs"
