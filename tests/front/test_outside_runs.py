"""Audits of somebody else's models, end to end: a file or folder in a spec, a verdict and its limits."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import polars as pl
import pytest
import torch
import yaml
from onnx import helper, numpy_helper
from safetensors.torch import save_file
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from typer.testing import CliRunner

from raiaudit.cli import app
from raiaudit.errors import ArtifactRefusedError, RaiauditError
from raiaudit.models.architectures import build

if TYPE_CHECKING:
    from tests.front.conftest import Cli

ACCURACY = {"use": "performance.accuracy", "gate": {"metric": "accuracy", "min": 0}}
EVASION = {
    "use": "robustness.evasion",
    "with": {"norm": "linf", "eps": 0.1, "steps": 3, "examples": 12},
    "gate": {"metric": "robust_accuracy", "where": {"eps": 0.1}, "max": 1},
}


@dataclass(frozen=True)
class Place:
    """A folder with specs and models; `raiaudit` runs in this process."""

    folder: Path

    def spec(self, model: dict[str, Any], *checks: dict[str, Any], data: Any = None) -> str:
        path = self.folder / "audit.yaml"
        body = {
            "data": data or {"name": "digits"},
            "model": {"name": "theirs", **model},
            "run": {"seed": 3, "device": "cpu", "limit": 24},
            "checks": list(checks) or [ACCURACY],
        }
        path.write_text(yaml.safe_dump(body))
        return str(path)

    def run(self, *arguments: str) -> tuple[int, dict[str, Any], str]:
        """Exit code, results.json and summary.md of the one run."""
        done = CliRunner().invoke(app, ["run", *arguments, "--home", str(self.folder / "home")])
        if isinstance(done.exception, RaiauditError):
            raise done.exception
        (run,) = (self.folder / "home" / "runs").iterdir()
        return (
            done.exit_code,
            json.loads((run / "results.json").read_text()),
            (run / "summary.md").read_text(),
        )


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Place(tmp_path)


def measured(results: dict[str, Any]) -> dict[str, float]:
    return {m["metric"]: m["value"] for m in results["measurements"] if m["value"] is not None}


def linear_graph(operator: str, path: Path) -> None:
    """digits, flat, through one operator and a linear layer with random weights."""
    weight = np.random.default_rng(0).normal(size=(64, 10)).astype("f")
    inputs = ["x"] + (["axis"] if operator == "CumSum" else [])
    nodes = [
        helper.make_node(operator, inputs, ["h"]),
        helper.make_node("MatMul", ["h", "w"], ["z"]),
        helper.make_node("Softmax", ["z"], ["p"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", 1, ["b", 64])],
        [helper.make_tensor_value_info("p", 1, ["b", 10])],
        [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(np.array(1), "axis")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(model.SerializeToString())


def test_an_onnx_graph(place: Place) -> None:
    """Attacked by its gradients: a random linear model falls at once."""
    linear_graph("Identity", place.folder / "net.onnx")
    code, results, summary = place.run(place.spec({"path": "net.onnx"}, ACCURACY, EVASION))
    assert code == 0
    record = results["subject"]["record"]
    assert record["config"]["answers"] == "logits, taken before the final Softmax"
    assert record["loaded"] == {"form": "an ONNX graph", "unsafe": False, "limits": []}
    assert {check["status"] for check in results["checks"]} == {"ran"}
    assert "unsafe" not in summary


def test_an_onnx_graph_without_gradients_says_so(place: Place) -> None:
    linear_graph("CumSum", place.folder / "net.onnx")
    white = {"use": "explanations.attribution"}
    code, results, summary = place.run(place.spec({"path": "net.onnx"}, ACCURACY, white))
    assert code == 0
    assert [check["status"] for check in results["checks"]] == ["ran", "not_run"]
    assert "the operator CumSum" in results["subject"]["record"]["loaded"]["limits"][0]
    assert "the operator CumSum" in summary


def test_a_hugging_face_folder_of_images(place: Place) -> None:
    import transformers

    torch.manual_seed(0)
    names = [str(digit) for digit in reversed(range(10))]
    config = transformers.ViTConfig(
        image_size=8,
        patch_size=4,
        num_channels=1,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        id2label=dict(enumerate(names)),
    )
    transformers.ViTForImageClassification(config).save_pretrained(place.folder / "vit")
    code, results, summary = place.run(place.spec({"path": "vit"}, ACCURACY, EVASION))
    assert code == 0
    record = results["subject"]["record"]
    assert (record["architecture"], record["config"]["classes"]) == ("huggingface", "matched by name")
    assert "preprocessor&#95;config" in summary or "preprocessor_config" in summary  # assumed, so it is said


def test_a_hugging_face_folder_of_texts(place: Place) -> None:
    """Attacked by exchanging words along its gradient, and explained."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

    words = ["fine", "dull", "long", "short", "old", "new", "good", "bad"]
    chosen = np.random.default_rng(0).choice(words, size=(80, 5))
    lines = [
        f"{i}\ta {' '.join(row)} film\t{'good' if 'fine' in row else 'bad'}" for i, row in enumerate(chosen)
    ]
    (place.folder / "films.tsv").write_text("\n".join(["id\ttext\tlabel", *lines]) + "\n")
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]"]
    trainer = trainers.WordPieceTrainer(vocab_size=90, special_tokens=special)
    tokenizer.train_from_iterator([" ".join(words), "a film"], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A", special_tokens=[("[CLS]", 2)])
    torch.manual_seed(0)
    config = transformers.DistilBertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        dim=16,
        n_layers=1,
        n_heads=2,
        hidden_dim=16,
        max_position_embeddings=32,
        id2label={0: "GOOD", 1: "BAD"},
    )
    network: Any = transformers.DistilBertForSequenceClassification(config)
    torch.nn.init.normal_(network.distilbert.embeddings.word_embeddings.weight)
    network.save_pretrained(place.folder / "reader")
    tokenizer.save(str(place.folder / "reader" / "tokenizer.json"))
    evasion = {
        "use": "robustness.evasion",
        "with": {"norm": "l0", "eps": 0.5, "attack": "hotflip", "examples": 8},
    }
    explained = {"use": "explanations.attribution"}
    data = {"name": "films", "path": "films.tsv", "text": "text", "label": "label", "id": "id"}
    code, results, _ = place.run(place.spec({"path": "reader"}, ACCURACY, evasion, explained, data=data))
    assert code == 0
    assert [check["status"] for check in results["checks"]] == ["ran", "ran", "ran"], results["checks"]
    assert results["subject"]["record"]["config"]["classes"] == "matched by name"


