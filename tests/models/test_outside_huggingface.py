"""Hugging Face folders from strangers: the library's own answers, gradients behind them, nothing else run."""

from __future__ import annotations

import json
import pickle
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from raiaudit.attacks.evasion.texts.tokens import TokenModel
from raiaudit.attacks.spaces import ImageBox, TokenSpace
from raiaudit.errors import ArtifactRefusedError, UsageError
from raiaudit.models.architectures.text_classifier import OnTexts
from raiaudit.models.data.dataset import Dataset, Split
from raiaudit.models.outside import load_outside, outside_digest, refuse_unsafe
from raiaudit.models.outside.huggingface_pixels import Preprocessing
from raiaudit.models.version import ModelVersion

TEXTS = ["a fine film", "a dull and long one", "", "what a fine, fine actor it has in it", "long"]
SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 24,
}


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def texts(classes: tuple[str, ...] = ("negative", "positive")) -> Dataset:
    split = Split(pl.Series([f"t{i}" for i in range(5)]), TEXTS, np.arange(5) % len(classes))
    return Dataset("films", "text", classes, TokenSpace(100, 16), {"test": split}, "d" * 64)


def images(channels: int = 3, side: int = 8, classes: tuple[str, ...] = ("cat", "dog", "eel")) -> Dataset:
    inputs = np.random.default_rng(0).integers(0, 256, (6, channels, side, side), dtype=np.uint8)
    split = Split(pl.Series([f"i{i}" for i in range(6)]), inputs, np.arange(6) % len(classes))
    space = ImageBox((channels, side, side), 0.0, 1.0)
    return Dataset("animals", "image", classes, space, {"test": split}, "d" * 64)


