"""Weights from strangers: refused before anything in them can run, and when they do not fit."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import save_file

from raiaudit.attacks.spaces import ImageBox
from raiaudit.errors import ArtifactRefusedError, RaiauditError, UnknownNameError, UsageError
from raiaudit.models.architectures import build
from raiaudit.models.data.dataset import Dataset, Split
from raiaudit.models.outside import load_outside, refuse_unsafe
from raiaudit.models.weights import weights_digest

CLASSES = ("a", "b", "c")


def images(n: int, *, classes: int = 3) -> Split:
    rng = np.random.default_rng(0)
    return Split(
        ids=pl.Series([f"i{i}" for i in range(n)]),
        inputs=rng.integers(0, 256, (n, 1, 4, 4), dtype=np.uint8),
        labels=np.arange(n) % classes,
    )


@pytest.fixture
def dataset() -> Dataset:
    splits = {name: images(12) for name in ("train", "validation", "test")}
    return Dataset("tiny", "image", CLASSES, ImageBox((1, 4, 4), 0.0, 1.0), splits, "d" * 64)


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return build("mlp", {"shape": [1, 4, 4], "classes": 3, "hidden": 8}).state_dict()


@pytest.fixture
def load(tmp_path: Path, dataset: Dataset) -> Callable[..., Any]:
    """Save a state dict, load it as an MLP of 8 hidden units (or with other options)."""

    def loaded(state: dict[str, torch.Tensor], **options: Any) -> Any:
        path = tmp_path / "w.safetensors"
        save_file(state, path)
        return load_outside(path, "mlp", {"hidden": 8, **options}, dataset, name="theirs")

    return loaded


def test_weights_that_fit_are_loaded_exactly(load: Any, state: dict[str, torch.Tensor]) -> None:
    version = load(state)
    assert (version.name, version.version) == ("theirs", 0)
    assert not version.classifier.training
    assert version.record.recipe is None
    assert version.record.data_digest is None  # nothing is known of its training data, so nothing is claimed
    assert version.record.weights_digest == weights_digest(state)
    for name, tensor in version.classifier.state_dict().items():
        assert torch.equal(tensor, state[name])


# What does not fit


def refused(load: Any, state: dict[str, torch.Tensor], **options: Any) -> str:
    with pytest.raises(ArtifactRefusedError) as caught:
        load(state, **options)
    assert caught.value.exit_code == 4
    assert "w.safetensors" in str(caught.value)
    assert caught.value.remedy
    assert len(str(caught.value).splitlines()) <= 12
    return caught.value.problem


def test_an_output_width_that_is_not_the_number_of_classes(load: Any) -> None:
    five = build("mlp", {"shape": [1, 4, 4], "classes": 5, "hidden": 8}).state_dict()
    assert refused(load, five) == "the model answers with 5 classes, the data set has 3"


def test_another_architecture(
    load: Any, tmp_path: Path, dataset: Dataset, state: dict[str, torch.Tensor]
) -> None:
    cnn = build("cnn", {"shape": [1, 4, 4], "classes": 3, "width": 4, "hidden": 8}).state_dict()
    assert "the weights do not fit mlp" in refused(load, cnn)
    load(state)
    with pytest.raises(ArtifactRefusedError, match="the weights do not fit cnn"):
        load_outside(tmp_path / "w.safetensors", "cnn", {}, dataset, name="theirs")


def test_another_size(load: Any, state: dict[str, torch.Tensor]) -> None:
    assert "layers.1.weight (8, 16) instead of (16, 16)" in refused(load, state, hidden=16)


def test_missing_surplus_and_mistyped_tensors(load: Any, state: dict[str, torch.Tensor]) -> None:
    name = "layers.1.weight"
    assert f"1 missing ({name})" in refused(load, {k: v for k, v in state.items() if k != name})
    assert "1 unexpected (backdoor)" in refused(load, {**state, "backdoor": torch.zeros(1)})


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers(load: Any, state: dict[str, torch.Tensor], bad: float) -> None:
    """A model of NaN answers class 0 to everything, which looks like a result."""
    state["layers.1.weight"][0, 0] = bad
    assert "layers.1.weight holds NaN or infinity" in refused(load, state)


def test_unknown_architecture_options_and_files(
    load: Any, dataset: Dataset, state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="no option 'widht'"):
        load(state, widht=3)
    with pytest.raises(UnknownNameError, match="unknown architecture 'mpl'"):
        load_outside(tmp_path / "w.safetensors", "mpl", {}, dataset, name="theirs")
    for path in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(UsageError, match="no such model file"):
            load_outside(path, "mlp", {}, dataset, name="theirs")


# What could run code


class Bomb:
    """Unpickling it creates a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self.target,)


def bomb(target: Path, kind: str) -> bytes:
    buffer = io.BytesIO()
    if kind.startswith("protocol"):
        return pickle.dumps(Bomb(target), protocol=int(kind[-1]))
    if kind == "torch archive":
        torch.save({"w": Bomb(target)}, buffer)
    elif kind == "torch legacy":
        torch.save({"w": Bomb(target)}, buffer, _use_new_zipfile_serialization=False)
    elif kind == "zip":
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("data.pkl", pickle.dumps(Bomb(target)))
    elif kind == "object array":
        np.save(buffer, np.array([Bomb(target)], dtype=object), allow_pickle=True)
    return buffer.getvalue()


