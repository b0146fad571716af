"""What can run code: refused by name, admitted by a flag alone, and then said in the record."""

from __future__ import annotations

import pickle
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import save_file

from raiaudit.attacks.spaces import ImageBox, TokenSpace
from raiaudit.errors import ArtifactRefusedError, UsageError
from raiaudit.models.architectures import build
from raiaudit.models.data.dataset import Dataset, Split
from raiaudit.models.outside import (
    load_factory,
    load_outside,
    refuse_factory,
    refuse_unregistrable,
    refuse_unsafe,
)

CLASSES = ("a", "b", "c")


def images(channels: int = 1, side: int = 4) -> Dataset:
    inputs = np.random.default_rng(0).integers(0, 256, (12, channels, side, side), dtype=np.uint8)
    split = Split(pl.Series([f"i{i}" for i in range(12)]), inputs, np.arange(12) % 3)
    splits = {"train": split, "validation": split, "test": split}
    return Dataset("tiny", "image", CLASSES, ImageBox((channels, side, side), 0.0, 1.0), splits, "d" * 64)


class Bomb:
    """Unpickling it creates a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self.target,)


# Everything else has a name


@pytest.mark.parametrize(
    ("name", "content", "says", "do"),
    [
        ("m.joblib", b"\x80\x04", "pickled", "factory"),
        ("m.pkl", b"\x80\x04", "pickled", "safetensors"),
        ("m.h5", b"\x89HDF\r\n\x1a\n", "Keras", "ONNX"),
        ("m.keras", b"PK\x03\x04", "Keras", "ONNX"),
        ("m.safetensors", b"\x89HDF\r\n\x1a\n", "Keras", "ONNX"),
        ("m.tflite", b"\x1c\x00\x00\x00TFL3", "not read here", "ONNX"),
        ("m.gguf", b"GGUF", "language model", "safetensors"),
        ("m.pt2", b"PK\x03\x04", "torch archive", "safetensors"),
        ("m.npz", b"PK\x03\x04", "pickled", "safetensors"),
        ("m.cbm", b"CBM1", "not read here", "endpoint"),
        ("m.py", b"import os", "Python file", "factory"),
        ("m.txt", b"hello", "not a safetensors file", "safetensors"),
    ],
)
@pytest.mark.parametrize("unsafe", [True, False])
def test_other_forms_are_refused_by_name(
    tmp_path: Path, name: str, content: bytes, says: str, do: str, unsafe: bool
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ArtifactRefusedError) as caught:
        refuse_unsafe(tmp_path / name, unsafe_load=unsafe)
    assert says in caught.value.problem
    assert do in str(caught.value.remedy)


def test_folders_that_are_no_hugging_face_models(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"without config\.json"):
        refuse_unsafe(tmp_path)
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(ArtifactRefusedError, match="SavedModel"):
        refuse_unsafe(tmp_path)
    (tmp_path / "saved_model.pb").rename(tmp_path / "MLmodel")
    with pytest.raises(ArtifactRefusedError, match="MLflow"):
        refuse_unsafe(tmp_path)


def test_programs_are_refused_whatever_the_flag(tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    for inside in ("m/code/net.py", "m/constants.pkl", "m/archive_format"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(inside, b"")
        with pytest.raises(ArtifactRefusedError, match="never run"):
            refuse_unsafe(path, unsafe_load=True)


# Torch files


def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return build("mlp", {"shape": [1, 4, 4], "classes": 3, "hidden": 8}).state_dict()


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda s: s,
        lambda s: {"state_dict": s, "epoch": 3},
        lambda s: {f"module.{k}": v for k, v in s.items()},
    ],
)
def test_a_torch_file_needs_the_flag(tmp_path: Path, wrapped: Any) -> None:
    path = tmp_path / "m.pt"
    torch.save(wrapped(state()), path)
    with pytest.raises(ArtifactRefusedError) as caught:
        load_outside(path, "mlp", {"hidden": 8}, images(), name="m")
    assert "--unsafe-load" in str(caught.value.remedy)
    version = load_outside(path, "mlp", {"hidden": 8}, images(), name="m", unsafe_load=True)
    for name, tensor in version.classifier.state_dict().items():
        assert torch.equal(tensor, state()[name])
    assert version.record.loaded is not None
    assert version.record.loaded.unsafe
    assert "--unsafe-load" in version.record.loaded.limits[0]
    assert "restricted reader was enough" in version.record.loaded.limits[0]


def test_a_pickle_that_needs_more_than_the_restricted_reader_is_said_to_be_unsafe(tmp_path: Path) -> None:
    """The flag is consent: what the file does at loading is done."""
    path, trap = tmp_path / "m.pt", tmp_path / "ran"
    torch.save({"state_dict": state(), "extra": Bomb(trap)}, path)
    version = load_outside(path, "mlp", {"hidden": 8}, images(), name="m", unsafe_load=True)
    assert trap.exists()
    assert version.record.loaded is not None
    assert version.record.loaded.unsafe
    assert "its file could run any code" in version.record.loaded.limits[0]


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04junk", b"\x80\x04.", pickle.dumps([1, 2]), pickle.dumps({"a": 1})]
)
def test_a_torch_file_that_holds_no_weights(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.pth"
    path.write_bytes(content)
    with pytest.raises(ArtifactRefusedError):
        load_outside(path, "mlp", {"hidden": 8}, images(), name="m", unsafe_load=True)


# Layouts and numbers


def published(architecture: str, options: dict[str, Any]) -> tuple[dict[str, torch.Tensor], torch.nn.Module]:
    """A network of ours under the names of RobustBench, which a WideResNet shares, and itself."""
    torch.manual_seed(0)
    network = build(
        architecture, {"shape": [3, 8, 8], "classes": 3, "normalization": "none", **options}
    ).eval()
    named = {
        f"model.{name}": tensor
        for name, tensor in network.state_dict().items()
        if not name.startswith("standardize.")
    }
    return named, network


@pytest.mark.parametrize("layout", ["auto", "robustbench"])
def test_robustbench_weights_answer_as_published(tmp_path: Path, layout: Any) -> None:
    """No statistics among the weights: inputs in [0, 1] as they are, whatever the data's mean."""
    named, network = published("wide_resnet28_10", {"depth": 10, "widen": 1})
    save_file(named, tmp_path / "w.safetensors")
    data = images(channels=3, side=8)
    version = load_outside(tmp_path / "w.safetensors", "wide_resnet28_10", {}, data, name="m", layout=layout)
    x = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(version.classifier(x), network(x))
    assert version.record.config["depth"] == 10
    del named["model.fc.weight"]
    save_file(named, tmp_path / "w.safetensors")
    with pytest.raises(ArtifactRefusedError, match=r"missing: fc.weight"):
        load_outside(tmp_path / "w.safetensors", "wide_resnet28_10", {}, data, name="m", layout=layout)


