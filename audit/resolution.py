"""From a model in a spec to a subject: its identity at once, its weights when they are needed.

The identity decides the run id, so it must be known without training or loading: the training key
of a recipe, the registered weights digest of a reference, the sha256 of a file. An endpoint is asked for
a few answers, for nothing else would tell that another model stands behind it today.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from raiaudit.audit.lock import turn
from raiaudit.audit.subject import Subject
from raiaudit.errors import ArtifactRefusedError, StorageError, UsageError
from raiaudit.models.fairness import require_suited
from raiaudit.models.names import ARCHITECTURE_NAMES
from raiaudit.models.recipe import training_key

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from raiaudit.audit.journal import Listener
    from raiaudit.audit.spec import LoadedSpec, ModelSpec, RunOptions
    from raiaudit.models.data.dataset import Dataset
    from raiaudit.models.recipe import Recipe
    from raiaudit.models.registry import RegisteredModel, Registry
    from raiaudit.models.training import TrainingProgress
    from raiaudit.models.version import ModelVersion

__all__ = ["Resolver", "obtain", "refuse_unsafe_models"]


@dataclass
class Resolver:
    """Resolves the models of one spec. `folder` is where relative paths start, `home` the state folder.

    `unsafe_load` admits models whose loading can run code.
    """

    dataset: Dataset
    options: RunOptions
    folder: Path
    home: Path
    unsafe_load: bool = False
    _black_boxes: dict[str, ModelVersion] = field(default_factory=dict, init=False)
    _built: dict[str, ModelVersion] = field(default_factory=dict, init=False)

    @cached_property
    def registry(self) -> Registry:
        """Opened on first use: importing MLflow takes two seconds."""
        from raiaudit.models.registry import Registry

        return Registry.open(self.home)

    def identity(self, model: ModelSpec) -> str:
        """Sha256 (hex) that decides the weights; also refuses what must not be loaded.

        Raises `SubjectUnavailableError` when an endpoint does not answer.
        """
        if model.endpoint is not None:
            return self._black_box(model).record.weights_digest
        if model.recipe is not None:
            _refuse_unfit(model.recipe, self.dataset)
            return training_key(model.recipe, data_digest=self.dataset.digest, seed=self.options.seed)
        if model.path is not None:
            from raiaudit.models.outside import outside_digest, refuse_unsafe

            path = self.folder / model.path
            refuse_unsafe(path, unsafe_load=self.unsafe_load)
            _refuse_other_modality(model.architecture or "", self.dataset)
            described = f"{model.architecture}|{model.layout}|{outside_digest(path, model.options)}"
            return hashlib.sha256(described.encode()).hexdigest()
        if model.factory is not None:
            return self._from_factory(model).record.weights_digest
        assert model.ref is not None
        weights = self.registry.find(model.ref).tags.get("raiaudit.weights")
        if weights is None:
            raise StorageError("the registered model has no weights digest", where=model.ref)
        return weights

    def subject(self, model: ModelSpec, listener: Listener) -> Subject:
        """The subject of a run; trains the model when the registry lacks it."""
        if model.endpoint is not None:
            version = self._black_box(model)
            text = f"asking {model.endpoint.url}; its answers have the fingerprint "
            listener(
                {
                    "event": "note",
                    "model": version.name,
                    "text": text + version.record.weights_digest[:12],
                }
            )
            return self._subject(version, listener)
        if model.path is not None:
            from raiaudit.models.outside import load_outside

            version = load_outside(
                self.folder / model.path,
                model.architecture,
                model.options,
                self.dataset,
                name=model.title,
                layout=model.layout or "auto",
                unsafe_load=self.unsafe_load,
            )
            return self._from_outside(version, listener)
        if model.factory is not None:
            return self._from_outside(self._from_factory(model), listener)
        if model.recipe is not None:
            assert model.name is not None
            version = obtain(
                self.registry,
                model.name,
                model.recipe,
                self.dataset,
                seed=self.options.seed,
                device=self.options.device,
                home=self.home,
                listener=listener,
            )
            return self._subject(version, listener)
        assert model.ref is not None
        version = self.registry.load(model.ref)
        if version.classifier.modality != self.dataset.modality:
            _refuse_other_modality(version.record.architecture, self.dataset)
        if version.classifier.classes != len(self.dataset.classes):
            raise ArtifactRefusedError(
                f"the model answers with {version.classifier.classes} classes, "
                f"{self.dataset.name} has {len(self.dataset.classes)}",
                where=model.ref,
                remedy="audit it on the data set it was trained for",
            )
        return self._subject(version, listener)

    def _from_factory(self, model: ModelSpec) -> ModelVersion:
        """The model that a Python file builds; it is run once."""
        from raiaudit.models.outside import load_factory, refuse_factory

        assert model.factory is not None
        refuse_factory(model.factory, unsafe_load=self.unsafe_load)
        if model.title not in self._built:
            file, _, function = model.factory.rpartition(":")
            version = load_factory(self.folder / file, function, self.dataset, name=model.title)
            self._built[model.title] = version
        return self._built[model.title]

    def _from_outside(self, version: ModelVersion, listener: Listener) -> Subject:
        """With what its way of loading keeps from the audit as notes, for people to see at once."""
        for text in version.record.loaded.limits if version.record.loaded else ():
            listener({"event": "note", "model": version.name, "text": text})
        return self._subject(version, listener)

    def _black_box(self, model: ModelSpec) -> ModelVersion:
        """The model behind an endpoint; it is asked for its fingerprint once."""
        from raiaudit.models.black_box import from_endpoint, version_of

        assert model.endpoint is not None
        if model.title not in self._black_boxes:
            box = from_endpoint(model.endpoint, self.dataset)
            self._black_boxes[model.title] = version_of(box, self.dataset, name=model.title)
        return self._black_boxes[model.title]

    def _subject(self, version: ModelVersion, listener: Listener) -> Subject:
        return Subject(
            name=version.name,
            dataset=self.dataset,
            record=version.record,
            version=version,
            seed=self.options.seed,
            device_name=self.options.device,
            limit=self.options.limit,
            cache=self.home / "cache",
            note=lambda line: listener({"event": "note", "model": version.name, "text": line}),
            registry=lambda: self.registry,
        )


def obtain(
    registry: Registry,
    name: str,
    recipe: Recipe,
    dataset: Dataset,
    *,
    seed: int,
    device: str,
    home: Path,
    listener: Listener,
    aliases: Sequence[str] = ("candidate",),
) -> ModelVersion:
    """The registered version with this training key; if there is none, trained and registered with `aliases`.

    Training checkpoints under `home/cache/training`, so that a killed run resumes exactly.
    """
    _refuse_unfit(recipe, dataset)
    key = training_key(recipe, data_digest=dataset.digest, seed=seed)
    checkpoint = home / "cache" / "training" / f"{key}.pt"
    if (known := _stored(registry, name, key, listener)) is not None:
        for left in (checkpoint, checkpoint.with_suffix(".lock")):  # by one that ended after storing it
            if left.exists():  # a read-only home is asked for nothing
                left.unlink(missing_ok=True)
        return registry.open_version(known)

    def report(progress: TrainingProgress) -> None:
        listener(
            {
                "event": "training",
                "model": name,
                "epoch": progress.epoch,
                "epochs": progress.epochs,
                "loss": progress.loss,
            }
        )

    def waiting() -> None:
        text = "another process is training the same model: waiting for it"
        listener({"event": "note", "model": name, "text": text})

    with turn(checkpoint.with_suffix(".lock"), waiting):
        if (known := _stored(registry, name, key, listener)) is not None:
            return registry.open_version(known)
        from raiaudit.models.training import train

        version = train(
            recipe,
            dataset,
            name=name,
            seed=seed,
            device=device,
            progress=report,
            checkpoint=checkpoint,
        )
        registered = registry.add(version, key=key, aliases=aliases)
        checkpoint.unlink(missing_ok=True)
    listener(
        {
            "event": "trained",
            "model": name,
            "version": registered.version,
            "seconds": version.record.seconds,
            "validation_accuracy": version.record.metrics.get("validation_accuracy"),
        }
    )
    return registry.open_version(registered)


def _stored(registry: Registry, name: str, key: str, listener: Listener) -> RegisteredModel | None:
    """The version with this training key, unless its files are gone: then it has to be trained again."""
    known = registry.trained(name, key)
    if known is None or not registry.is_lost(known):
        return known
    text = f"the files of version {known.version} are gone: it is trained again"
    listener({"event": "note", "model": name, "text": text})
    return None


def refuse_unsafe_models(loaded: LoadedSpec, *, unsafe_load: bool) -> None:
    """Raise `ArtifactRefusedError` for a model of the spec that would be refused, as far as it is there."""
    from raiaudit.models.outside import refuse_factory, refuse_unsafe

    for model in loaded.spec.subjects:
        if model.factory is not None:
            refuse_factory(model.factory, unsafe_load=unsafe_load)
        elif model.path is not None and (loaded.folder / model.path).exists():
            refuse_unsafe(loaded.folder / model.path, unsafe_load=unsafe_load)


def _refuse_unfit(recipe: Recipe, dataset: Dataset) -> None:
    _refuse_other_modality(recipe.architecture, dataset)
    if recipe.fairness is not None:
        require_suited(recipe.fairness, dataset)


def _refuse_other_modality(architecture: str, dataset: Dataset) -> None:
    takes = ARCHITECTURE_NAMES.get(architecture)
    if takes is not None and dataset.modality not in takes:
        fitting = sorted(name for name, kinds in ARCHITECTURE_NAMES.items() if dataset.modality in kinds)
        raise UsageError(
            f"{architecture} takes {' or '.join(sorted(takes))} data, {dataset.name} is {dataset.modality}",
            remedy=f"choose one of {', '.join(fitting)}",
        )