def test_weights_in_robustbench_layout(place: Place) -> None:
    torch.manual_seed(0)
    network = build(
        "wide_resnet28_10",
        {"shape": [1, 8, 8], "classes": 10, "depth": 10, "widen": 1, "normalization": "none"},
    )
    kept = {f"module.{k}": v for k, v in network.state_dict().items() if not k.startswith("standardize.")}
    save_file(kept, place.folder / "wrn.safetensors")
    model = {"path": "wrn.safetensors", "arch": "wide_resnet28_10", "layout": "robustbench"}
    code, results, _ = place.run(place.spec(model, ACCURACY))
    assert code == 0
    assert results["subject"]["record"]["config"]["depth"] == 10
    assert 0 <= measured(results)["accuracy"] <= 1


FACTORY = """\
import torch

def build(dataset):
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, len(dataset.classes)))
"""


def test_a_factory_with_the_flag_and_what_the_report_says_of_it(place: Place) -> None:
    (place.folder / "mine.py").write_text(FACTORY)
    spec = place.spec({"factory": "mine.py:build"}, ACCURACY, EVASION)
    with pytest.raises(ArtifactRefusedError, match="run to load the model"):
        place.run(spec)
    assert not (place.folder / "home" / "runs").exists()
    code, results, summary = place.run(spec, "--unsafe-load")
    assert code == 0
    assert results["subject"]["record"]["loaded"]["unsafe"] is True
    assert "unsafe-load" in summary
    from raiaudit.audit.store import Home
    from raiaudit.reports.content.report import report_content

    content = report_content(Home.at(place.folder / "home").run("latest"))
    assert any("--unsafe-load" in gap for gap in content["not_tested"])
    assert any("--unsafe-load" in value for name, value in content["system"] if name == "Loaded from")


def test_a_torch_file_with_the_flag(place: Place) -> None:
    network = build("mlp", {"shape": [1, 8, 8], "classes": 10, "hidden": 8})
    torch.save({"state_dict": network.state_dict()}, place.folder / "net.pt")
    spec = place.spec({"path": "net.pt", "arch": "mlp", "options": {"hidden": 8}})
    with pytest.raises(ArtifactRefusedError, match="pickled"):
        place.run(spec)
    code, results, summary = place.run(spec, "--unsafe-load")
    assert (code, results["subject"]["record"]["loaded"]["unsafe"]) == (0, True)
    assert "unsafe-load" in summary


SKLEARN = """
from pathlib import Path

import joblib

from raiaudit.models.black_box import from_callable

pipeline = joblib.load(Path(__file__).with_name("loans.joblib"))


def build(dataset):
    return from_callable(
        pipeline.predict_proba, returns="scores", classes=dataset.classes, space=dataset.space
    )
"""


