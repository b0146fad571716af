"""The registry on MLflow: what goes in comes out bit by bit, and nothing is pickled."""

from __future__ import annotations

import pickletools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse
from urllib.request import url2pathname

import pytest
import torch

from raiaudit.errors import ArtifactRefusedError, StorageError, UnknownNameError, UsageError
from raiaudit.models.architectures import build
from raiaudit.models.cards import card_body, model_card
from raiaudit.models.names import ARCHITECTURE_NAMES
from raiaudit.models.recipe import Recipe, training_key
from raiaudit.models.registry import RegisteredModel, Registry
from raiaudit.models.registry_listing import list_registered, record_beside
from raiaudit.models.version import ModelVersion, TrainingRecord
from raiaudit.models.weights import weights_digest

if TYPE_CHECKING:
    from raiaudit.models.architectures.classifier import Classifier

RECIPE = Recipe(architecture="mlp", epochs=1)
KEY = training_key(RECIPE, data_digest="d" * 64, seed=3)


def make_version(name: str, *, seed: int = 0) -> ModelVersion:
    torch.manual_seed(seed)
    classifier: Classifier = build("mlp", {"shape": [1, 4, 4], "classes": 3, "hidden": 8})
    record = TrainingRecord(
        architecture="mlp",
        config=classifier.config,
        data_name="digits",
        data_digest="d" * 64,
        recipe=RECIPE,
        seed=3,
        code_version="0",
        metrics={"validation_accuracy": 0.5},
        parameters=1,
        weights_digest=weights_digest(classifier.state_dict()),
    )
    return ModelVersion(name, 0, classifier, record)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("registry")


@pytest.fixture(scope="module")
def registry(home: Path) -> Registry:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return Registry.open(home)


@pytest.fixture(scope="module")
def stored(registry: Registry) -> tuple[RegisteredModel, RegisteredModel]:
    """Two versions of `net`; the first is the candidate."""
    first = registry.add(make_version("net", seed=1), key=KEY, aliases=["candidate"])
    return first, registry.add(make_version("net", seed=2), key="other")


Stored = tuple[RegisteredModel, RegisteredModel]


def test_a_round_trip_is_exact(registry: Registry, stored: Stored) -> None:
    original, loaded = make_version("net", seed=1), registry.load("net/1")
    assert (loaded.name, loaded.version) == ("net", 1)
    assert loaded.record == original.record
    assert not loaded.classifier.training
    for (name, ours), (other, theirs) in zip(
        original.classifier.state_dict().items(), loaded.classifier.state_dict().items(), strict=True
    ):
        assert name == other
        assert torch.equal(ours, theirs)


