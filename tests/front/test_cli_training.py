"""`models train --seeds`, `compare`, `ablate` and `card`, in this process: tiny digits models."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from raiaudit.cli import app
from raiaudit.errors import UnknownNameError, UsageError

RECIPE = "{architecture: mlp, options: {hidden: 16}, epochs: 1, train_limit: 300, batch_size: 50, "
SPEC = f"""\
data: {{name: digits}}
models:
  - name: tiny
    recipe: {RECIPE} gradient_clip: 0}}
  - name: slow
    recipe: {RECIPE} learning_rate: 1.0e-5}}
  - name: robust
    recipe: {RECIPE} kind: adversarial, weight_decay: 0, adversary: {{eps: 0.05, steps: 1, watch: 0}}}}
run: {{seed: 7, device: cpu}}
checks:
  - use: performance.accuracy
    gate: {{metric: accuracy, min: 0}}
    only: [tiny]
  - use: performance.accuracy
    only: [slow, robust]
"""


@dataclass(frozen=True)
class Here:
    """A folder with a spec and its state; `raiaudit` runs in this process."""

    folder: Path

    def __call__(self, *arguments: str) -> str:
        """Standard output of a command that succeeds; what it raises otherwise."""
        done = CliRunner().invoke(app, [*arguments, "--home", str(self.folder / "home")])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.stdout

    @property
    def spec(self) -> str:
        return str(self.folder / "audit.yaml")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Here:
    folder = tmp_path_factory.mktemp("training")
    (folder / "audit.yaml").write_text(SPEC)
    return Here(folder)


@pytest.fixture(scope="module")
def trained(here: Here) -> dict[str, Any]:
    """Two models with two seeds each: what `--json` says of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setenv("COLUMNS", "200")
        lines = [
            here("models", "train", here.spec, "--only", name, "--seeds", "2", "--json")
            for name in ("tiny", "slow")
        ]
    found = {}
    for line in lines:
        (model,) = json.loads(line)["models"]
        assert line.count("\n") == 1
        found[model["name"]] = model
    return found


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("COLUMNS", "250")


def test_seeds_give_a_table_a_spread_and_say_which_is_which(here: Here, trained: dict[str, Any]) -> None:
    model = trained["tiny"]
    assert [row["seed"] for row in model["seeds"]] == [7, 8]
    assert [row["version"] for row in model["seeds"]] == [1, 2]
    values = [row["accuracy"]["value"] for row in model["seeds"]]
    assert model["between_seeds"]["accuracy"]["mean"] == pytest.approx(sum(values) / 2)
    told = here("models", "train", here.spec, "--only", "tiny", "--seeds", "2")
    assert "epoch" not in told  # nothing was trained again
    rows = re.findall(r"^ +(\d+) +(\d+) +([\d.]+) % +\[([\d.]+), ([\d.]+)\]", told, re.MULTILINE)
    assert [(row[0], row[1]) for row in rows] == [("7", "1"), ("8", "2")]
    assert [float(row[2]) for row in rows] == pytest.approx([100 * value for value in values])
    assert "mean of 2 seeds" in told
    assert "1 degree of freedom" in told
    assert "other training runs on these same examples" in told


def test_one_seed_says_that_the_spread_is_unknown(here: Here, trained: dict[str, Any]) -> None:
    told = here("models", "train", here.spec, "--only", "tiny", "--seeds", "1")
    assert "the spread between seeds is unknown" in told
    assert "of freedom" not in told


def test_without_seeds_nothing_is_evaluated_and_the_first_stays_candidate(
    here: Here, trained: dict[str, Any]
) -> None:
    told = here("models", "train", here.spec, "--only", "tiny")
    assert re.search(r"^tiny version 1: .*validation_accuracy", told, re.MULTILINE)
    assert "test split" not in told
    listed = here("models", "list")
    assert re.search(r"tiny +1 +candidate +mlp +standard +7 +digits", listed)
    assert re.search(r"tiny +2 +mlp +standard +8 +digits", listed)
    shown = json.loads(here("models", "show", "tiny/2"))
    assert shown["seed"] == 8
    assert shown["recipe"]["gradient_clip"] == 0
    assert shown["data_licence"] == "CC BY 4.0"


def test_a_comparison_is_paired_over_seeds_and_examples(here: Here, trained: dict[str, Any]) -> None:
    found = json.loads(here("models", "compare", "tiny", "slow", "--json"))
    assert found["seeds"] == [7, 8]
    gaps = [
        ours["accuracy"]["value"] - theirs["accuracy"]["value"]
        for ours, theirs in zip(trained["tiny"]["seeds"], trained["slow"]["seeds"], strict=True)
    ]
    accuracy = found["metrics"]["accuracy"]
    assert accuracy["over_seeds"]["difference"] == pytest.approx(sum(gaps) / 2)
    assert accuracy["over_examples"]["difference"] == pytest.approx(sum(gaps) / 2)
    assert [row["difference"] for row in accuracy["by_seed"]] == pytest.approx(gaps)
    told = here("models", "compare", "tiny", "slow", "--spec", here.spec)
    assert "what holds for the recipes" in told
    assert "what holds for these very models" in told
    assert len(re.findall(r"^ +[78] +[+-]", told, re.MULTILINE)) == 2