def word_pieces() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer.train_from_iterator(TEXTS, trainers.WordPieceTrainer(vocab_size=60, special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def byte_pairs() -> Tokenizer:
    """As RoBERTa has it: <s> is 0, padding is 1, a word begins with a blank."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    from tokenizers import decoders

    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


def reader(kind: str, folder: Path, **settings: Any) -> Any:
    """A tiny network with random weights, saved with its tokenizer; the network itself."""
    torch.manual_seed(0)
    tokenizer = byte_pairs() if kind == "roberta" else word_pieces()
    size = {"vocab_size": tokenizer.get_vocab_size(), "num_labels": 2, **settings}
    if kind == "bert":
        config: Any = transformers.BertConfig(**SMALL, **size)
        network: Any = transformers.BertForSequenceClassification(config)
    elif kind == "distilbert":
        config = transformers.DistilBertConfig(
            dim=16, n_layers=1, n_heads=2, hidden_dim=16, max_position_embeddings=24, **size
        )
        network = transformers.DistilBertForSequenceClassification(config)
    else:
        config = transformers.RobertaConfig(**SMALL, pad_token_id=1, bos_token_id=0, eos_token_id=2, **size)
        network = transformers.RobertaForSequenceClassification(config)
    for parameter in network.parameters():  # the library's deviation of 0.02 makes every text look alike
        torch.nn.init.normal_(parameter, std=0.3)
    network.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return network.eval()


def seer(folder: Path, *, side: int = 8, channels: int = 3, **settings: Any) -> Any:
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        image_size=side, patch_size=4, num_channels=channels, num_labels=3, **SMALL_VIT, **settings
    )
    network: Any = transformers.ViTForImageClassification(config)
    network.save_pretrained(folder)
    return network.eval()


SMALL_VIT = {name: size for name, size in SMALL.items() if name != "max_position_embeddings"}


def processor(folder: Path, **settings: Any) -> None:
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))


def load(folder: Path, dataset: Dataset) -> ModelVersion:
    return load_outside(folder, None, {}, dataset, name="theirs")


def refused(folder: Path, dataset: Dataset) -> str:
    with pytest.raises(ArtifactRefusedError) as caught:
        load(folder, dataset)
    assert caught.value.exit_code == 4
    assert caught.value.remedy
    return caught.value.problem


# Texts


@pytest.mark.parametrize("kind", ["bert", "distilbert", "roberta"])
def test_texts_are_answered_as_the_library_answers_them(tmp_path: Path, kind: str) -> None:
    """Each text alone through the library, all of them padded through ours."""
    network = reader(kind, tmp_path)
    version = load(tmp_path, texts())
    classifier = version.classifier
    assert classifier.knowledge == "white"
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    with torch.no_grad():
        found = classifier(classifier.encode(TEXTS))
        for row, text in enumerate(TEXTS):
            ids = torch.tensor([tokenizer.encode(text).ids])
            torch.testing.assert_close(
                found[row : row + 1], network(input_ids=ids).logits, atol=1e-5, rtol=1e-5
            )
    assert float(found.std(0).max()) > 1e-2  # the texts do get different answers


def test_a_long_text_is_cut_where_the_network_ends(tmp_path: Path) -> None:
    for kind, longest in (("bert", 24), ("roberta", 22)):  # RoBERTa's positions begin at 2
        reader(kind, tmp_path / kind)
        version = load(tmp_path / kind, texts())
        assert version.record.config["max_length"] == longest
        long = version.classifier.encode(["fine film " * 50])
        assert long.shape == (1, longest)
        assert bool(version.classifier(long).isfinite().all())


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_text_attacks_see_tokens_and_embeddings(tmp_path: Path, kind: str) -> None:
    reader(kind, tmp_path)
    classifier: Any = load(tmp_path, texts()).classifier
    shown = OnTexts(classifier)
    assert isinstance(shown, TokenModel)
    tokens = shown.tokens(TEXTS)
    logits = shown.logits_from(shown.vectors[tokens.ids_BL], tokens.mask_BL)
    torch.testing.assert_close(logits, shown(TEXTS))
    assert len(shown.pieces) == len(shown.vectors)
    written = "".join(shown.pieces[number] for number in tokens.lists()[0])
    assert written.strip() == "a fine film"
    row = tokens.spans[0]
    assert [TEXTS[0][begin:end].strip() for begin, end in row if end > begin] == [
        shown.pieces[number].strip()
        for number, (begin, end) in zip(tokens.lists()[0], row, strict=False)
        if end > begin
    ]


def test_a_decoder_that_minds_its_padding_is_refused(tmp_path: Path) -> None:
    """GPT-2 reads the last token, which is padding in a batch of embeddings."""
    tokenizer = word_pieces()
    config = transformers.GPT2Config(
        vocab_size=tokenizer.get_vocab_size(),
        n_positions=24,
        n_embd=16,
        n_layer=1,
        n_head=2,
        num_labels=2,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=3,
    )
    transformers.GPT2ForSequenceClassification(config).save_pretrained(tmp_path)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert "padding" in refused(tmp_path, texts()) or "embeddings" in refused(tmp_path, texts())


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"\x00" * 50, b'{"version": "1.0", "model": {"type": "x"}}']
)
def test_a_damaged_tokenizer_is_refused(tmp_path: Path, content: bytes) -> None:
    reader("bert", tmp_path)
    (tmp_path / "tokenizer.json").write_bytes(content)
    assert "tokenizer.json cannot be read" in refused(tmp_path, texts())


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    reader("bert", tmp_path)
    byte_pairs().save(str(tmp_path / "tokenizer.json"))
    assert "no embedding for" in refused(tmp_path, texts())
    (tmp_path / "tokenizer.json").unlink()
    assert "no tokenizer.json" in refused(tmp_path, texts())


# Images


def test_images_are_answered_as_the_library_answers_them(tmp_path: Path) -> None:
    """Of the network's own size, so that nothing is resized: to 1e-5 through the library's own processor."""
    network = seer(tmp_path)
    own = transformers.ViTImageProcessorPil(
        size={"height": 8, "width": 8}, image_mean=[0.4, 0.5, 0.6], image_std=[0.2, 0.3, 0.4]
    )
    own.save_pretrained(tmp_path)
    dataset = images()
    classifier = load(tmp_path, dataset).classifier
    inputs = dataset.splits["test"].inputs
    pixels = own([Image.fromarray(x.transpose(1, 2, 0)) for x in inputs], return_tensors="pt")
    with torch.no_grad():
        torch.testing.assert_close(
            classifier(classifier.encode(inputs)), network(**pixels).logits, atol=1e-5, rtol=1e-4
        )
    x = classifier.encode(inputs).requires_grad_()
    assert float(torch.autograd.grad(classifier(x).sum(), x)[0].abs().max()) > 0


@pytest.mark.parametrize(
    ("resample", "before", "after"),
    [(2, 8, 20), (2, 20, 8), (2, 10, 16), (3, 8, 20), (3, 20, 8), (3, 10, 16), (0, 8, 16), (0, 16, 32)],
)
def test_resizing_is_pillows(resample: int, before: int, after: int) -> None:
    """Up to Pillow's rounding, once an axis; of middling values, for Pillow cuts between the axes too."""
    array = np.random.default_rng(1).integers(64, 192, (before, before, 3), dtype=np.uint8)
    theirs = np.asarray(Image.fromarray(array).resize((after, after), Image.Resampling(resample)), dtype="f")
    steps = Preprocessing.of({"size": {"height": after, "width": after}, "resample": resample}, Path("p"))
    ours = steps.geometry(torch.from_numpy(array).permute(2, 0, 1)[None].float())[0].permute(1, 2, 0)
    np.testing.assert_allclose(ours, theirs, atol=0 if resample == 0 else 1.0)


def test_the_shorter_side_then_the_middle() -> None:
    steps = Preprocessing.of(
        {"size": {"shortest_edge": 8}, "do_center_crop": True, "crop_size": {"height": 6, "width": 4}},
        Path("p"),
    )
    x = torch.arange(8 * 12).reshape(1, 1, 8, 12).float()
    torch.testing.assert_close(steps.geometry(x), x[:, :, 1:7, 4:8])
    assert steps.geometry(torch.zeros(1, 1, 16, 24)).shape == (1, 1, 6, 4)


@pytest.mark.parametrize(
    "settings",
    [
        {"do_pad": True},
        {"size": {"longest_edge": 9}},
        {"size": {"height": 10**9, "width": 10**9}},
        {"size": 8, "resample": 1},
        {"do_normalize": True, "image_mean": [0.5]},
        {"do_normalize": True, "image_mean": "x", "image_std": "y"},
    ],
)
def test_a_step_that_cannot_be_repeated_is_refused(tmp_path: Path, settings: dict[str, Any]) -> None:
    seer(tmp_path)
    processor(tmp_path, **settings)
    assert "its preprocessing cannot be repeated" in refused(tmp_path, images())


def test_grey_pictures_for_a_network_of_colours(tmp_path: Path) -> None:
    network = seer(tmp_path)
    processor(tmp_path, do_rescale=True, rescale_factor=1 / 255)
    classifier = load(tmp_path, images(channels=1)).classifier
    x = torch.rand(2, 1, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(classifier(x), network(pixel_values=x.expand(-1, 3, -1, -1)).logits)
    seer(tmp_path / "grey", channels=1)
    assert "takes 1 channels, animals has 3" in refused(tmp_path / "grey", images())


def test_without_a_processor_the_report_says_what_was_assumed(tmp_path: Path) -> None:
    seer(tmp_path)
    loaded = load(tmp_path, images(side=12)).record.loaded
    assert loaded is not None
    assert "no preprocessor_config.json" in loaded.limits[0]


def test_shards_with_an_index(tmp_path: Path) -> None:
    network = seer(tmp_path)
    whole = load(tmp_path, images())
    (tmp_path / "model.safetensors").unlink()
    network.save_pretrained(tmp_path, max_shard_size=4000)
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    x = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(load(tmp_path, images()).classifier(x), whole.classifier(x))


def test_half_precision_is_widened(tmp_path: Path) -> None:
    network = seer(tmp_path)
    network.to(torch.bfloat16).save_pretrained(tmp_path)
    classifier = load(tmp_path, images()).classifier
    assert {parameter.dtype for parameter in classifier.parameters()} == {torch.float32}


# Classes


@pytest.mark.parametrize(
    ("labels", "order"),
    [
        (["cat", "dog", "eel"], [0, 1, 2]),
        (["EEL", " cat", "Dog"], [1, 2, 0]),
        (["LABEL_0", "LABEL_1", "LABEL_2"], [0, 1, 2]),
    ],
)
def test_outputs_are_put_into_the_data_sets_order(
    tmp_path: Path, labels: list[str], order: list[int]
) -> None:
    network = seer(tmp_path, id2label=dict(enumerate(labels)))
    classifier = load(tmp_path, images()).classifier
    x = torch.rand(2, 3, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(classifier(x), network(pixel_values=x).logits[:, order])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"id2label": {"0": "cat", "1": "dog", "2": "fish"}}, "are not those of the data set"),
        ({"id2label": {"0": "cat", "1": "cat", "2": "dog"}}, "are not those of the data set"),
        ({"id2label": {"0": "cat", "1": "dog"}}, "answers with 2 classes, the data set has 3"),
        ({"id2label": {"0": "cat", "1": "dog", "7": "eel"}}, "answers with"),
        ({"problem_type": "multi_label_classification"}, "not for one class an input"),
        ({"architectures": ["ViTModel"]}, "is no classifier of images"),
        ({"architectures": ["BertForSequenceClassification"]}, "is no classifier of images"),
        ({"auto_map": {"AutoModel": "evil.Model"}}, "never run"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantised"),
        ({"model_type": "no-such-model"}, "transformers cannot load it"),
        ({"hidden_size": 10**9}, "transformers cannot load it"),
        ({"hidden_size": 32}, ""),
    ],
)
def test_a_configuration_that_cannot_be(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    seer(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    assert says in refused(tmp_path, images())


def test_weights_that_lack_the_head_are_refused(tmp_path: Path) -> None:
    """The library would make one up at random."""
    seer(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    kept = {name: tensor for name, tensor in state.items() if not name.startswith("classifier")}
    save_file({**kept, "extra": torch.zeros(1)}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    problem = refused(tmp_path, images())
    assert "2 missing (classifier.bias, classifier.weight)" in problem
    assert "1 unexpected (extra)" in problem


# Hostile folders


class Bomb:
    """Unpickling it creates a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self.target,)


def test_pickled_weights_are_refused_and_never_read(tmp_path: Path) -> None:
    folder, trap = tmp_path / "model", tmp_path / "ran"
    seer(folder)
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb(trap)))
    load(folder, images())  # beside safetensors it is not opened
    (folder / "model.safetensors").unlink()
    assert "pickled" in refused(folder, images())
    (folder / "model.safetensors").write_bytes(pickle.dumps(Bomb(trap)))
    refused(folder, images())
    assert not trap.exists()


def test_code_in_the_folder_is_never_run(tmp_path: Path) -> None:
    folder, trap = tmp_path / "model", tmp_path / "ran"
    seer(folder)
    (folder / "evil.py").write_text(f"open({str(trap)!r}, 'w')\nclass Model: pass\n")
    for name in ("config.json", "preprocessor_config.json"):
        path = folder / name
        content = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(
            json.dumps({**content, "auto_map": {"AutoModelForImageClassification": "evil.Model"}})
        )
        with pytest.raises(ArtifactRefusedError, match="never run"):
            refuse_unsafe(folder)
        assert "never run" in refused(folder, images())
        path.write_text(json.dumps(content))
    assert not trap.exists()


@pytest.mark.parametrize(
    "shard", ["../w.safetensors", "/etc/passwd", "sub/w.safetensors", "link.safetensors", "none.safetensors"]
)
def test_shards_outside_the_folder_are_refused(tmp_path: Path, shard: str) -> None:
    folder = tmp_path / "model"
    seer(folder)
    (folder / "sub").mkdir()
    (folder / "model.safetensors").rename(tmp_path / "w.safetensors")
    (folder / "link.safetensors").symlink_to(tmp_path / "w.safetensors")
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"classifier.weight": shard}})
    )
    refused(folder, images())


def test_the_librarys_own_cache_may_link_to_its_blobs(tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshots" / "0123"
    seer(snapshot)
    (tmp_path / "blobs").mkdir()
    (snapshot / "model.safetensors").rename(tmp_path / "blobs" / "abc")
    (snapshot / "model.safetensors").symlink_to("../../blobs/abc")
    load(snapshot, images())


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b"\xff\xfe", b"{" * 100_000, b'{"a":' * 100_000, b" " * (2 << 20)]
)
def test_a_config_that_is_no_object_is_refused(tmp_path: Path, content: bytes) -> None:
    seer(tmp_path)
    (tmp_path / "config.json").write_bytes(content)
    refused(tmp_path, images())


def test_an_adapter_is_refused(tmp_path: Path) -> None:
    seer(tmp_path)
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "someone/model"}')
    assert "adapter" in refused(tmp_path, images())


def test_the_digest_follows_every_file_that_matters(tmp_path: Path) -> None:
    reader("bert", tmp_path)
    known = {outside_digest(tmp_path, {})}
    changes: list[tuple[str, Callable[[bytes], bytes]]] = [
        ("config.json", lambda text: text.replace(b'"gelu"', b'"relu"')),
        ("tokenizer.json", lambda text: text + b" "),
        ("model.safetensors", lambda content: content[:-1] + b"\x01"),
    ]
    for name, change in changes:
        path = tmp_path / name
        path.write_bytes(change(path.read_bytes()))
        known.add(outside_digest(tmp_path, {}))
    assert len(known) == 4


def test_options_other_data_and_a_missing_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    seer(tmp_path)
    with pytest.raises(UsageError, match="no options"):
        load_outside(tmp_path, None, {"a": 1}, images(), name="m")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UsageError, match="needs the package transformers"):
        load(tmp_path, images())
