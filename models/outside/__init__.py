"""Models that were not trained here: a file or folder in, a classifier with its record out.

One file a form: `states` (safetensors, torch files), `onnx_model`, `huggingface`, `factory`. What could run
code when it is loaded is refused by `forms`, unless `unsafe_load`, which the record then states.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raiaudit.errors import ArtifactRefusedError, UsageError
from raiaudit.models.outside.forms import Form, refuse_unsafe
from raiaudit.models.outside.records import version_of
from raiaudit.models.version import LoadRecord, ModelVersion

if TYPE_CHECKING:
    from raiaudit.models.data.dataset import Dataset
    from raiaudit.models.outside.states import Layout

__all__ = [
    "Form",
    "load_factory",
    "load_outside",
    "outside_digest",
    "refuse_factory",
    "refuse_unregistrable",
    "refuse_unsafe",
]

_READ = 1 << 20
_RESTRICTED = (
    "The model was loaded with --unsafe-load from a pickled file; torch's restricted reader was enough, "
    "which runs no code of the file."
)
_UNSAFE = "The model was loaded with --unsafe-load: {how}, and may behave otherwise outside an audit."


def load_outside(
    path: Path,
    architecture: str | None,
    options: Mapping[str, Any],
    dataset: Dataset,
    *,
    name: str,
    layout: Layout = "auto",
    unsafe_load: bool = False,
) -> ModelVersion:
    """The model in a file or folder, for inputs like those of `dataset`.

    `architecture` names one of ours for weights alone (safetensors, torch files); ONNX graphs and Hugging
    Face folders bring theirs. Raises `ArtifactRefusedError` for what is unsafe, damaged or does not fit.
    """
    form = refuse_unsafe(path, unsafe_load=unsafe_load)
    if form == "onnx":
        from raiaudit.models.outside.onnx_model import load_onnx

        return load_onnx(path, options, dataset, name=name, digest=outside_digest(path, options))
    if form == "huggingface":
        from raiaudit.models.outside.huggingface import load_folder

        return load_folder(path, options, dataset, name=name, digest=outside_digest(path, options))
    if architecture is None:
        raise UsageError("`path` needs `arch`: weights alone do not say what they belong to", where=str(path))
    from raiaudit.models.outside.states import read_safetensors, read_torch, with_state

    loaded = LoadRecord(form="a safetensors file")
    if form == "torch":
        state, unpickled = read_torch(path)
        limit = _UNSAFE.format(how="its file could run any code") if unpickled else _RESTRICTED
        loaded = LoadRecord(form="a torch file", unsafe=True, limits=(limit,))
    else:
        state = read_safetensors(path)
    classifier = with_state(state, architecture, options, dataset, layout=layout, where=path)
    from raiaudit.models.weights import weights_digest

    return version_of(
        classifier, architecture, name=name, digest=weights_digest(classifier.state_dict()), loaded=loaded
    )


def refuse_factory(factory: str, *, unsafe_load: bool) -> None:
    """Raise `ArtifactRefusedError` unless running FILE.py:FUNCTION was allowed."""
    if not unsafe_load:
        raise ArtifactRefusedError(
            "a factory is a Python file, which is run to load the model",
            where=factory,
            remedy="add --unsafe-load if you trust whoever wrote it: the report will say so",
        )


def refuse_unregistrable(path: Path, *, unsafe_load: bool) -> None:
    """Raise for what is unsafe, and `UsageError` for what a registry of weights cannot rebuild."""
    form = refuse_unsafe(path, unsafe_load=unsafe_load)
    if form in ("onnx", "huggingface"):
        raise UsageError(
            "the registry keeps weights of our own architectures, not ONNX graphs or Hugging Face folders",
            where=str(path),
            remedy="audit it where it is: write `model: {path: …}` in the spec",
        )


def load_factory(file: Path, function: str, dataset: Dataset, *, name: str) -> ModelVersion:
    """The model that `function` of a Python file builds. It runs the file: ask `refuse_factory` first."""
    from raiaudit.models.outside.factory import build
    from raiaudit.models.weights import weights_digest

    classifier = build(file, function, dataset)
    digest = hashlib.sha256(f"{files_digest([file])}|{weights_digest(classifier.state_dict())}".encode())
    limits = (_UNSAFE.format(how="a Python file built it and still runs in it"),)
    loaded = LoadRecord(form="a Python file", unsafe=True, limits=limits)
    return version_of(classifier, "factory", name=name, digest=digest.hexdigest(), loaded=loaded)


def outside_digest(path: Path, options: Mapping[str, Any]) -> str:
    """Sha256 (hex) over everything that decides the answers of the model at `path`, without loading it."""
    described = json.dumps(dict(options), sort_keys=True, default=str)
    return hashlib.sha256(f"{described}|{files_digest(_files(path))}".encode()).hexdigest()


def files_digest(files: Iterable[Path]) -> str:
    """Sha256 (hex) over the contents, in this order; names do not count."""
    whole = hashlib.sha256()
    for path in files:
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while part := file.read(_READ):
                digest.update(part)
        whole.update(digest.digest())
    return whole.hexdigest()


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        from raiaudit.models.outside.huggingface_files import files_of

        return files_of(path)
    if path.suffix.lower() == ".onnx":
        from raiaudit.models.outside.onnx_graph import external_files

        return [path, *external_files(path)]
    return [path]