KINDS = [f"protocol {n}" for n in range(6)] + ["torch archive", "torch legacy", "zip", "object array"]


@pytest.mark.parametrize("suffix", [".pt", ".pkl", ".safetensors", ".SafeTensors", ""])
@pytest.mark.parametrize("kind", KINDS)
def test_a_pickle_is_refused_unopened_whatever_it_is_called(
    tmp_path: Path, dataset: Dataset, kind: str, suffix: str
) -> None:
    trap = tmp_path / "ran"
    path = tmp_path / f"model{suffix}"
    path.write_bytes(bomb(trap, kind))
    with pytest.raises(ArtifactRefusedError) as caught:
        load_outside(path, "mlp", {"hidden": 8}, dataset, name="theirs")
    assert caught.value.exit_code == 4
    assert caught.value.remedy is not None
    assert "safetensors" in caught.value.remedy
    assert not trap.exists()


def test_the_bombs_of_this_file_do_explode(tmp_path: Path) -> None:
    pickle.loads(bomb(tmp_path / "ran", "protocol 4"))
    assert (tmp_path / "ran").exists()


# Damaged safetensors


def header(fields: object, *, length: int | None = None, body: bytes = b"") -> bytes:
    text = json.dumps(fields).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def entry(shape: Any, offsets: Any, dtype: str = "F32") -> dict[str, Any]:
    return {"layers.1.weight": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 8,
        b"\x00" * 100,
        b"{}",
        b"GGUF" + b"\x00" * 60,
        header({}, length=2**63),
        header({}, length=2**64 - 1),
        header({}, length=1 << 40),
        header({}, length=100),
        struct.pack("<Q", 40) + b"{" * 40,
        struct.pack("<Q", 50_000) + b'{"a":' * 10_000,
        header([1, 2]),
        header({"layers.1.weight": None}),
        header({"layers.1.weight": {}}),
        header({"layers.1.weight": {"shape": None}}),
        header(entry([8, 16], [0, 512])),  # the body is missing
        header(entry([8, 16], [0, 4]), body=b"\x00" * 4),  # offsets shorter than the shape
        header(entry([8, 16], [512, 0]), body=b"\x00" * 512),
        header(entry([-8, -16], [0, 512]), body=b"\x00" * 512),
        header(entry([2**40, 2**40], [0, 512]), body=b"\x00" * 512),
        header(entry([8, 16], [0, 512], dtype="PICKLE"), body=b"\x00" * 512),
        header(
            {**entry([8, 16], [0, 512]), "w": {"dtype": "F32", "shape": [64], "data_offsets": [256, 512]}},
            body=b"\x00" * 512,
        ),  # two tensors in the same bytes
        header(
            {**entry([8, 16], [0, 512]), "w": {"dtype": "F32", "shape": [1], "data_offsets": [516, 520]}},
            body=b"\x00" * 520,
        ),  # bytes that belong to no tensor
        pytest.param(
            header({f"w{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(300_000)}),
            id="a header of 19 MiB",
        ),
        header(entry("shape", [0, 512]), body=b"\x00" * 512),
    ],
)
def test_a_damaged_or_hostile_header_is_refused(tmp_path: Path, dataset: Dataset, content: bytes) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(ArtifactRefusedError) as caught:
        load_outside(path, "mlp", {"hidden": 8}, dataset, name="theirs")
    assert "w.safetensors" in str(caught.value)


@pytest.mark.parametrize("keep", [0.001, 0.05, 0.5, 0.999])
def test_a_truncated_file_is_refused(
    tmp_path: Path, dataset: Dataset, state: dict[str, torch.Tensor], keep: float
) -> None:
    path = tmp_path / "w.safetensors"
    save_file(state, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(ArtifactRefusedError):
        load_outside(path, "mlp", {"hidden": 8}, dataset, name="theirs")


def test_random_damage_is_refused_or_harmless(
    tmp_path: Path, dataset: Dataset, state: dict[str, torch.Tensor]
) -> None:
    """Any one byte changed: the file is refused, or the model is a model whose digest is another."""
    path = tmp_path / "w.safetensors"
    save_file(state, path)
    whole, original = path.read_bytes(), weights_digest(state)
    rng = np.random.default_rng(0)
    for at in [*range(0, 60), *rng.integers(0, len(whole), 60)]:
        damaged = bytearray(whole)
        damaged[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(damaged))
        try:
            version = load_outside(path, "mlp", {"hidden": 8}, dataset, name="theirs")
        except RaiauditError:
            continue
        header_end = 8 + struct.unpack("<Q", whole[:8])[0]
        assert at < header_end or version.record.weights_digest != original


@pytest.mark.parametrize("length", [640, 896, 1152, 1408])  # 80 02 to 80 05: how pickles begin
def test_a_header_whose_length_looks_like_a_pickle_is_none(tmp_path: Path, length: int) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"w": torch.zeros(1)}, path, metadata={"pad": "x" * (length - 100)})
    stored = struct.unpack("<Q", path.read_bytes()[:8])[0]
    save_file({"w": torch.zeros(1)}, path, metadata={"pad": "x" * (length - 100 + length - stored)})
    assert path.read_bytes()[:8] == struct.pack("<Q", length)
    refuse_unsafe(path)


def test_an_honest_file_passes_the_first_look(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    save_file(state, tmp_path / "w.safetensors", metadata={"format": "pt"})
    refuse_unsafe(tmp_path / "w.safetensors")
