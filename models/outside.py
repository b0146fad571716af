"""Models that were not trained here: safetensors weights for one of our architectures.

Everything that can run code when it is loaded is refused, by its suffix and by its first bytes:
pickles, torch archives (`.pt`, `.pth`, `.pt2`), TorchScript, joblib.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raiaudit.errors import ArtifactRefusedError, UsageError
from raiaudit.models.version import ModelVersion, TrainingRecord

if TYPE_CHECKING:
    from raiaudit.models.data.dataset import Dataset

__all__ = ["load_outside", "refuse_unsafe"]

_UNSAFE_SUFFIXES = frozenset(
    {
        ".bin",
        ".ckpt",
        ".dill",
        ".joblib",
        ".npy",
        ".pickle",
        ".pk",
        ".pkl",
        ".pt",
        ".pt2",
        ".pth",
        ".ptl",
        ".sav",
    }
)
_PICKLE_STARTS = frozenset({b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"})
_PICKLE = "a pickled model can run code when it is loaded"
_MAX_HEADER = 100 << 20


def refuse_unsafe(path: Path) -> None:
    """Raise `ArtifactRefusedError` unless the file is a safetensors file, whatever it is called."""
    remedy = "save the weights as safetensors: safetensors.torch.save_file(model.state_dict(), PATH)"
    if not path.is_file():
        raise UsageError("no such model file", where=str(path), remedy="check the path in the spec")
    with path.open("rb") as file:
        head = file.read(9)
    if path.suffix.lower() in _UNSAFE_SUFFIXES:
        raise ArtifactRefusedError(_PICKLE, where=str(path), remedy=remedy)
    # A header's length may begin like a pickle (640 is 80 02), so what it is comes before what it is not.
    header = int.from_bytes(head[:8], "little")
    if head[8:9] == b"{" and header <= min(path.stat().st_size - 8, _MAX_HEADER):
        return
    if head[:2] in _PICKLE_STARTS:
        raise ArtifactRefusedError(_PICKLE, where=str(path), remedy=remedy)
    if head[:4] == b"PK\x03\x04":
        raise ArtifactRefusedError(
            "a torch archive holds a pickle, which can run code when it is loaded",
            where=str(path),
            remedy=remedy,
        )
    raise ArtifactRefusedError("not a safetensors file", where=str(path), remedy=remedy)


def load_outside(
    path: Path, architecture: str, options: dict[str, Any], dataset: Dataset, *, name: str
) -> ModelVersion:
    """Weights from a safetensors file into `architecture`, shaped for `dataset`.

    Raises `ArtifactRefusedError` for an unsafe or damaged file, for weights that do not fit the
    architecture or are not finite, and for an output width that is not the number of classes.
    """
    import raiaudit
    from raiaudit.models.architectures import family
    from raiaudit.models.weights import load_weights, weights_digest

    refuse_unsafe(path)
    classifier = family(architecture).for_dataset(dataset, **options)
    _compare_shapes(path, classifier.state_dict(), len(dataset.classes), architecture)
    load_weights(classifier, path)
    _refuse_non_finite(path, classifier.state_dict())
    record = TrainingRecord(
        architecture=architecture,
        config=classifier.config,
        code_version=raiaudit.__version__,
        parameters=sum(parameter.numel() for parameter in classifier.parameters()),
        weights_digest=weights_digest(classifier.state_dict()),
    )
    return ModelVersion(name, 0, classifier.eval(), record)


def _refuse_non_finite(path: Path, state: dict[str, Any]) -> None:
    """A NaN answers every question with the first class, which looks like a result."""
    broken = [name for name, tensor in state.items() if not tensor.isfinite().all()]
    if broken:
        raise ArtifactRefusedError(
            f"{broken[0]} holds NaN or infinity",
            where=str(path),
            remedy="the training that wrote it diverged: train the model again",
        )


def _compare_shapes(path: Path, expected: dict[str, Any], classes: int, architecture: str) -> None:
    found = _shapes(path)
    wrong = [name for name in expected if name in found and found[name] != tuple(expected[name].shape)]
    widths = {found[name][0] for name in wrong if expected[name].shape[:1] == (classes,) and found[name]}
    heads_only = all(expected[name].shape[:1] == (classes,) for name in wrong)
    if wrong and heads_only and len(widths) == 1:
        raise ArtifactRefusedError(
            f"the model answers with {widths.pop()} classes, the data set has {classes}",
            where=f"{path} ({wrong[-1]})",
            remedy="audit it on the data set it was trained for, or list its `classes` in the spec",
        )
    missing = sorted(set(expected) - set(found))
    surplus = sorted(set(found) - set(expected))
    if wrong or missing or surplus:
        parts = [f"{name} is {found[name]}, expected {tuple(expected[name].shape)}" for name in wrong[:3]]
        parts += [f"{name} is missing" for name in missing[:3]] + [
            f"{name} is unknown" for name in surplus[:3]
        ]
        raise ArtifactRefusedError(
            f"the weights do not fit {architecture}: {'; '.join(parts)}",
            where=str(path),
            remedy="check `arch` and `options`",
        )


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        try:
            header = json.loads(file.read(length))
            return {name: tuple(entry["shape"]) for name, entry in header.items() if name != "__metadata__"}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise ArtifactRefusedError(
                "the safetensors header is damaged", where=str(path), remedy="save the weights again"
            ) from None
