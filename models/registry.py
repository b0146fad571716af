"""The model registry, on MLflow's client: versions, aliases, tags, lineage.

A model version is an MLflow model version whose source holds `model.safetensors`, `record.json` (the
`TrainingRecord`) and, for people, `README.md` (the model card). Nothing is ever pickled, and no MLflow
flavor is used. The default is a SQLite file in the home folder; `MLFLOW_TRACKING_URI` names any tracking
server. Only `load` imports torch. Importing MLflow takes about two seconds: open a registry when needed.
"""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse
from urllib.request import url2pathname

from pydantic import ValidationError

from raiaudit.errors import ArtifactRefusedError, StorageError, UnknownNameError, UsageError
from raiaudit.models.registry_file import ensure_registry_file, registry_address
from raiaudit.models.version import ModelVersion, TrainingRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow.entities.model_registry import ModelVersion as MlflowVersion

__all__ = ["RegisteredModel", "Registry"]

WEIGHTS = "model.safetensors"
RECORD = "record.json"
CARD = "README.md"
_KEY = "raiaudit.training_key"
_EXPERIMENT = "raiaudit"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")
_ALIAS = re.compile(r"(?!latest$|[vV]\d+$)[A-Za-z0-9_-]{1,80}")


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A version as the registry lists it, without its weights. `created` is in milliseconds, UTC."""

    name: str
    version: int
    aliases: tuple[str, ...]
    tags: dict[str, str]
    created: int
    source: str


class Registry:
    """Open one with `Registry.open`; a reference is NAME, NAME@ALIAS or NAME/VERSION."""

    def __init__(self, client: Any, artifacts: str | None) -> None:
        self._client = client
        self._artifacts = artifacts

    @classmethod
    def open(cls, home: Path, uri: str | None = None) -> Registry:
        """The registry of `home`, or the one at `uri` or `MLFLOW_TRACKING_URI`.

        Raises `StorageError` when the data base cannot be opened or belongs to another MLflow.
        """
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
        import logging

        # The first use of a SQLite file logs every schema migration.
        logging.getLogger("alembic").setLevel(logging.ERROR)
        logging.getLogger("mlflow").setLevel(logging.ERROR)
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient
        from sqlalchemy.exc import SQLAlchemyError

        chosen = uri or os.environ.get("MLFLOW_TRACKING_URI")
        artifacts = None
        if chosen is None:
            chosen = str(home / "registry.db")
            artifacts = (home / "artifacts").as_uri()
        try:
            if artifacts is not None:
                home.mkdir(parents=True, exist_ok=True)
                ensure_registry_file(home / "registry.db")
                chosen = registry_address(home / "registry.db")
            client = MlflowClient(tracking_uri=chosen, registry_uri=chosen)
            client.search_registered_models(max_results=1)
        except (MlflowException, SQLAlchemyError, OSError) as error:
            remedy = "check MLFLOW_TRACKING_URI, or move the file away and train again"
            if isinstance(error, OSError):  # nothing is wrong with the file: it could not be made
                remedy = "free some space, check the folder's permissions, or choose another with --home"
            raise StorageError(
                f"the model registry cannot be opened: {str(error).splitlines()[0]}",
                where=chosen,
                remedy=remedy,
            ) from error
        return cls(client, artifacts)

    def models(self) -> list[RegisteredModel]:
        """Every version of every model, by name, newest first."""
        found = self._search(None)
        return sorted(found, key=lambda model: (model.name, -model.version))

    def versions(self, name: str) -> list[RegisteredModel]:
        """Every version of one model, newest first; none if there is no such model."""
        quoted = name.replace("'", "")
        listed = [model for model in self._search(f"name='{quoted}'") if model.name == name]
        return sorted(listed, key=lambda model: -model.version)

    def find(self, reference: str) -> RegisteredModel:
        """The version that `reference` names. Raises `UnknownNameError`."""
        from mlflow.exceptions import MlflowException

        name, alias, number = _parse(reference)
        try:
            if alias:
                return _listed(self._client.get_model_version_by_alias(name, alias))
            if number:
                return _listed(self._client.get_model_version(name, number))
            versions = self.versions(name)
        except MlflowException:
            versions = []
        if not versions:
            known = sorted({model.name for model in self.models()})
            raise UnknownNameError("model", reference, known, where="the registry")
        return versions[0]

    def trained(self, name: str, key: str) -> RegisteredModel | None:
        """The version of `name` that was trained with this training key, if there is one."""
        return next((model for model in self.versions(name) if model.tags.get(_KEY) == key), None)

    def add(
        self, version: ModelVersion, *, key: str | None = None, aliases: Sequence[str] = ()
    ) -> RegisteredModel:
        """Store weights and record, then make them a new version: a crash in between leaves no version.

        Raises `UsageError` for a name or alias that cannot be one, `StorageError` when the registry
        cannot be written.
        """
        from mlflow.exceptions import MlflowException
        from safetensors import SafetensorError

        _refuse_bad_names(version.name, aliases)
        try:
            return self._add(version, key, aliases)
        except (MlflowException, OSError, SafetensorError) as error:
            raise StorageError(
                f"{version.name} could not be stored: {error}",
                where=self._artifacts or "the registry",
                remedy="free some space or check the registry; the training checkpoint is kept",
            ) from error

    def _add(self, version: ModelVersion, key: str | None, aliases: Sequence[str]) -> RegisteredModel:
        from mlflow.exceptions import MlflowException

        from raiaudit.models.cards import model_card
        from raiaudit.models.weights import save_weights

        with tempfile.TemporaryDirectory() as scratch:
            save_weights(version.classifier, Path(scratch) / WEIGHTS)
            (Path(scratch) / RECORD).write_text(version.record.model_dump_json(indent=2), encoding="utf-8")
            (Path(scratch) / CARD).write_text(model_card(version.name, version.record), encoding="utf-8")
            run = self._client.create_run(self._experiment(), run_name=version.name)
            self._client.log_artifacts(run.info.run_id, scratch)
        for metric, value in version.record.metrics.items():
            self._client.log_metric(run.info.run_id, metric, value)
        self._client.set_terminated(run.info.run_id)
        try:
            self._client.create_registered_model(version.name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        made = self._client.create_model_version(
            version.name,
            source=run.info.artifact_uri,
            run_id=run.info.run_id,
            tags=_tags(version.record, key),
        )
        for alias in aliases:
            self._client.set_registered_model_alias(version.name, alias, made.version)
        return _listed(self._client.get_model_version(version.name, made.version))

    def set_alias(self, reference: str, alias: str) -> None:
        """Let `NAME@alias` mean the version that `reference` names. Raises `UsageError` for a bad alias."""
        model = self.find(reference)
        _refuse_bad_names(model.name, [alias])
        self._client.set_registered_model_alias(model.name, alias, str(model.version))

    def record(self, model: RegisteredModel) -> TrainingRecord:
        """The lineage of a version. Raises `StorageError` if it is missing or damaged."""
        path = self._fetch(model, RECORD)
        try:
            return TrainingRecord.model_validate_json(path.read_bytes())
        except ValidationError as error:
            problem = f"the record of {model.name} version {model.version} is damaged"
            raise StorageError(problem, where=str(path), remedy="train the model again") from error

    def is_lost(self, model: RegisteredModel) -> bool:
        """Whether weights or record of a version are gone from this machine's own folder of artifacts."""
        if self._artifacts is None or not model.source.startswith(self._artifacts):
            return False
        folder = Path(url2pathname(urlparse(model.source).path))
        return not all((folder / name).is_file() for name in (WEIGHTS, RECORD))

    def load(self, reference: str) -> ModelVersion:
        """The version that `reference` names, with its classifier in evaluation mode on the CPU.

        Raises `ArtifactRefusedError` when the weights are not those the record describes.
        """
        return self.open_version(self.find(reference))

    def open_version(self, model: RegisteredModel) -> ModelVersion:
        """The classifier behind a listed version; see `load`."""
        from raiaudit.models.architectures import build
        from raiaudit.models.weights import load_weights, weights_digest

        record = self.record(model)
        classifier = build(record.architecture, record.config)
        path = self._fetch(model, WEIGHTS)
        load_weights(classifier, path)
        if weights_digest(classifier.state_dict()) != record.weights_digest:
            raise ArtifactRefusedError(
                f"the weights of {model.name} version {model.version} are not the ones its record describes",
                where=str(path),
                remedy="someone changed the file: move it away, and the same spec trains the model again",
            )
        return ModelVersion(model.name, model.version, classifier.eval(), record)

    def _search(self, condition: str | None) -> list[RegisteredModel]:
        """Versions with their aliases, which MLflow keeps with the model and leaves out of a search."""
        versions = self._client.search_model_versions(condition)
        names = {version.name for version in versions}
        aliases = {name: self._client.get_registered_model(name).aliases for name in names}
        return [
            _listed(
                version,
                [
                    alias
                    for alias, number in aliases[version.name].items()
                    if str(number) == str(version.version)
                ],
            )
            for version in versions
        ]

    def _fetch(self, model: RegisteredModel, file: str) -> Path:
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        try:
            return Path(download_artifacts(f"{model.source.rstrip('/')}/{file}"))
        except (MlflowException, OSError) as error:
            raise StorageError(
                f"{file} of {model.name} version {model.version} is missing",
                where=model.source,
                remedy="restore the artifacts folder; a spec with its recipe trains it again",
            ) from error

    def _experiment(self) -> str:
        experiment = self._client.get_experiment_by_name(_EXPERIMENT)
        if experiment is not None:
            return str(experiment.experiment_id)
        return str(self._client.create_experiment(_EXPERIMENT, artifact_location=self._artifacts))


