"""Pictures, atlas and heads against what they must be: planted filters, dead heads, closed forms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor, nn

from raiaudit.attacks.spaces import ImageBox
from raiaudit.audit.explanations.inside.atlas import cells_of, embedded, trust
from raiaudit.audit.explanations.inside.features import selectivity
from raiaudit.audit.explanations.inside.findings import concentration_p_value
from raiaudit.audit.explanations.inside.fourier import coefficient_shape, image_of, moved, moves
from raiaudit.audit.explanations.inside.head_findings import sign_flip_p_values
from raiaudit.audit.explanations.inside.heads import ablated, head_layout, looks, mean_outputs
from raiaudit.audit.explanations.inside.inside import Inside, InsideConfig
from raiaudit.audit.explanations.inside.visualise import maximise, of_channels
from raiaudit.errors import CapabilityError, UnknownNameError, UsageError
from raiaudit.models.architectures.classifier import Classifier
from raiaudit.models.architectures.text_transformer import TextTransformer
from raiaudit.models.architectures.vit import VisionTransformer
from raiaudit.models.data.dataset import Dataset, Split

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 12
EDGE = torch.tensor([[-1.0, 0.0, 1.0]] * 3) / 6


class Edges(Classifier):
    """Two filters, a vertical edge and a horizontal one; the logits are their mean responses, rectified."""

    architecture = "edges"
    modality = "image"

    def __init__(self) -> None:
        super().__init__()
        self.classes = 2
        self.edges = nn.Conv2d(1, 2, 3, bias=False)
        self.edges.weight.data = torch.stack([EDGE, EDGE.T])[:, None]
        self.last = nn.ReLU()

    def forward(self, inputs: Tensor) -> Tensor:
        logits_BK: Tensor = self.last(self.edges(inputs)).mean((2, 3))
        return logits_BK


class Plain(Classifier):
    """Nothing to look into."""

    architecture = "plain"
    modality = "image"

    def __init__(self) -> None:
        super().__init__()
        self.classes = 2
        self.linear = nn.Linear(SIDE * SIDE, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        logits_BK: Tensor = self.linear(inputs.flatten(1))
        return logits_BK


def images(n: int = 40, side: int = SIDE) -> Dataset:
    """Ramps to the right (class 0) and downwards (class 1), with noise; the first two labels are wrong."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(0.2, 0.8, side)
    labels = np.arange(n) % 2
    across, down = np.broadcast_to(ramp, (side, side)), np.broadcast_to(ramp[:, None], (side, side))
    x = np.where(labels[:, None, None, None] == 0, across, down) + rng.normal(0, 0.02, (n, 1, side, side))
    labels = labels.copy()
    labels[:2] = 1 - labels[:2]
    groups = pl.DataFrame({"kind": ["a", "b"] * (n // 2)})
    split = Split(pl.Series([f"e{i:03d}" for i in range(n)]), x.clip(0, 1).astype(np.float32), labels, groups)
    splits = {"train": split, "validation": split.take(slice(0, 0)), "test": split}
    return Dataset(
        "ramps", "image", ("across", "down"), ImageBox((1, side, side)), splits, "ramps", ("kind",)
    )


def frozen(network: Any) -> Any:
    return network.eval().requires_grad_(False)


def test_an_edge_filter_is_excited_by_its_edge() -> None:
    """Summed over places the filter is a linear function, whose best image in the box is known."""
    network = frozen(Edges())
    box = ImageBox((1, SIDE, SIDE))
    device = torch.device("cpu")
    x = torch.zeros(1, 1, SIDE, SIDE, requires_grad=True)
    network.edges(x)[:, 0].mean().backward()
    assert x.grad is not None
    weight_HW = x.grad[
        0, 0
    ]  # the response is <weight, x>: its largest in the box is the sum of positive weights
    largest = float(weight_HW.clamp_min(0).sum())
    pictures, pooled_BK = maximise(
        network,
        network.edges,
        of_channels([0, 1]),
        box=box,
        rngs=[np.random.default_rng(i) for i in (0, 1)],
        steps=80,
        device=device,
    )
    assert float(pictures.min()) >= 0
    assert float(pictures.max()) <= 1
    assert largest * 0.6 < float(pooled_BK[0, 0]) <= largest
    for channel, own in ((0, weight_HW), (1, weight_HW.T)):
        correlation = np.corrcoef(pictures[channel, 0].ravel(), own.ravel())[0, 1]
        assert correlation > 0.5
        other = np.corrcoef(pictures[channel, 0].ravel(), own.T.ravel())[0, 1]
        assert correlation > other + 0.4


def test_fourier_images_have_power_one_over_f_squared() -> None:
    """Over many draws of standard normal coefficients; values of variance near 1."""
    side = 16
    generator = torch.Generator().manual_seed(0)
    x = image_of(torch.randn((400, *coefficient_shape((1, side, side))), generator=generator), side)
    power_HF = torch.fft.rfft2(x[:, 0], norm="ortho").abs().square().mean(0)
    expected = [float(power_HF[0, 2]) * (2 / f) ** 2 for f in (3, 4, 6)]
    found = [float(power_HF[0, f]) for f in (3, 4, 6)]
    np.testing.assert_allclose(found, expected, rtol=0.35)
    assert 0.5 < float(x.var()) < 2


def test_no_move_moves_nothing_and_a_jitter_moves_pixels() -> None:
    x = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(moved(x, moves(torch.zeros(2, 4), 16, 16)), x)
    right = torch.tensor([[0.0, 0.0, 0.0, 1.0]]).expand(2, 4)
    torch.testing.assert_close(moved(x, moves(right, 16, 16))[..., :-1], x[..., 1:], atol=1e-5, rtol=0)


def test_selectivity_is_the_standardised_gap() -> None:
    labels_N = np.array([0, 0, 1, 1])
    pooled_NC = np.array([[1.0, 5.0, 0.0], [1.0, 5.0, 2.0], [3.0, 5.0, 0.0], [3.0, 5.0, 2.0]])
    best_C, class_C = selectivity(pooled_NC, labels_N)
    np.testing.assert_allclose(best_C, [2.0, 0.0, 0.0])  # gap 2, standard deviation 1; constant; unrelated
    assert class_C[0] == 1


def test_every_example_lies_in_one_cell() -> None:
    place_N2 = np.array([[0.0, 0.0], [1.0, 1.0], [0.5, 0.49], [0.999, 0.0]])
    assert cells_of(place_N2, 2).tolist() == [[0, 1], [1, 0], [1, 1], [1, 1]]


@pytest.mark.parametrize("embedding", ["pca", "tsne"])
def test_the_plane_keeps_blobs_apart_and_repeats(embedding: Any) -> None:
    rng = np.random.default_rng(0)
    centre = np.repeat(np.eye(3, 8) * 20, 15, axis=0)
    pooled_NC = centre + rng.normal(size=centre.shape)
    place_N2 = embedded(pooled_NC, embedding, seed=1)
    np.testing.assert_array_equal(place_N2, embedded(pooled_NC, embedding, seed=1))
    assert place_N2.min() == 0
    assert place_N2.max() == 1
    means = place_N2.reshape(3, 15, 2).mean(1)
    spread = place_N2.reshape(3, 15, 2).std(1).max()
    assert min(np.linalg.norm(means[i] - means[j]) for i, j in ((0, 1), (0, 2), (1, 2))) > 3 * spread
    trusted, shuffled = trust(pooled_NC, place_N2), trust(pooled_NC, rng.permutation(place_N2))
    assert trusted is not None
    assert shuffled is not None
    assert trusted > 0.7 > shuffled
    assert trust(pooled_NC[:2], place_N2[:2]) is None


def test_activations_that_do_not_vary_lie_in_the_middle() -> None:
    assert (embedded(np.ones((9, 4)), "tsne", seed=0) == 0.5).all()


def vit(dead: int = 1, decisive: int = 2) -> VisionTransformer:
    """One block of four heads whose values are 0 in one head; the classifier reads one head alone."""
    torch.manual_seed(0)
    network = VisionTransformer([1, SIDE, SIDE], 2, patch=3, width=16, depth=1, heads=4)
    attention: Any = network.encoder.blocks[0].get_submodule("attention")
    with torch.no_grad():
        attention.value.weight[4 * dead : 4 * dead + 4] = 0
        attention.value.bias[4 * dead : 4 * dead + 4] = 0
        attention.value.weight *= 3
        attention.out.weight.normal_(0, 0.05)
        attention.out.weight[:, 4 * decisive : 4 * decisive + 4] *= 40
        for parameter in network.encoder.blocks[0].get_submodule("feedforward").parameters():
            parameter.zero_()
    frozen(network)
    return network


@pytest.mark.parametrize("ablation", ["mean", "zero"])
def test_a_dead_head_is_worth_nothing_and_the_decisive_one_most(
    make_subject: Any, run_check: Any, ablation: Any
) -> None:
    network, data = vit(), images()
    split = data.splits["test"]
    with torch.no_grad():  # half of the images in each class
        score_BK = network(torch.from_numpy(split.inputs))
        network.head.bias[1] += (score_BK[:, 0] - score_BK[:, 1]).median()
        learnt = network(torch.from_numpy(split.inputs)).argmax(1).numpy()
    data = Dataset(
        "ramps",
        "image",
        data.classes,
        data.space,
        dict.fromkeys(("train", "test"), Split(split.ids, split.inputs, learnt, split.groups)),
        "x",
    )
    subject = make_subject(network, data)
    config = InsideConfig(steps=2, icons=2, channels=2, shard=16, ablation=ablation, embedding="pca")
    ledger = run_check(Inside(), subject, config)
    found: dict[str, Any] = {m.label(): m for m in Inside().summarise(ledger, subject, config)}
    assert found["head_importance (layer=0, head=1)"].value == 0
    heads = Inside().evidence(ledger, subject, config)["heads"].sort("importance", descending=True)
    assert heads["head"][0] == 2
    assert heads["p"].to_list()[heads["head"].to_list().index(1)] == 1
    assert found["atlas_trustworthiness (layer=encoder.blocks.0)"].value > 0.5


def test_ablation_equals_weights_without_the_head() -> None:
    """Zeros in place of a head are the same as no columns of the output map for it."""
    network, x = vit(), torch.rand(3, 1, SIDE, SIDE)
    attention: Any = network.encoder.blocks[0].get_submodule("attention")
    with ablated(network, 0, 2, torch.zeros(4)):
        without = network(x)
    attention.out.weight.data[:, 8:12] = 0
    torch.testing.assert_close(without, network(x))


def text_network() -> tuple[TextTransformer, Tensor]:
    from raiaudit.models.architectures.tokenizer import train_tokenizer

    texts = ["a good film", "a bad film", "good", "bad bad bad bad film"]
    torch.manual_seed(0)
    network = TextTransformer(
        train_tokenizer(texts * 4, vocabulary=60), 16, 2, width=16, depth=2, heads=2, dropout=0.0
    )
    return frozen(network), network.encode(texts)


def test_looks_are_shares_and_padding_gets_none() -> None:
    network, ids_BL = text_network()
    padding_BL = ids_BL == network.padding
    assert padding_BL.any()
    seen = looks(network, ids_BL, head_layout(network, ids_BL))
    assert seen.received_BAHL.shape == (4, 2, 2, ids_BL.shape[1])
    torch.testing.assert_close(seen.received_BAHL.sum(-1), torch.ones(4, 2, 2))
    assert (seen.received_BAHL[padding_BL[:, None, None].expand_as(seen.received_BAHL)] == 0).all()
    assert ((seen.entropy_BAH >= 0) & (seen.entropy_BAH <= 1 + 1e-6)).all()
    maps = torch.stack(network.attention_weights(ids_BL), 1)
    present = (~padding_BL).float()
    expected = (maps * present[:, None, None, :, None]).sum(3) / present.sum(1)[:, None, None, None]
    torch.testing.assert_close(seen.received_BAHL, expected)


def test_the_class_token_of_a_vit_is_the_one_that_reads() -> None:
    network, x = vit(), torch.rand(3, 1, SIDE, SIDE)
    torch.testing.assert_close(
        looks(network, x, head_layout(network, x)).received_BAHL[:, 0],
        network.attention_weights(x)[0][:, :, 0],
    )


def test_means_leave_padding_out() -> None:
    network, ids_BL = text_network()
    alone = mean_outputs(network, ids_BL[2:3, : int((ids_BL[2] != network.padding).sum())])
    padded = mean_outputs(network, ids_BL[2:3])
    for one, other in zip(alone, padded, strict=True):
        torch.testing.assert_close(one, other)


def test_sign_flips_find_what_is_there_and_keep_their_level() -> None:
    rng = np.random.default_rng(0)
    null_NH: NDArray[np.float64] = rng.normal(size=(60, 200))
    p = np.array(sign_flip_p_values(null_NH, np.random.default_rng(1)))
    assert 0.01 < (p <= 0.05).mean() < 0.11
    assert sign_flip_p_values(null_NH[:, :1] + 1, np.random.default_rng(1))[0] < 0.001
    exact = sign_flip_p_values(np.array([[1.0], [1.0], [1.0]]), np.random.default_rng(2))[0]
    assert exact == pytest.approx(2 / 8, abs=0.03)  # 2 of the 8 signings are as far from 0


def test_errors_gathered_in_a_cell_are_told_from_errors_at_random() -> None:
    n_M = np.array([30, 30, 30, 10])
    rng = np.random.default_rng(0)
    assert concentration_p_value(np.array([0, 0, 0, 8]), n_M, rng) < 0.001
    assert concentration_p_value(np.zeros(4, dtype=np.int64), n_M, rng) == 1
    null = [concentration_p_value(rng.multivariate_hypergeometric(n_M, 20), n_M, rng) for _ in range(300)]
    assert 0.02 < np.mean(np.array(null) <= 0.05) < 0.09


def test_planted_errors_and_pictures_reach_measurements_and_tables(make_subject: Any, run_check: Any) -> None:
    subject = make_subject(Edges(), images())
    config = InsideConfig(steps=120, grid=4, icons=3)
    check, ledger = Inside(), run_check(Inside(), subject, config)
    found: dict[str, Any] = {m.label(): m for m in check.summarise(ledger, subject, config)}
    assert found["visualised_activation_ratio (layer=edges, channel=0)"].value > 1
    tables = check.evidence(ledger, subject, config)
    channels = tables["channels"]
    assert channels["favourite"].to_list() == ["across", "down"]
    examples = tables["atlas_examples"]
    assert examples["example_id"].sort().to_list() == subject.test.ids.to_list()
    assert set(examples.filter(pl.col("error"))["example_id"]) == {"e000", "e001"}
    kinds = dict(examples.select("example_id", "group:kind").iter_rows())
    assert [kinds["e000"], kinds["e001"]] == ["a", "b"]
    atlas = tables["atlas"]
    assert atlas["n"].sum() == 40
    assert atlas["errors"].sum() == 2
    assert atlas["icon"].null_count() == max(0, atlas.height - 3)
    counted = examples.group_by("column", "row").agg(pl.len()).sort("row", "column")
    assert counted["len"].to_list() == atlas["n"].to_list()
    best = channels.row(0, named=True)
    assert set(best["examples"]) <= {f"e{i:03d}" for i in range(0, 40, 2)}
    assert best["activations"] == sorted(best["activations"], reverse=True)
    assert best["picture"].startswith(b"\x89PNG")


def test_seeds_reproduce_and_other_channels_change_nothing(make_subject: Any) -> None:
    frames = []
    for channels in ((1,), (1,), (0, 1)):
        subject, config = (
            make_subject(Edges(), images()),
            InsideConfig(steps=20, icons=0, channels=channels, embedding="pca"),
        )
        (task,) = Inside().tasks(subject, config)
        frames.append(Inside().execute(task, subject))
    assert frames[0].equals(frames[1])
    pictures = [
        frame.filter(pl.col("example_id") == "inside/channel 1")["inside.reached"][0] for frame in frames
    ]
    assert pictures[2] == pytest.approx(pictures[0], rel=1e-4)
    other = make_subject(Edges(), images())
    other.seed = 1
    assert Inside().execute(task, other)["inside.reached"].drop_nulls().to_list() != (
        frames[2]["inside.reached"].drop_nulls().to_list()
    )


def test_what_cannot_be_looked_into_says_so(make_subject: Any) -> None:
    with pytest.raises(CapabilityError, match="no attention heads"):
        Inside().tasks(make_subject(Plain(), images()), InsideConfig())
    with pytest.raises(UnknownNameError, match="did you mean 'edges'"):
        Inside().tasks(make_subject(Edges(), images()), InsideConfig(layer="edge"))
    subject, config = make_subject(Edges(), images()), InsideConfig(channels=(5,))
    (task,) = Inside().tasks(subject, config)
    with pytest.raises(UsageError, match="channels are 0 to 1"):
        Inside().execute(task, subject)


class Unusual(Classifier):
    """A normalised weight, and heads that are only called in training."""

    architecture = "unusual"
    modality = "image"

    def __init__(self) -> None:
        super().__init__()
        self.classes = 2
        self.first = nn.utils.parametrizations.weight_norm(nn.Conv2d(1, 2, 3, bias=False))
        self.relu = nn.ReLU()
        self.beside = nn.ModuleList([nn.Linear(2, 2)])
        self.last = nn.Linear(2, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        pooled_BC = self.relu(self.relu(self.first(inputs))).mean((2, 3))
        if self.training:
            pooled_BC = pooled_BC + self.beside[0](pooled_BC)
        logits_BK: Tensor = self.last(pooled_BC)
        return logits_BK


def test_the_layer_is_one_that_takes_part_in_a_prediction(make_subject: Any) -> None:
    subject = make_subject(Unusual(), images())
    tasks = Inside().tasks(subject, InsideConfig(steps=2, icons=1, channels=2))
    assert tasks[-1].params["layer"] == "first"
    assert Inside().execute(tasks[-1], subject)["inside.picture"].drop_nulls().len() == 2
    with pytest.raises(UsageError, match="gives no vector") as caught:
        Inside().tasks(subject, InsideConfig(layer="beside.0"))
    assert "relu" in str(caught.value)


def test_a_layer_that_says_the_same_of_every_image_has_no_ratio(make_subject: Any, run_check: Any) -> None:
    network = Edges()
    network.edges.weight.data.zero_()
    subject, config = make_subject(network, images()), InsideConfig(steps=3, icons=2)
    ledger = run_check(Inside(), subject, config)
    found: dict[str, Any] = {m.label(): m for m in Inside().summarise(ledger, subject, config)}
    ratio = found["visualised_activation_ratio (layer=edges, channel=0)"]
    assert ratio.value is None
    assert ratio.reason is not None
    assert "same for every" in ratio.reason
