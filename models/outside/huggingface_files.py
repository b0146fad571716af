"""A Hugging Face folder before anything of it is loaded: which files count, and which are refused.

A folder as `save_pretrained` writes it: config.json, model.safetensors (or shards with an index), for texts
tokenizer.json, for images preprocessor_config.json. Refused: code of its own (`auto_map`), pickled weights,
adapters and quantised weights (both need more than the folder), files outside the folder.
Layout: https://huggingface.co/docs/transformers/main_classes/model.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from raiaudit.errors import ArtifactRefusedError
from raiaudit.models.outside.forms import refuse_unsafe

__all__ = ["config_of", "files_of", "optional_json"]

_TEXT_LIMIT = 1 << 20
_TOKENIZER_LIMIT = 64 << 20
_WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_SIDE_FILES = ("preprocessor_config.json", "processor_config.json", "tokenizer.json", "tokenizer_config.json")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.h5", "*.msgpack")


def files_of(folder: Path) -> list[Path]:
    """Every file that decides the model's answers, config.json first. `ArtifactRefusedError` for the rest."""
    config_of(folder)
    found = [folder / "config.json"]
    for name in _SIDE_FILES:
        if (folder / name).exists():
            limit = _TOKENIZER_LIMIT if name == "tokenizer.json" else _TEXT_LIMIT
            found.append(_inside(folder, name, limit=limit))
    weights = _weights(folder)
    for file in weights:
        refuse_unsafe(file)
    return found + weights


def config_of(folder: Path) -> dict[str, Any]:
    """config.json of a model that needs no code but the library's."""
    config = optional_json(folder, "config.json")
    if config is None:
        raise _refused(folder, "no config.json", "name the folder that `save_pretrained` wrote")
    for name in ("config.json", "tokenizer_config.json", "preprocessor_config.json", "processor_config.json"):
        if "auto_map" in (optional_json(folder, name) or {}):
            raise _refused(
                folder / name,
                "the model brings code of its own (auto_map), which is never run",
                "choose a model of an architecture that transformers has, or serve it behind an `endpoint`",
            )
    if (folder / "adapter_config.json").exists():
        raise _refused(
            folder,
            "an adapter, which needs a model from elsewhere",
            "merge it into its model (`merge_and_unload`) and save that",
        )
    if "quantization_config" in config:
        raise _refused(folder, "quantised weights", "save the model in float32 or float16")
    return config


def optional_json(folder: Path, name: str) -> dict[str, Any] | None:
    """A JSON object of the folder, or None where there is no such file."""
    if not (folder / name).exists():
        return None
    path = _inside(folder, name, limit=_TEXT_LIMIT)
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _refused(path, "not a JSON object", "save the model again")
    return found


def _weights(folder: Path) -> list[Path]:
    if (folder / _WEIGHTS).exists():
        return [_inside(folder, _WEIGHTS)]
    index = optional_json(folder, _INDEX)
    if index is None:
        pickled = any(file for pattern in _PICKLES for file in folder.glob(pattern))
        raise _refused(
            folder,
            "its weights are pickled, and a pickle can run code when it is loaded"
            if pickled
            else f"no {_WEIGHTS}",
            "save it again with save_pretrained(FOLDER, safe_serialization=True)",
        )
    placed = index.get("weight_map")
    if not isinstance(placed, dict) or not all(isinstance(name, str) for name in placed.values()):
        raise _refused(folder / _INDEX, "the index has no weight_map", "save the model again")
    return [_inside(folder, name) for name in sorted(set(placed.values()))]


def _inside(folder: Path, name: str, *, limit: int | None = None) -> Path:
    """A regular file of the folder; the library's own cache links to blobs beside its snapshots."""
    path = folder / name
    real, home = path.resolve(), folder.resolve()
    roots = [home, *([home.parent.parent / "blobs"] if home.parent.name == "snapshots" else [])]
    if Path(name).name != name or not any(real.is_relative_to(root) for root in roots):
        raise _refused(path, "a file outside the model's folder", "copy the files into one folder")
    if not real.is_file():
        raise _refused(path, "no such file, though the folder names it", "save the model again")
    if limit is not None and real.stat().st_size > limit:
        raise _refused(path, f"larger than {limit >> 20} MiB", "save the model again")
    return path


def _refused(where: Path, problem: str, remedy: str) -> ArtifactRefusedError:
    return ArtifactRefusedError(problem, where=str(where), remedy=remedy)