def test_an_ablation_prints_and_writes_one_table(here: Here) -> None:
    out = here.folder / "parts.md"
    options = ("--only", "robust", "--seeds", "1")
    told = here("models", "ablate", here.spec, *options, "--out", str(out))
    assert "robust accuracy" in told
    rows = [line.split(" | ") for line in out.read_text().splitlines() if line.startswith("|")]
    assert [row[0] for row in rows if len(row) > 1] == [
        "| without",
        "| (full recipe)",
        "| schedule",
        "| gradient_clip",
    ]
    table = here.folder / "parts.csv"
    line = here("models", "ablate", here.spec, *options, "--parts", "schedule", "--out", str(table), "--json")
    (part,) = json.loads(line)["parts"]
    with table.open() as file:
        cells = {(row["part"], row["metric"]): row for row in csv.DictReader(file)}
    assert set(cells) == {(p, m) for p in ("", "schedule") for m in ("accuracy", "robust_accuracy")}
    for metric, found in part["metrics"].items():
        assert float(cells["schedule", metric]["change"]) == pytest.approx(
            found["over_examples"]["difference"]
        )
        assert float(cells["schedule", metric]["mean"]) == pytest.approx(found["a"]["mean"])
    full = json.loads(line)
    for row in full["seeds"]:
        assert row["robust_accuracy"]["value"] <= row["accuracy"]["value"]


def test_a_card_with_a_run_holds_its_numbers(here: Here, trained: dict[str, Any]) -> None:
    card = here("models", "card", "tiny/2")
    assert "# tiny, version 2" in card
    done = CliRunner().invoke(
        app, ["run", _only_tiny(here), "--home", str(here.folder / "home")], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    out = here.folder / "README.md"
    here("models", "card", "tiny@candidate", "--run", "latest", "--out", str(out))
    facts = yaml.safe_load(out.read_text().split("---\n")[1])
    results = {result["dataset"]["split"]: result for result in facts["model-index"][0]["results"]}
    (measured,) = (m for m in results["test"]["metrics"] if m["type"] == "accuracy")
    first = trained["tiny"]["seeds"][0]["accuracy"]
    assert measured["value"] == pytest.approx(first["value"])
    assert measured["args"]["low"] == pytest.approx(first["low"])
    assert measured["args"]["verdict"] == "Pass"
    with pytest.raises(UsageError, match="audited another model"):
        here("models", "card", "tiny/2", "--run", "latest")


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (("train", "SPEC", "--only", "tinny"), UnknownNameError, "tiny"),
        (("ablate", "SPEC"), UsageError, "several recipes"),
        (
            ("ablate", "SPEC", "--only", "tiny", "--parts", "mixup"),
            UnknownNameError,
            "label_smoothing|schedule",
        ),
        (("ablate", "SPEC", "--only", "tiny", "--out", "parts.xlsx"), UsageError, "neither .md nor .csv"),
        (("compare", "tiny", "nobody"), UnknownNameError, "nobody"),
        (("card", "nobody"), UnknownNameError, "nobody"),
    ],
)
def test_wrong_requests_say_what_is_right(
    here: Here, trained: dict[str, Any], arguments: tuple[str, ...], error: type[Exception], text: str
) -> None:
    with pytest.raises(error) as caught:
        here("models", *(here.spec if part == "SPEC" else part for part in arguments))
    assert re.search(text, str(caught.value))


def _only_tiny(here: Here) -> str:
    spec = yaml.safe_load(SPEC)
    spec["models"] = spec["models"][:1]
    spec["checks"] = [{**spec["checks"][0], "only": []}]
    path = here.folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(spec))
    return str(path)


def test_events_end_with_what_was_trained(here: Here) -> None:
    lines = [
        json.loads(line)
        for line in here("models", "train", here.spec, "--only", "slow", "--events").splitlines()
    ]
    assert lines[-1]["event"] == "finished"
    assert lines[-1]["exit_code"] == 0
    assert [model["name"] for model in lines[-1]["models"]] == ["slow"]
    assert all("time" in line for line in lines[:-1])


def test_events_of_a_training_that_cannot_be_end_with_the_error(here: Here) -> None:
    done = CliRunner().invoke(app, ["models", "train", here.spec, "--only", "none", "--events"])
    last = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(done.exception, UnknownNameError)
    assert (last["event"], last["exit_code"]) == ("finished", 2)
    assert "none" in last["error"]
