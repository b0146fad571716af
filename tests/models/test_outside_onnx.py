"""ONNX graphs from strangers: the same answers as onnxruntime, with gradients or a reason why not."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import polars as pl
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from raiaudit.attacks.spaces import Column, ImageBox, TableSchema, TokenSpace
from raiaudit.errors import ArtifactRefusedError, UsageError
from raiaudit.models.data.dataset import Dataset, Split
from raiaudit.models.outside import load_outside, outside_digest
from raiaudit.models.version import ModelVersion

FLOAT = TensorProto.FLOAT
Array = NDArray[Any]
rng = np.random.default_rng(0)


def of_images(channels: int = 2, side: int = 4, classes: int = 3) -> Dataset:
    split = Split(
        pl.Series([f"i{i}" for i in range(12)]),
        rng.integers(0, 256, (12, channels, side, side), dtype=np.uint8),
        np.arange(12) % classes,
    )
    splits = {"train": split, "validation": split, "test": split}
    space = ImageBox((channels, side, side), 0.0, 1.0)
    return Dataset("tiny", "image", tuple("abcdef"[:classes]), space, splits, "d" * 64)


def graph(
    nodes: list[Any],
    weights: dict[str, Array],
    *,
    shape: list[Any] | None = None,
    outputs: list[tuple[str, list[Any] | None]] | None = None,
    opset: int = 17,
    dtype: int = FLOAT,
) -> Any:
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", dtype, shape or ["b", 2, 4, 4])],
        [
            helper.make_tensor_value_info(name, dtype, sizes)
            for name, sizes in outputs or [("logits", ["b", 3])]
        ],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def head(inputs: int = 32) -> tuple[list[Any], dict[str, Array]]:
    """From the tensor `h` to logits."""
    weights = {"w": rng.normal(size=(inputs, 3)).astype("f"), "b": rng.normal(size=3).astype("f")}
    return [
        helper.make_node("Flatten", ["h"], ["f"]),
        helper.make_node("Gemm", ["f", "w", "b"], ["logits"]),
    ], weights


def network(*, softmax: bool = False) -> Any:
    """Convolution, batch norm, pooling: a small but whole network."""
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c", "s", "o", "m", "v"], ["n"]),
        helper.make_node("Relu", ["n"], ["r"]),
        helper.make_node("MaxPool", ["r"], ["h"], kernel_shape=[2, 2], strides=[2, 2]),
    ]
    last, weights = head(8)
    one = np.ones(2, "f")
    weights |= {
        "k": rng.normal(size=(2, 2, 3, 3)).astype("f"),
        "s": one,
        "o": one / 3,
        "m": one / 5,
        "v": one * 2,
    }
    if softmax:
        last = [*last, helper.make_node("Softmax", ["logits"], ["p"], axis=1)]
    return graph([*nodes, *last], weights, outputs=[("p" if softmax else "logits", ["b", 3])])


def runtime(model: Any, x: Array, output: str = "logits") -> Array:
    """The oracle: what onnxruntime says, without any code of ours."""
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    if output not in {value.name for value in copied.graph.output}:
        copied.graph.output.append(helper.make_empty_tensor_value_info(output))
    session = onnxruntime.InferenceSession(copied.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run([output], {"x": x})[0])


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., ModelVersion]:
    def loaded(model: Any, dataset: Dataset | None = None, **options: Any) -> ModelVersion:
        path = tmp_path / "m.onnx"
        path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
        return load_outside(path, None, options, dataset or of_images(), name="theirs")

    return loaded


def refused(load: Any, model: Any, dataset: Dataset | None = None) -> str:
    with pytest.raises(ArtifactRefusedError) as caught:
        load(model, dataset)
    assert caught.value.exit_code == 4
    assert "m.onnx" in str(caught.value)
    assert caught.value.remedy
    return caught.value.problem


# The same answers, with gradients


def test_a_network_answers_as_onnxruntime_does_and_has_its_gradient(load: Any) -> None:
    model = network()
    version = load(model)
    assert version.classifier.knowledge == "white"
    assert version.record.loaded.limits == ()
    x = torch.rand(40, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(version.classifier(x).detach(), runtime(model, x.numpy()), atol=1e-5)
    at = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(version.classifier(at)[:, 1].sum(), at)
    step, direction = 1e-3, torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    ends = [runtime(model, (x + sign * step * direction).numpy())[:, 1] for sign in (1, -1)]
    slopes_B = (ends[0] - ends[1]) / (2 * step)
    expected_B = (gradient * direction).flatten(1).sum(1).numpy()
    # Between the two ends of a difference some example may cross the kink of a ReLU or of a maximum.
    agree_B = np.isclose(slopes_B, expected_B, rtol=2e-2, atol=2e-2)
    assert agree_B.mean() > 0.7


def node(operator: str, *inputs: str, **attributes: Any) -> list[Any]:
    return [helper.make_node(operator, ["x", *inputs], ["h"], **attributes)]


def ints(*values: int) -> Array:
    return np.array(values, dtype=np.int64)


K33, K22 = rng.normal(size=(4, 2, 3, 3)).astype("f"), rng.normal(size=(2, 3, 2, 2)).astype("f")
PAIR = np.array([0.5, 1.5], "f")
OPERATORS: dict[str, tuple[list[Any], dict[str, Array], int]] = {
    "Conv stride dilation": (
        node("Conv", "k", strides=[2, 1], dilations=[1, 1], pads=[1, 0, 1, 2]),
        {"k": K33},
        17,
    ),
    "Conv uneven": (node("Conv", "k", pads=[0, 1, 2, 1]), {"k": K33}, 17),
    "Conv same": (node("Conv", "k", auto_pad="SAME_UPPER", strides=[2, 2]), {"k": K33}, 17),
    "Conv same lower": (node("Conv", "k", auto_pad="SAME_LOWER", strides=[2, 2]), {"k": K33}, 17),
    "Conv groups": (node("Conv", "k", group=2), {"k": K33[:, :1]}, 17),
    "ConvTranspose": (node("ConvTranspose", "k", strides=[2, 2], output_padding=[1, 1]), {"k": K22}, 17),
    "MaxPool ceil": (node("MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1), {}, 17),
    "MaxPool uneven": (node("MaxPool", kernel_shape=[3, 3], pads=[0, 0, 1, 1]), {}, 17),
    "AveragePool": (node("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]), {}, 17),
    "AveragePool counted": (
        node("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
        {},
        17,
    ),
    "AveragePool uneven": (node("AveragePool", kernel_shape=[3, 3], pads=[0, 0, 1, 1]), {}, 17),
    "GlobalAveragePool": (node("GlobalAveragePool"), {}, 17),
    "GlobalMaxPool": (node("GlobalMaxPool"), {}, 17),
    "LRN": (node("LRN", size=3, alpha=0.1, beta=0.6, bias=1.5), {}, 17),
    "InstanceNormalization": (node("InstanceNormalization", "s", "o"), {"s": PAIR, "o": PAIR}, 17),
    "LayerNormalization": (node("LayerNormalization", "s", axis=-1), {"s": np.arange(4, dtype="f")}, 17),
    "GroupNormalization": (node("GroupNormalization", "s", "o", num_groups=2), {"s": PAIR, "o": PAIR}, 21),
    "Clip": (node("Clip", "low", "high"), {"low": np.array(0.2, "f"), "high": np.array(0.7, "f")}, 17),
    "Clip old": (node("Clip", min=0.2, max=0.7), {}, 7),
    "Dropout": (node("Dropout"), {}, 17),
    "Elu": (node("Elu", alpha=0.5), {}, 17),
    "Gelu": (node("Gelu", approximate="tanh"), {}, 20),
    "HardSigmoid": (node("HardSigmoid", alpha=0.3, beta=0.1), {}, 17),
    "HardSwish": (node("HardSwish"), {}, 17),
    "LeakyRelu": (node("LeakyRelu", alpha=0.3), {}, 17),
    "Mish": (node("Mish"), {}, 18),
    "PRelu": (node("PRelu", "s"), {"s": np.array([[[0.1]], [[0.2]]], "f")}, 17),
    "Selu": (node("Selu"), {}, 17),
    "Softmax": (node("Softmax", axis=1), {}, 17),
    "Softmax of a row": (node("Softmax", axis=1), {}, 11),
    "LogSoftmax": (node("LogSoftmax", axis=-1), {}, 17),
    "Pad": (node("Pad", "p", "c"), {"p": ints(0, 0, 1, 0, 0, 0, 0, 2), "c": np.array(0.3, "f")}, 17),
    "Pad reflect": (node("Pad", "p", mode="reflect"), {"p": ints(0, 0, 1, 1, 0, 0, 1, 1)}, 17),
    "Pow": (node("Pow", "e"), {"e": np.array(2.0, "f")}, 17),
    "ReduceL2": (node("ReduceL2", axes=[2], keepdims=0), {}, 17),
    "ReduceMax": (node("ReduceMax", axes=[1]), {}, 17),
    "ReduceMean": (node("ReduceMean", "a"), {"a": ints(1)}, 18),
    "ReduceSum": (node("ReduceSum", "a", keepdims=0), {"a": ints(-1)}, 17),
    "Reshape": (node("Reshape", "s"), {"s": ints(0, 4, -1)}, 17),
    "Slice": (
        node("Slice", "s", "e", "a", "t"),
        {"s": ints(3, 0), "e": ints(-9, 4), "a": ints(2, 3), "t": ints(-1, 2)},
        17,
    ),
    "Split": ([helper.make_node("Split", ["x"], ["u", "h"], axis=2, num_outputs=2)], {}, 18),
    "Squeeze": (
        [helper.make_node("Unsqueeze", ["x", "a"], ["u"]), helper.make_node("Squeeze", ["u", "a"], ["h"])],
        {"a": ints(2)},
        17,
    ),
    "Tile": (node("Tile", "n"), {"n": ints(1, 2, 1, 1)}, 17),
    "Transpose": (node("Transpose", perm=[0, 3, 1, 2]), {}, 17),
    "Where": (
        [helper.make_node("Greater", ["x", "c"], ["g"]), helper.make_node("Where", ["g", "x", "c"], ["h"])],
        {"c": np.array(0.5, "f")},
        17,
    ),
    "Gather": (node("Gather", "i", axis=1), {"i": ints(1, -1, 0)}, 17),
    "Max": (node("Max", "c"), {"c": np.array(0.4, "f")}, 17),
    "Expand Shape": (
        [
            helper.make_node("Shape", ["x"], ["s"]),
            helper.make_node("Expand", ["c", "s"], ["u"]),
            helper.make_node("Mul", ["x", "u"], ["h"]),
        ],
        {"c": PAIR.reshape(2, 1, 1)},
        17,
    ),
    "ConstantOfShape Range": (
        [
            helper.make_node("Range", ["zero", "four", "one"], ["r"]),
            helper.make_node("Cast", ["r"], ["u"], to=FLOAT),
            helper.make_node("Add", ["x", "u"], ["h"]),
        ],
        {"zero": np.array(0), "four": np.array(4), "one": np.array(1)},
        17,
    ),
    "Einsum": (node("Einsum", "e", equation="bchw,wd->bchd"), {"e": rng.normal(size=(4, 3)).astype("f")}, 17),
    **{
        name: (node(name), {}, 17)
        for name in ("Abs", "Erf", "Exp", "Neg", "Sigmoid", "Sin", "Softplus", "Softsign", "Sqrt", "Tanh")
    },
}


@pytest.mark.parametrize("case", OPERATORS)
def test_an_operator_means_here_what_it_means_there(load: Any, case: str) -> None:
    """One operator before a linear head, against onnxruntime: to 1e-5, and a gradient arrives."""
    nodes, weights, opset = OPERATORS[case]
    alone = graph(nodes, weights, outputs=[("h", None)], opset=opset)
    x = rng.random((3, 2, 4, 4)).astype("f") + 0.01
    shape = runtime(alone, x, "h").shape
    last, more = head(int(np.prod(shape[1:])))
    model = graph([*nodes, *last], {**weights, **more}, opset=opset)
    classifier = load(model).classifier
    assert classifier.knowledge == "white"
    np.testing.assert_allclose(
        classifier(torch.from_numpy(x)).detach(), runtime(model, x), atol=1e-5, rtol=1e-5
    )


# How a graph is asked


def test_a_final_softmax_is_left_out(load: Any) -> None:
    model = network(softmax=True)
    version = load(model)
    assert version.record.config["answers"] == "logits, taken before the final Softmax"
    x = torch.rand(4, 2, 4, 4)
    logits_BK = version.classifier(x).detach()
    np.testing.assert_allclose(logits_BK, runtime(model, x.numpy(), "logits"), atol=1e-5)
    np.testing.assert_allclose(logits_BK.softmax(1), runtime(model, x.numpy(), "p"), atol=1e-5)


def test_probabilities_from_elsewhere_become_their_logarithms(load: Any) -> None:
    """Softmax written out by hand: nothing in the graph says so, its answers do."""
    last, weights = head()
    nodes = [
        helper.make_node("Identity", ["x"], ["h"]),
        *last,
        helper.make_node("Exp", ["logits"], ["e"]),
        helper.make_node("ReduceSum", ["e", "one"], ["t"]),
        helper.make_node("Div", ["e", "t"], ["p"]),
    ]
    model = graph(nodes, {**weights, "one": ints(1)}, outputs=[("p", ["b", 3])])
    version = load(model)
    assert version.record.config["answers"] == "logarithms of probabilities"
    x = torch.rand(4, 2, 4, 4)
    np.testing.assert_allclose(
        version.classifier(x).detach().exp(), runtime(model, x.numpy(), "p"), atol=1e-5
    )


@pytest.mark.parametrize(
    ("shape", "layout", "reordered"),
    [
        (["b", 4, 4, 2], "B×H×W×C", lambda x: x.transpose(0, 2, 3, 1)),
        (["b", 32], "flat", lambda x: x.reshape(len(x), -1)),
        (["b", None, None, None], "B×C×H×W", lambda x: x),
    ],
)
def test_layouts(load: Any, shape: list[Any], layout: str, reordered: Callable[[Array], Array]) -> None:
    last, weights = head()
    model = graph([helper.make_node("Identity", ["x"], ["h"]), *last], weights, shape=shape)
    version = load(model)
    assert version.record.config["input"] == layout
    x = rng.random((3, 2, 4, 4)).astype("f")
    given = np.ascontiguousarray(reordered(x))
    np.testing.assert_allclose(
        version.classifier(torch.from_numpy(x)).detach(), runtime(model, given), atol=1e-5
    )


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("white", [True, False])
def test_a_fixed_number_of_inputs_at_once(load: Any, batch: int, white: bool) -> None:
    """The rows that fill a last batch up are not among the answers."""
    last, weights = head()
    nodes = [helper.make_node("Reshape", ["x", "s"], ["h"]), *last]
    if not white:
        nodes[0] = helper.make_node("CumSum", ["x", "axis"], ["h"])
    more = {"s": ints(batch, 32)} if white else {"axis": np.array(1)}
    model = graph(nodes, {**weights, **more}, shape=[batch, 2, 4, 4], outputs=[("logits", [batch, 3])])
    classifier = load(model).classifier
    x = torch.rand(6, 2, 4, 4)
    free = graph(
        [helper.make_node("Identity", ["x"], ["h"]) if white else nodes[0], *last], {**weights, **more}
    )
    expected = torch.from_numpy(runtime(free, x.numpy()))
    found = classifier(x).detach()
    assert found.shape == (6, 3)
    np.testing.assert_allclose(found.log_softmax(1), expected.log_softmax(1), atol=1e-5)


def test_normalisation_is_an_option(load: Any) -> None:
    model = network()
    plain = load(model).classifier
    version = load(model, mean=[0.1, 0.2], std=0.5)
    x = torch.rand(3, 2, 4, 4)
    by_hand = (x - torch.tensor([0.1, 0.2]).reshape(2, 1, 1)) / 0.5
    torch.testing.assert_close(version.classifier(x), plain(by_hand))
    assert version.record.config["mean"] == [0.1, 0.2]
    assert version.record.weights_digest != load(model).record.weights_digest


@pytest.mark.parametrize("options", [{"mean": [1, 2, 3]}, {"std": 0}, {"mean": "x"}, {"scale": 2}])
def test_an_option_that_cannot_be(load: Any, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        load(network(), **options)


def test_half_precision_is_widened(load: Any) -> None:
    last, weights = head()
    halves = {name: array.astype(np.float16) for name, array in weights.items()}
    model = graph([helper.make_node("Identity", ["x"], ["h"]), *last], halves, dtype=TensorProto.FLOAT16)
    classifier = load(model).classifier
    assert {parameter.dtype for parameter in classifier.parameters()} == {torch.float32}
    x = rng.random((3, 2, 4, 4)).astype(np.float16)
    np.testing.assert_allclose(
        classifier(torch.from_numpy(x).float()).detach(), runtime(model, x).astype("f"), atol=2e-2
    )


def test_encoded_rows_of_a_table(load: Any) -> None:
    columns = tuple(Column(name, "real", low=0.0, high=1.0) for name in "abcd")
    split = Split(pl.Series(list("abcdef")), rng.random((6, 4)).astype("f"), np.arange(6) % 3)
    table = Dataset("rows", "tabular", ("a", "b", "c"), TableSchema(columns), {"test": split}, "d" * 64)
    weights = {"w": rng.normal(size=(4, 3)).astype("f")}
    model = graph([helper.make_node("MatMul", ["x", "w"], ["logits"])], weights, shape=["b", 4])
    classifier = load(model, table).classifier
    x = torch.rand(3, 4)
    np.testing.assert_allclose(classifier(x).detach(), x.numpy() @ weights["w"], atol=1e-5)
    narrow = graph(
        [helper.make_node("MatMul", ["x", "w"], ["logits"])], {"w": weights["w"][:3]}, shape=["b", 3]
    )
    assert "the input 'x' is ?×3, rows offers B×4" in refused(load, narrow, table)


# Scores alone


def test_an_operator_without_a_counterpart_leaves_the_scores_and_is_named(load: Any) -> None:
    last, weights = head()
    nodes = [helper.make_node("CumSum", ["x", "axis"], ["h"]), *last]
    model = graph(nodes, {**weights, "axis": np.array(1)})
    version = load(model)
    assert version.classifier.knowledge == "score"
    (limit,) = version.record.loaded.limits
    assert "no gradient is known here for the operator CumSum" in limit
    x = torch.rand(5, 2, 4, 4).requires_grad_()
    answer = version.classifier(x)
    assert not answer.requires_grad
    expected = torch.from_numpy(runtime(model, x.detach().numpy())).log_softmax(1)
    np.testing.assert_allclose(answer, expected, atol=1e-5)
    assert version.record.parameters == 32 * 3 + 3


def test_a_graph_that_cuts_its_gradient_off_is_no_white_box(load: Any) -> None:
    last, weights = head()
    nodes = [
        helper.make_node("Cast", ["x"], ["i"], to=TensorProto.INT64),
        helper.make_node("Cast", ["i"], ["h"], to=FLOAT),
        *last,
    ]
    version = load(graph(nodes, weights))
    assert version.classifier.knowledge == "score"
    assert "no gradient reaches its inputs" in version.record.loaded.limits[0]


def test_a_translation_that_answers_otherwise_is_not_used(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from raiaudit.models.outside import onnx_ops

    monkeypatch.setitem(onnx_ops.OPERATORS, "Relu", lambda _attributes, x: x.abs())
    version = load(network())
    assert version.classifier.knowledge == "score"
    assert "differs from onnxruntime by" in version.record.loaded.limits[0]


# What does not fit, or is hostile


def test_other_shapes_and_numbers_of_classes(load: Any) -> None:
    assert "the input 'x' is ?×2×4×4, tiny offers B×1×4×4 or" in refused(
        load, network(), of_images(channels=1)
    )
    assert "one output of 4 numbers" in refused(load, network(), of_images(classes=4))
    open_ended = network()
    open_ended.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "k"
    assert "answers with 3 classes, the data set has 4" in refused(load, open_ended, of_images(classes=4))


def test_two_inputs_whole_numbers_and_texts(load: Any, tmp_path: Path) -> None:
    two = network()
    two.graph.input.append(helper.make_tensor_value_info("y", FLOAT, [1]))
    assert "must have one input, it has 2 (x, y)" in refused(load, two)
    last, weights = head()
    nodes = [helper.make_node("Cast", ["x"], ["h"], to=FLOAT), *last]
    whole = graph(nodes, weights)
    whole.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    assert "not of floating point" in refused(load, whole)
    split = Split(pl.Series(["a"]), ["a text"], np.array([0]))
    texts = Dataset("texts", "text", ("a", "b", "c"), TokenSpace(100, 8), {"test": split}, "d" * 64)
    with pytest.raises(UsageError, match="takes image or tabular data"):
        load(network(), texts)


@pytest.mark.parametrize(
    "content", [b"", b"\x08", b"\x00" * 64, b"\x80\x04pickle", b"PK\x03\x04" + b"\0" * 40, b"<html>"]
)
def test_what_is_no_graph(load: Any, content: bytes) -> None:
    refused(load, content)


def test_damage_is_refused_or_harmless(load: Any) -> None:
    """Random bits flipped, bytes lost and put in: refused, or a model that answers with finite numbers."""
    whole = network().SerializeToString()
    chance = random.Random(0)
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(chance.choice([1, 3])):
            at = chance.randrange(len(damaged))
            damaged[at] ^= 1 << chance.randrange(8)
            if chance.random() < 0.3:
                del damaged[at : at + chance.randrange(9)]
        try:
            version = load(bytes(damaged))
        except ArtifactRefusedError:
            continue
        assert bool(version.classifier(torch.rand(2, 2, 4, 4)).isfinite().all())


def test_weights_that_are_no_numbers(load: Any) -> None:
    model = network()
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.full((8, 3), np.nan, "f"), "w"))
    assert "NaN or infinity" in refused(load, model)


def external(tmp_path: Path, location: str) -> Any:
    """The network with the weights `w` in another file."""
    model = network()
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == "w")
    content = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(len(content)))):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return model, content


def test_weights_in_a_further_file_of_the_folder_are_read(load: Any, tmp_path: Path) -> None:
    model, content = external(tmp_path, "w.bin")
    (tmp_path / "w.bin").write_bytes(content)
    version = load(model)
    before = outside_digest(tmp_path / "m.onnx", {})
    assert version.record.weights_digest == before
    (tmp_path / "w.bin").write_bytes(content[4:] + content[:4])
    assert outside_digest(tmp_path / "m.onnx", {}) != before  # other weights, another model


@pytest.mark.parametrize(
    "location", ["../w.bin", "/etc/passwd", "sub/../../w.bin", "", "missing.bin", "link.bin", "out/w.bin"]
)
def test_weights_outside_the_folder_are_refused(load: Any, tmp_path: Path, location: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    model, content = external(tmp_path, location)
    (tmp_path / "w.bin").write_bytes(content)
    (folder / "link.bin").symlink_to(tmp_path / "w.bin")
    (folder / "out").symlink_to(tmp_path, target_is_directory=True)
    path = folder / "m.onnx"
    path.write_bytes(model.SerializeToString())
    for asked in (
        lambda: load_outside(path, None, {}, of_images(), name="m"),
        lambda: outside_digest(path, {}),
    ):
        with pytest.raises(ArtifactRefusedError, match="no file of its own folder"):
            asked()


def test_a_tensor_larger_than_its_content(load: Any) -> None:
    model = network()
    model.graph.initializer[0].dims[0] = 2**40
    refused(load, model)


@pytest.mark.parametrize("operator", ["ConstantOfShape", "Expand", "Tile"])
def test_a_small_file_that_asks_for_much_memory_is_refused_before_it_runs(load: Any, operator: str) -> None:
    last, weights = head()
    inputs = {"ConstantOfShape": ["s"], "Expand": ["one", "s"], "Tile": ["one", "s"]}[operator]
    nodes = [
        helper.make_node(operator, inputs, ["big"]),
        helper.make_node("ReduceMax", ["big"], ["top"], keepdims=0),
        helper.make_node("Add", ["x", "top"], ["h"]),
        *last,
    ]
    weights |= {"s": ints(1 << 20, 1 << 13), "one": np.ones((1, 1), "f")}
    assert "makes a tensor of 8,589,934,592 numbers" in refused(load, graph(nodes, weights))


def test_a_missing_package_is_said(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UsageError, match="needs the package onnxruntime") as caught:
        load(network())
    assert caught.value.remedy == "pip install 'raiaudit[onnx]'"