def test_a_layout_for_an_architecture_that_has_none(tmp_path: Path) -> None:
    save_file(state(), tmp_path / "w.safetensors")
    with pytest.raises(UsageError, match="no layout for mlp"):
        load_outside(
            tmp_path / "w.safetensors", "mlp", {"hidden": 8}, images(), name="m", layout="robustbench"
        )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_points_become_float32(tmp_path: Path, dtype: torch.dtype) -> None:
    weights = {name: tensor.to(dtype) for name, tensor in state().items()}
    save_file(weights, tmp_path / "w.safetensors")
    version = load_outside(tmp_path / "w.safetensors", "mlp", {"hidden": 8}, images(), name="m")
    for name, tensor in version.classifier.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, weights[name].float())


def test_whole_numbers_are_no_weights(tmp_path: Path) -> None:
    weights = {name: tensor.to(torch.int8) for name, tensor in state().items()}
    save_file(weights, tmp_path / "w.safetensors")
    with pytest.raises(ArtifactRefusedError, match=r"not of floating point \(standardize.mean torch.int8"):
        load_outside(tmp_path / "w.safetensors", "mlp", {"hidden": 8}, images(), name="m")


def test_every_missing_name_is_listed_up_to_a_dozen(tmp_path: Path) -> None:
    save_file({f"theirs.{i}": torch.zeros(1) for i in range(30)}, tmp_path / "w.safetensors")
    with pytest.raises(ArtifactRefusedError) as caught:
        load_outside(tmp_path / "w.safetensors", "mlp", {"hidden": 8}, images(), name="m")
    count = len(state())
    assert f"{count} missing ({', '.join(sorted(state()))})" in caught.value.problem
    assert "30 unexpected (theirs.0, theirs.1" in caught.value.problem
    assert "and 18 more" in caught.value.problem


# Factories

MODEL = """\
import torch
from helper import SEED, WIDTH

class Net(torch.nn.Module):
    def __init__(self, classes):
        super().__init__()
        torch.manual_seed(SEED)
        self.linear = torch.nn.Linear(WIDTH, classes)
    def forward(self, x):
        return {answer}

def build({argument}):
    return {made}
"""


@pytest.fixture
def factory(tmp_path: Path) -> Any:
    (tmp_path / "helper.py").write_text("WIDTH, SEED = 16, 0\n")
    sys.modules.pop("helper", None)

    def written(answer: str = "self.linear(x.flatten(1))", argument: str = "", made: str = "Net(3)") -> Path:
        path = tmp_path / "mine.py"
        path.write_text(MODEL.format(answer=answer, argument=argument, made=made))
        return path

    return written


def test_a_factory_is_run_only_with_the_flag(factory: Any) -> None:
    with pytest.raises(ArtifactRefusedError, match="run to load the model") as caught:
        refuse_factory("mine.py:build", unsafe_load=False)
    assert "--unsafe-load" in str(caught.value.remedy)
    refuse_factory("mine.py:build", unsafe_load=True)


