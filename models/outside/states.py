"""Weights of somebody else for one of our architectures: a state dict from safetensors, or from a torch file.

Half-precision weights are widened to float32. Whatever does not fit is listed: missing, unexpected and
misshapen tensors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from raiaudit.errors import ArtifactRefusedError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from raiaudit.models.architectures import Classifier
    from raiaudit.models.data.dataset import Dataset

__all__ = ["Layout", "read_safetensors", "read_torch", "refuse_non_finite", "with_state"]

Layout = Literal["auto", "robustbench"]

_LISTED = 12
_OURS = "standardize."  # the statistics that every one of our networks carries
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net")


def with_state(
    state: Mapping[str, Tensor],
    architecture: str,
    options: Mapping[str, Any],
    dataset: Dataset,
    *,
    layout: Layout,
    where: Path,
) -> Classifier:
    """`architecture`, shaped for `dataset`, with these weights.

    Raises `ArtifactRefusedError` for weights that do not fit or are not finite, and for an output width
    that is not the number of classes.
    """
    from raiaudit.models.architectures import family
    from raiaudit.models.layouts import LAYOUTS, options_of, to_our_keys

    if layout == "robustbench" and architecture not in LAYOUTS:
        raise UsageError(
            f"RobustBench has no layout for {architecture}",
            where=str(where),
            remedy=f"leave `layout` out, or choose one of {', '.join(sorted(LAYOUTS))}",
        )
    if architecture in LAYOUTS and not any(name.startswith(_OURS) for name in state):
        options = {**options_of(state, architecture), **options}
        try:
            state = to_our_keys(state, architecture)
        except ArtifactRefusedError as error:
            raise ArtifactRefusedError(error.problem, where=str(where), remedy=error.remedy) from None
    classifier = family(architecture).for_dataset(dataset, **options)
    expected = classifier.state_dict()
    _compare(state, expected, len(dataset.classes), architecture, where)
    classifier.load_state_dict(dict(state))
    refuse_non_finite(classifier.state_dict(), where)
    return classifier


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file. Raises `ArtifactRefusedError` for a damaged one."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    _refuse_bad_header(path)
    try:
        return load_file(path)
    except (SafetensorError, KeyError, RuntimeError, ValueError, OverflowError) as error:
        raise ArtifactRefusedError(
            f"not a readable safetensors file ({error})", where=str(path), remedy="save the weights again"
        ) from None


def read_torch(path: Path) -> tuple[dict[str, Tensor], bool]:
    """The state dict of a torch file, and whether reading it could run code.

    Torch's own restricted reader comes first; what needs more is unpickled, for the caller was told to.
    """
    import torch

    unpickled = False
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # whatever a restricted reader may object to
        unpickled = True
        try:
            found = torch.load(path, map_location="cpu", weights_only=False)
        except Exception as error:  # whatever theirs may raise
            raise ArtifactRefusedError(
                f"torch cannot read it ({type(error).__name__}: {_first_line(error)})",
                where=str(path),
                remedy="save its state dict as safetensors, where it was trained",
            ) from None
    if isinstance(found, torch.nn.Module):
        found = found.state_dict()
    key = next(
        (key for key in _WRAPPERS if isinstance(found, Mapping) and isinstance(found.get(key), Mapping)), None
    )
    found = found if key is None else found[key]
    if not isinstance(found, Mapping) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise ArtifactRefusedError(
            "holds no state dict: names and tensors",
            where=str(path),
            remedy="save its state dict as safetensors, where it was trained",
        )
    state = {str(name).removeprefix("module."): tensor.detach() for name, tensor in found.items()}
    return state, unpickled


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:200]


def refuse_non_finite(state: Mapping[str, Tensor], where: Path) -> None:
    """A NaN answers every question with the first class, which looks like a result."""
    broken = [name for name, tensor in state.items() if not tensor.isfinite().all()]
    if broken:
        raise ArtifactRefusedError(
            f"{broken[0]} holds NaN or infinity",
            where=str(where),
            remedy="the training that wrote it diverged: train the model again",
        )


def _compare(
    found: Mapping[str, Tensor], expected: Mapping[str, Tensor], classes: int, architecture: str, where: Path
) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in found.items()}
    wrong = [name for name in expected if name in found and shapes[name] != tuple(expected[name].shape)]
    widths = {shapes[name][0] for name in wrong if expected[name].shape[:1] == (classes,) and shapes[name]}
    heads_only = all(expected[name].shape[:1] == (classes,) for name in wrong)
    if wrong and heads_only and len(widths) == 1:
        raise ArtifactRefusedError(
            f"the model answers with {widths.pop()} classes, the data set has {classes}",
            where=f"{where} ({wrong[-1]})",
            remedy="audit it on the data set it was trained for, or list its `classes` in the spec",
        )
    odd = [
        name
        for name in expected
        if name in found and expected[name].is_floating_point() and not found[name].is_floating_point()
    ]
    parts = [
        _listed("missing", sorted(set(expected) - set(found))),
        _listed("unexpected", sorted(set(found) - set(expected))),
        _listed(
            "of another shape",
            [f"{name} {shapes[name]} instead of {tuple(expected[name].shape)}" for name in wrong],
        ),
        _listed("not of floating point", [f"{name} {found[name].dtype}" for name in odd]),
    ]
    if problems := [part for part in parts if part]:
        raise ArtifactRefusedError(
            f"the weights do not fit {architecture}: {'; '.join(problems)}",
            where=str(where),
            remedy="check `arch`, `options` and `layout`",
        )


def _listed(what: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{len(names)} {what} ({', '.join(names[:_LISTED])}{more})"


def _refuse_bad_header(path: Path) -> None:
    """The library checks offsets against shapes; that the header is one at all is checked here."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        try:
            header = json.loads(file.read(length))
            for name, entry in header.items():
                if name != "__metadata__":
                    tuple(entry["shape"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise ArtifactRefusedError(
                "the safetensors header is damaged", where=str(path), remedy="save the weights again"
            ) from None