def _refuse_bad_names(name: str, aliases: Sequence[str]) -> None:
    """Before anything is written: names that a reference or MLflow could not read back."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be a model's name", remedy="use letters, digits, _, . and -, at most 80"
        )
    for alias in aliases:
        if not _ALIAS.fullmatch(alias):
            raise UsageError(
                f"{alias!r} cannot be an alias",
                remedy="use letters, digits, _ and -; neither `latest` nor a version such as v1",
            )


def _parse(reference: str) -> tuple[str, str | None, str | None]:
    text = reference.removeprefix("registry:")
    name, _, alias = text.partition("@")
    name, _, number = name.partition("/")
    if not name or (number and not number.isdigit()):
        raise UsageError(
            f"{reference!r} is no model reference", remedy="write NAME, NAME@ALIAS or NAME/VERSION"
        )
    return name, alias or None, number or None


def _listed(version: MlflowVersion, aliases: Sequence[str] | None = None) -> RegisteredModel:
    return RegisteredModel(
        name=version.name,
        version=int(version.version),
        aliases=tuple(sorted(version.aliases if aliases is None else aliases)),
        tags=dict(version.tags),
        created=int(version.creation_timestamp),
        source=str(version.source),
    )


def _tags(record: TrainingRecord, key: str | None) -> dict[str, str]:
    tags = {
        "raiaudit.architecture": record.architecture,
        "raiaudit.weights": record.weights_digest,
        "raiaudit.code": record.code_version,
        _KEY: key or "",
        "raiaudit.data": record.data_name or "",
        "raiaudit.data_digest": record.data_digest or "",
        "raiaudit.recipe": record.recipe.kind if record.recipe else "",
        "raiaudit.seed": "" if record.seed is None else str(record.seed),
        "raiaudit.epsilon": f"{record.privacy.epsilon_pld:.4g}" if record.privacy else "",
    }
    return {name: value for name, value in tags.items() if value}