def test_every_version_has_its_card_and_the_code_in_it_loads_the_weights(
    home: Path, stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = make_version("net", seed=1)
    folder = Path(url2pathname(urlparse(stored[0].source).path))
    assert (folder / "README.md").read_text(encoding="utf-8") == model_card("net", version.record)
    blocks = re.findall(r"```python\n(.*?)```", card_body("net", version.record, version=1), re.DOTALL)
    (tmp_path / ".raiaudit").symlink_to(home)
    for where, block in zip((folder, tmp_path), blocks, strict=True):
        monkeypatch.chdir(where)
        names: dict[str, Any] = {}
        exec(block, names)
        loaded = names["classifier"] if "classifier" in names else names["version"].classifier
        assert weights_digest(loaded.state_dict()) == version.record.weights_digest


@pytest.mark.parametrize(
    ("reference", "version"),
    [("net", 2), ("net@candidate", 1), ("net/1", 1), ("registry:net@candidate", 1), ("registry:net", 2)],
)
def test_references(registry: Registry, stored: Stored, reference: str, version: int) -> None:
    assert registry.find(reference).version == version


@pytest.mark.parametrize("reference", ["nett", "net@champion", "net/9", "net'", "n'et", "net%", "' OR 1=1"])
def test_an_unknown_reference_names_its_neighbour(registry: Registry, stored: Stored, reference: str) -> None:
    with pytest.raises(UnknownNameError, match="unknown model") as caught:
        registry.find(reference)
    assert caught.value.remedy is not None
    assert "choices: net" in caught.value.remedy
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("reference", ["", "@x", "net/x", "registry:", "/1", "net/1/2"])
def test_what_is_no_reference(registry: Registry, reference: str) -> None:
    with pytest.raises(UsageError, match="no model reference"):
        registry.find(reference)


def test_a_training_key_finds_its_model_and_no_other(registry: Registry, stored: Stored) -> None:
    assert registry.trained("net", KEY) == registry.find("net/1")
    assert registry.trained("net", "unheard of") is None
    assert registry.trained("other", KEY) is None


def test_lineage_stands_in_the_tags(stored: Stored) -> None:
    tags = stored[0].tags
    assert tags["raiaudit.recipe"] == "standard"
    assert tags["raiaudit.data"] == "digits"
    assert tags["raiaudit.seed"] == "3"
    assert tags["raiaudit.weights"] == make_version("net", seed=1).record.weights_digest


def test_the_listing_without_mlflow_agrees_and_leaves_the_file_as_it_was(
    registry: Registry, home: Path, stored: Stored
) -> None:
    before = (home / "registry.db").read_bytes()
    found = list_registered(home)
    assert found == registry.models()
    assert ("net", 1) in [(model.name, model.version) for model in found]
    first = next(model for model in found if (model.name, model.version) == ("net", 1))
    assert "candidate" in first.aliases
    assert record_beside(home, first) == registry.record(first)
    assert (home / "registry.db").read_bytes() == before


def test_an_alias_moves(registry: Registry, stored: Stored) -> None:
    registry.set_alias("net/1", "moving")
    assert registry.find("net@moving").version == 1
    registry.set_alias("net/2", "moving")
    assert registry.find("net@moving").version == 2


@pytest.mark.parametrize(
    "name", ["", "../net", "a/b", "a:b", "a b", "net'; DROP TABLE", "-net", "é", "n" * 81, "n\n"]
)
def test_hostile_names_are_refused_before_anything_is_written(
    registry: Registry, home: Path, name: str
) -> None:
    before = sorted(home.rglob("*.safetensors"))
    with pytest.raises(UsageError, match="cannot be a model's name"):
        registry.add(make_version(name))
    assert sorted(home.rglob("*.safetensors")) == before


@pytest.mark.parametrize("alias", ["latest", "v1", "V2", "a b", "", "a/b", "a@b"])
def test_bad_aliases_are_refused_before_anything_is_written(
    registry: Registry, stored: Stored, alias: str
) -> None:
    versions = len(registry.models())
    with pytest.raises(UsageError, match="cannot be an alias"):
        registry.add(make_version("net"), aliases=[alias])
    with pytest.raises(UsageError, match="cannot be an alias"):
        registry.set_alias("net", alias)
    assert len(registry.models()) == versions


def test_nothing_on_disk_is_a_pickle(home: Path, stored: Stored) -> None:
    files = [path for path in (home / "artifacts").rglob("*") if path.is_file()]
    assert {path.name for path in files} == {"model.safetensors", "record.json", "README.md"}
    for path in files:
        content = path.read_bytes()
        # A safetensors header, JSON, or a card.
        assert content[8:9] == b"{" or content[:1] == b"{" or content[:4] == b"---\n"
        with pytest.raises((ValueError, IndexError)):
            list(pickletools.genops(content))


def artifact(model: RegisteredModel, name: str) -> Path:
    return Path(model.source.removeprefix("file://")) / name


def test_weights_that_someone_changed_are_refused(registry: Registry) -> None:
    model = registry.add(make_version("tampered"))
    path = artifact(model, "model.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # a sign or exponent bit of the last weight: still a valid file
    path.write_bytes(bytes(content))
    with pytest.raises(ArtifactRefusedError, match="not the ones its record describes") as caught:
        registry.load("tampered")
    assert caught.value.exit_code == 4
    path.write_bytes(bytes(content[:-3]))
    with pytest.raises(ArtifactRefusedError, match="safetensors"):
        registry.load("tampered")
    path.unlink()
    with pytest.raises(StorageError, match="is missing"):
        registry.load("tampered")


@pytest.mark.parametrize("file", ["model.safetensors", "record.json"])
def test_a_version_whose_files_are_gone_is_lost(registry: Registry, file: str) -> None:
    model = registry.add(make_version("lost"))
    assert not registry.is_lost(model)
    artifact(model, file).unlink()
    assert registry.is_lost(model)


def test_a_damaged_record_is_named(registry: Registry) -> None:
    model = registry.add(make_version("unrecorded"))
    artifact(model, "record.json").write_text("{")
    with pytest.raises(StorageError, match=r"record of unrecorded version 1 is damaged|is damaged"):
        registry.load("unrecorded")


def test_a_full_disk_makes_no_version(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("raiaudit.models.weights.save_weights", no_space)
    with pytest.raises(StorageError, match="could not be stored"):
        registry.add(make_version("unlucky"))
    assert all(model.name != "unlucky" for model in registry.models())


def test_a_disk_too_full_for_a_registry_is_no_fault_of_the_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(_path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr("raiaudit.models.registry.ensure_registry_file", no_space)
    with pytest.raises(StorageError, match="No space left") as caught:
        Registry.open(tmp_path)
    assert "free some space" in str(caught.value)


def test_a_file_that_is_no_data_base_is_an_error_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "registry.db").write_bytes(b"this is not SQLite" * 100)
    with pytest.raises(StorageError, match="cannot be opened") as caught:
        Registry.open(tmp_path)
    assert "registry.db" in str(caught.value)


def test_the_tracking_uri_decides(
    home: Path, stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home / 'registry.db'}")
    assert Registry.open(tmp_path).find("net@candidate").version == 1
    assert list(tmp_path.iterdir()) == []


def test_the_table_of_names_is_the_catalogue() -> None:
    from raiaudit.models.architectures import ARCHITECTURES

    assert sorted(ARCHITECTURE_NAMES) == sorted(ARCHITECTURES)
    for name, family in ARCHITECTURES.items():
        modality = getattr(family, "modality", None)  # the MLP takes two and decides when it is built
        assert modality is None or ARCHITECTURE_NAMES[name] == {modality}
    shapes = {"tabular": [5], "image": [1, 4, 4]}
    built = {build("mlp", {"shape": shape, "classes": 2}).modality for shape in shapes.values()}
    assert ARCHITECTURE_NAMES["mlp"] == built == set(shapes)