def test_a_scikit_learn_pipeline_by_a_factory(place: Place) -> None:
    """It is asked with rows as dicts, by the columns' names: its accuracy is what scikit-learn counts."""
    rng = np.random.default_rng(0)
    people = [
        {"income": float(income), "job": job, "repaid": "yes" if income + (job == "baker") > 3 else "no"}
        for income, job in zip(
            rng.normal(3, 1, 200).round(2), rng.choice(["baker", "clerk"], 200), strict=True
        )
    ]
    rows = [{name: person[name] for name in ("income", "job")} for person in people]
    labels = [person["repaid"] for person in people]
    pipeline = make_pipeline(DictVectorizer(), LogisticRegression()).fit(rows[:20], labels[:20])
    joblib.dump(pipeline, place.folder / "loans.joblib")
    (place.folder / "mine.py").write_text(SKLEARN)
    split = ["train"] * 120 + ["validation"] * 56 + ["test"] * 24
    pl.DataFrame([{**person, "fold": part} for person, part in zip(people, split, strict=True)]).write_csv(
        place.folder / "loans.csv"
    )
    spec = place.spec(
        {"factory": "mine.py:build"},
        ACCURACY,
        EVASION | {"with": {"norm": "linf", "eps": 0.1, "examples": 12}},
        data={"name": "loans", "path": "loans.csv", "label": "repaid", "split": "fold"},
    )
    code, results, _ = place.run(spec, "--unsafe-load")
    (accuracy,) = [m["value"] for m in results["measurements"] if m["metric"] == "accuracy"]
    assert accuracy == pytest.approx(pipeline.score(rows[-24:], labels[-24:]))
    (robust,) = {m["where"]["attack"] for m in results["measurements"] if m["metric"] == "robust_accuracy"}
    assert robust == "greedy_table"
    assert code == 0


def test_without_the_flag_every_command_is_4(fresh: Cli) -> None:
    (fresh.folder / "mine.py").write_text("open('RAN', 'w')\n" + FACTORY)
    torch.save({"w": torch.zeros(1)}, fresh.folder / "net.pt")
    spec = fresh.spec(
        "data: {name: digits}\nmodel: {factory: 'mine.py:build'}\nchecks: [{use: performance.accuracy}]\n"
    )
    done = fresh("run", spec)
    assert (done.returncode, "--unsafe-load" in done.stderr) == (4, True)
    audit, weights = str(fresh.folder / spec), str(fresh.folder / "net.pt")
    add = ("models", "add", weights, "--name", "n", "--arch", "mlp", "--data", "digits")
    for command in (("validate", audit), add):
        refused = CliRunner().invoke(app, command).exception
        assert isinstance(refused, ArtifactRefusedError)
        assert "--unsafe-load" in str(refused)
    assert CliRunner().invoke(app, ["validate", audit, "--unsafe-load"]).exit_code == 0
    assert not (fresh.folder / "RAN").exists()  # validating runs nothing


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("{path: net.onnx, arch: mlp}", "bring their own architecture"),
        ("{path: folder, arch: mlp}", "bring their own architecture"),
        ("{path: w.safetensors}", "`path` needs `arch`"),
        ("{factory: mine.py}", "factory"),
        ("{factory: 'mine.py:build', arch: mlp}", "go with `path`"),
        ("{path: w.safetensors, arch: mlp, layout: timm}", "layout"),
    ],
)
def test_specs_that_cannot_be(place: Place, model: str, says: str) -> None:
    (place.folder / "folder").mkdir()
    path = place.folder / "audit.yaml"
    path.write_text(f"data: {{name: digits}}\nmodel: {model}\nchecks: [{{use: performance.accuracy}}]\n")
    done = CliRunner().invoke(app, ["validate", str(path)])
    assert isinstance(done.exception, RaiauditError)
    assert done.exception.exit_code == 2
    assert says in str(done.exception)
    assert "audit.yaml:2" in str(done.exception)


def test_code_that_ends_the_program_is_no_pass(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 0 would say that every gate passed."""

    def leaves(*_: Any, **__: Any) -> None:
        raise SystemExit(0)

    monkeypatch.setattr("raiaudit.audit.runner.run_suite", leaves)
    spec = place.spec({"recipe": {"architecture": "mlp"}})
    found = CliRunner().invoke(app, ["run", spec, "--json"])
    assert isinstance(found.exception, RaiauditError)
    assert found.exception.exit_code == 3
    assert json.loads(found.stdout.splitlines()[-1])["exit_code"] == 3


def test_a_gate_on_what_nothing_measures_is_told_before_the_work(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = {"use": "performance.accuracy", "gate": {"metric": "acuracy", "min": 0.5}}

    def stops(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("raiaudit.audit.runner.run_suite", stops)
    found = CliRunner().invoke(app, ["run", place.spec({"recipe": {"architecture": "mlp"}}, gate)])
    assert "did you mean 'accuracy'?" in found.stderr
    assert found.exit_code == 130