@pytest.mark.parametrize(("argument", "made"), [("", "Net(3)"), ("dataset", "Net(len(dataset.classes))")])
def test_a_factory_builds_a_white_box_that_the_record_calls_unsafe(
    factory: Any, argument: str, made: str
) -> None:
    version = load_factory(factory(argument=argument, made=made), "build", images(), name="m")
    assert version.classifier.knowledge == "white"
    assert version.record.loaded is not None
    assert version.record.loaded.unsafe
    assert "--unsafe-load" in version.record.loaded.limits[0]
    torch.manual_seed(0)
    linear, x = torch.nn.Linear(16, 3), torch.rand(2, 1, 4, 4)
    torch.testing.assert_close(version.classifier(x), linear(x.flatten(1)))


def test_the_digest_follows_the_file_and_the_weights(factory: Any) -> None:
    def digest(**how: str) -> str:
        return load_factory(factory(**how), "build", images(), name="m").record.weights_digest

    same, other_code = digest(), digest(answer="2 * self.linear(x.flatten(1))")
    assert same == digest()
    assert same != other_code
    path = factory()
    (path.parent / "helper.py").write_text("WIDTH, SEED = 16, 1\n")
    sys.modules.pop("helper", None)
    assert load_factory(path, "build", images(), name="m").record.weights_digest not in (same, other_code)


def test_where_no_gradient_flows_only_scores_are_had(factory: Any) -> None:
    for answer in ("self.linear(x.flatten(1)).detach()", "self.linear(x.detach().flatten(1))"):
        version = load_factory(factory(answer=answer), "build", images(), name="m")
        assert version.classifier.knowledge == "score"
        assert not version.classifier(torch.rand(2, 1, 4, 4)).requires_grad


@pytest.mark.parametrize(
    ("how", "error", "says"),
    [
        ({"answer": "self.linear(x)"}, UsageError, "raised RuntimeError"),
        (
            {"answer": "x.flatten(1)"},
            ArtifactRefusedError,
            "answers [4, 16] to a batch of 4, expected [4, 3]",
        ),
        ({"answer": "x.mean()"}, ArtifactRefusedError, "expected [4, 3]"),
        ({"answer": "'yes'"}, ArtifactRefusedError, "answers str"),
        ({"answer": "self.linear(x.flatten(1)) * float('nan')"}, ArtifactRefusedError, "NaN or infinity"),
        ({"made": "42"}, ArtifactRefusedError, "returned int, not an nn.Module"),
        ({"made": "1 / 0"}, UsageError, "raised ZeroDivisionError"),
        ({"made": "__import__('sys').exit(0)"}, UsageError, "raised SystemExit"),
        ({"answer": "__import__('sys').exit(0)"}, UsageError, "raised SystemExit"),
        ({"argument": "a, b"}, UsageError, "raised TypeError"),
    ],
)
def test_a_factory_that_does_not_do(
    factory: Any, how: dict[str, str], error: type[Exception], says: str
) -> None:
    with pytest.raises(error) as caught:
        load_factory(factory(**how), "build", images(), name="m")
    assert says in str(caught.value)


def test_a_factory_that_is_not_there(factory: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no function 'made'"):
        load_factory(factory(), "made", images(), name="m")
    (tmp_path / "mine.py").write_text("def build(:\n")
    with pytest.raises(UsageError, match="raised SyntaxError"):
        load_factory(tmp_path / "mine.py", "build", images(), name="m")
    with pytest.raises(UsageError, match="no such file"):
        load_factory(tmp_path / "none.py", "build", images(), name="m")


def test_a_factory_of_a_text_model_reads_texts_itself(tmp_path: Path) -> None:
    split = Split(pl.Series(["a", "b"]), ["one", "two words"], np.array([0, 1]))
    data = Dataset("texts", "text", ("no", "yes"), TokenSpace(9, 9), {"test": split}, "d" * 64)
    source = """
import torch
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(9, 2)
    def encode(self, texts):
        return torch.tensor([[len(text)] for text in texts]).clamp(max=8)
    def forward(self, ids):
        return self.table(ids).mean(1)
def build():
    return Net()
"""
    (tmp_path / "m.py").write_text(source)
    model = load_factory(tmp_path / "m.py", "build", data, name="m").classifier
    assert model(model.encode(["one", "two words"])).shape == (2, 2)
    (tmp_path / "m.py").write_text(source.replace("def encode", "def other"))
    with pytest.raises(ArtifactRefusedError, match="how it reads texts"):
        load_factory(tmp_path / "m.py", "build", data, name="m")


def test_the_registry_takes_weights_alone(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"\x08\x09")
    with pytest.raises(UsageError, match="the registry keeps weights") as caught:
        refuse_unregistrable(tmp_path / "m.onnx", unsafe_load=True)
    assert "path" in str(caught.value.remedy)
    save_file(state(), tmp_path / "w.safetensors")
    refuse_unregistrable(tmp_path / "w.safetensors", unsafe_load=False)
