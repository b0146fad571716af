"""What a model file is, told by its name and its first bytes, before anything of it is opened.

Read without being able to run code: safetensors, ONNX graphs, Hugging Face folders. Torch files are pickles:
only `unsafe_load` admits them. Everything else is refused by name, with what to do about it.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Literal

from raiaudit.errors import ArtifactRefusedError, UsageError

__all__ = ["HEADER_LIMIT", "TORCH_SUFFIXES", "Form", "refuse_unsafe"]

Form = Literal["safetensors", "onnx", "huggingface", "torch"]

HEADER_LIMIT = 16 << 20
"""Bytes of a safetensors header: a thousand times what a network of a thousand tensors needs."""

TORCH_SUFFIXES = frozenset({".pt", ".pth"})

_PICKLE = "a pickled model can run code when it is loaded"
_TORCH_ARCHIVE = "a torch archive holds a pickle, which can run code when it is loaded"
_AS_SAFETENSORS = "save the weights as safetensors: safetensors.torch.save_file(model.state_dict(), PATH)"
_AS_ONNX = "export it as an ONNX graph and name the .onnx file"
_AS_FUNCTION = (
    "serve it behind an `endpoint`, or let a `factory` (FILE.py:FUNCTION) load it and return "
    "models.black_box.from_callable(…)"
)
_OF_ANY_LIBRARY = f"of torch: {_AS_SAFETENSORS}; of another library: {_AS_FUNCTION}"

_REFUSED_SUFFIXES = {
    **dict.fromkeys((".bin", ".ckpt"), (_PICKLE, _AS_SAFETENSORS)),
    **dict.fromkeys((".dill", ".pickle", ".pk", ".pkl", ".sav"), (_PICKLE, _OF_ANY_LIBRARY)),
    ".joblib": (f"{_PICKLE}, and so can this file", _OF_ANY_LIBRARY),
    **dict.fromkeys((".npy", ".npz"), (f"{_PICKLE}, and so can this file", _AS_SAFETENSORS)),
    **dict.fromkeys((".pt2", ".ptl", ".mar"), (_TORCH_ARCHIVE, _AS_SAFETENSORS)),
    **dict.fromkeys((".h5", ".hdf5", ".keras"), ("a Keras model can run code when it is loaded", _AS_ONNX)),
    **dict.fromkeys((".pb", ".tflite", ".mlmodel", ".engine"), ("a graph in a form not read here", _AS_ONNX)),
    **dict.fromkeys(
        (".gguf", ".ggml"), ("weights of a language model, not of a classifier", _AS_SAFETENSORS)
    ),
    **dict.fromkeys((".cbm", ".ubj", ".pmml"), ("a model in a form that is not read here", _AS_FUNCTION)),
    ".py": (
        "a Python file is run to load a model",
        "name it in a spec as `factory: FILE.py:FUNCTION` and run with --unsafe-load, if you trust it",
    ),
}
_REFUSED_STARTS = {
    b"\x80\x02": (_PICKLE, _AS_SAFETENSORS),
    b"\x80\x03": (_PICKLE, _AS_SAFETENSORS),
    b"\x80\x04": (_PICKLE, _AS_SAFETENSORS),
    b"\x80\x05": (_PICKLE, _AS_SAFETENSORS),
    b"PK\x03\x04": (_TORCH_ARCHIVE, _AS_SAFETENSORS),
    b"\x89HDF": ("a Keras model can run code when it is loaded", _AS_ONNX),
    b"GGUF": ("weights of a language model, not of a classifier", _AS_SAFETENSORS),
    b"\x93NUMPY": (f"{_PICKLE}, and so can an array file", _AS_SAFETENSORS),
}


def refuse_unsafe(path: Path, *, unsafe_load: bool = False) -> Form:
    """The form of the model at `path`. `ArtifactRefusedError` for any that could run code or is none.

    With `unsafe_load`, torch files (`.pt`, `.pth`) are admitted too.
    """
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise UsageError("no such model file", where=str(path), remedy="check the path in the spec")
    suffix = path.suffix.lower()
    with path.open("rb") as file:
        head = file.read(9)
    if suffix in TORCH_SUFFIXES:
        _refuse_programs(path)
        if unsafe_load:
            return "torch"
        remedy = f"{_AS_SAFETENSORS}; if you trust whoever made the file, add --unsafe-load"
        raise ArtifactRefusedError(_PICKLE, where=str(path), remedy=remedy)
    if suffix in _REFUSED_SUFFIXES:
        problem, remedy = _REFUSED_SUFFIXES[suffix]
        raise ArtifactRefusedError(problem, where=str(path), remedy=remedy)
    # A header's length may begin like a pickle (640 is 80 02), so what it is comes before what it is not.
    header = int.from_bytes(head[:8], "little")
    if head[8:9] == b"{" and header <= min(path.stat().st_size - 8, HEADER_LIMIT):
        return "safetensors"
    for start, (problem, remedy) in _REFUSED_STARTS.items():
        if head.startswith(start):
            raise ArtifactRefusedError(problem, where=str(path), remedy=remedy)
    if suffix == ".onnx":
        return "onnx"
    raise ArtifactRefusedError("not a safetensors file", where=str(path), remedy=_AS_SAFETENSORS)


def _folder(path: Path) -> Form:
    if (path / "config.json").is_file():
        from raiaudit.models.outside.huggingface_files import files_of

        files_of(path)
        return "huggingface"
    if (path / "saved_model.pb").exists():
        raise ArtifactRefusedError(
            "a TensorFlow SavedModel is a form not read here", where=str(path), remedy=_AS_ONNX
        )
    if (path / "MLmodel").exists():
        raise ArtifactRefusedError(
            "an MLflow model holds a pickle, which can run code when it is loaded",
            where=str(path),
            remedy=_AS_SAFETENSORS,
        )
    raise UsageError(
        "no such model file: a folder without config.json is no Hugging Face model",
        where=str(path),
        remedy="name the folder that `save_pretrained` wrote, or a file",
    )


def _refuse_programs(path: Path) -> None:
    """TorchScript and exported programs hold code of their own, which no flag makes a state dict."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.split("/", 1)[-1] for name in archive.namelist()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        raise ArtifactRefusedError(
            "a damaged torch archive", where=str(path), remedy=_AS_SAFETENSORS
        ) from None
    if any(name.startswith("code/") or name in ("constants.pkl", "archive_format") for name in names):
        raise ArtifactRefusedError(
            "TorchScript or an exported program is code, which is never run",
            where=str(path),
            remedy=f"{_AS_SAFETENSORS}; or {_AS_ONNX}",
        )
