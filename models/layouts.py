"""State dicts in the layout of published robust models, brought to our names.

RobustBench (Croce et al., arXiv:2010.09670) keeps WideResNet, PreActResNet and ResNet as they were published:
often wrapped in `state_dict`, `ema` or the like, every name behind `module.` or `model.`, the mean and
deviation of the inputs as buffers `mu` and `sigma`. A model without those two takes inputs in [0, 1] as they
are: a mean of 0 and a deviation of 1 here. Of several sets of weights the averaged one is taken, which is the
one that is evaluated.

- wide_resnet28_10 (`block1.layer.0.bn1`, `convShortcut`, `fc`) and preact_resnet18 (`layer1.0.bn1`,
  `shortcut.0`, `linear`): our modules have the published names. The WideResNet of TRADES (arXiv:1901.08573)
  carries a second first stage, `sub_block1`, that its forward never calls: it is dropped.
- resnet18, resnet50: the CIFAR form (`shortcut.0`, `linear`) and the ImageNet form (`downsample.0`, `fc`).

Whether the shortcuts of a PreActResNet read the raw or the activated input, and which activation a network
has, no weight shows: the options `shortcut` and `activation` are for the user to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from raiaudit.errors import ArtifactRefusedError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["LAYOUTS", "options_of", "to_our_keys"]

LAYOUTS = frozenset({"preact_resnet18", "resnet18", "resnet50", "wide_resnet28_10"})
"""Architectures with a published layout."""

_WRAPPERS = ("ema_state_dict", "ema", "model_state_dict", "state_dict", "module", "model", "net")
_STATISTICS = {"mu": "standardize.mean", "sigma": "standardize.std"}
_STEM = 16  # channels before the first stage of a wide residual network
_BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet50": (3, 4, 6, 3)}  # a stage
_CONVOLUTIONS = {"resnet18": 2, "resnet50": 3}  # a block
_LISTED = 8  # names of a kind in a message


def to_our_keys(state: Mapping[str, Tensor], architecture: str) -> dict[str, Tensor]:
    """The state dict under our names, with the statistics of the inputs.

    One that has our names already, or is of an architecture without a published layout, keeps its names.
    Raises `ArtifactRefusedError` that lists the names which are missing and those which are unknown.
    """
    if architecture not in LAYOUTS:
        return dict(state)
    found = _unwrapped(state)
    if any(name.startswith("standardize.") for name in found):
        return found
    import torch

    from raiaudit.models.architectures import build

    channels = _sizes(found, "conv1.weight", 4)[1]
    classes = max(1, _sizes(found, "linear.weight", 2)[0] or _sizes(found, "fc.weight", 2)[0])
    with torch.device("meta"):
        shape = [max(1, channels), 32, 32]
        options = options_of(state, architecture)
        model = build(architecture, {"shape": shape, "classes": classes, **options})
    modules = _modules(found, architecture)
    ours = {
        _published(name, modules): name for name in model.state_dict() if not name.startswith("standardize.")
    }
    missing = [name for name in ours if name not in found and not name.endswith("num_batches_tracked")]
    unknown = [name for name in found if name not in ours and name not in _STATISTICS]
    if missing or unknown:
        raise ArtifactRefusedError(
            f"the weights have not the published names of {architecture}: "
            + "; ".join(filter(None, (_listed("missing", missing), _listed("unknown", unknown)))),
            remedy="check `arch`, and that the file holds the weights of one network",
        )
    counters = {
        name: torch.tensor(0) for published, name in ours.items() if published not in found
    }  # older versions of torch wrote none
    mean = found.get("mu", torch.zeros(shape[0])).reshape(-1, 1, 1)
    std = found.get("sigma", torch.ones(shape[0])).reshape(-1, 1, 1)
    named = {ours[name]: tensor for name, tensor in found.items() if name not in _STATISTICS}
    return {**named, **counters, _STATISTICS["mu"]: mean, _STATISTICS["sigma"]: std}


def options_of(state: Mapping[str, Tensor], architecture: str) -> dict[str, Any]:
    """The options of the architecture that the names and shapes of a published state dict show.

    Empty for an architecture without a published layout.
    """
    if architecture not in LAYOUTS:
        return {}
    found = _unwrapped(state)
    width, _, kernel, _ = _sizes(found, "conv1.weight", 4)
    options: dict[str, Any] = {"normalization": "none"}
    if architecture == "wide_resnet28_10":
        first = _sizes(found, "block1.layer.0.conv1.weight", 4)[0]
        blocks = {name.split(".")[2] for name in found if name.startswith("block1.layer.")}
        if first and blocks:
            options |= {"depth": 4 + 6 * len(blocks), "widen": max(1, first // _STEM)}
        return options
    if width:
        options["width"] = width
    if architecture == "preact_resnet18":
        return {**options, "final_norm": "bn.weight" in found}
    return {**options, "stem": "imagenet" if kernel == 7 else "small"}


def _unwrapped(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Without what surrounds the names: nested mappings, prefixes, and stages that no forward calls."""
    for wrapper in _WRAPPERS:
        if isinstance(state.get(wrapper), Mapping):
            return _unwrapped(state[wrapper])
    inside = [name for name in state if name not in _STATISTICS]
    if inside and all(name.split(".")[0] in _WRAPPERS for name in inside):
        chosen = next(w for w in _WRAPPERS if any(name.startswith(f"{w}.") for name in inside))
        return _unwrapped(
            {
                name.removeprefix(f"{chosen}."): tensor
                for name, tensor in state.items()
                if name in _STATISTICS or name.startswith(f"{chosen}.")
            }
        )
    return {name: tensor for name, tensor in state.items() if not name.startswith("sub_block1.")}


def _sizes(state: Mapping[str, Tensor], name: str, dims: int) -> tuple[int, ...]:
    """The shape of a tensor; zeros where there is none of so many dimensions."""
    shape = tuple(state[name].shape) if name in state else ()
    return shape if len(shape) == dims else (0,) * dims


def _modules(state: Mapping[str, Tensor], architecture: str) -> dict[str, str]:
    """Our module → the published one, for those that have another name."""
    if architecture not in _BLOCKS:
        return {}
    modules = {"stem.0": "conv1", "stem.1": "bn1", "head.2": "fc" if "fc.weight" in state else "linear"}
    shortcut = "downsample" if any(".downsample." in name for name in state) else "shortcut"
    number = 0
    for stage, blocks in enumerate(_BLOCKS[architecture], start=1):
        for position in range(blocks):
            ours, theirs = f"blocks.{number}", f"layer{stage}.{position}"
            for layer in range(_CONVOLUTIONS[architecture]):  # convolution, norm, activation
                modules[f"{ours}.body.{3 * layer}"] = f"{theirs}.conv{layer + 1}"
                modules[f"{ours}.body.{3 * layer + 1}"] = f"{theirs}.bn{layer + 1}"
            for part in (0, 1):
                modules[f"{ours}.shortcut.{part}"] = f"{theirs}.{shortcut}.{part}"
            number += 1
    return modules


def _published(name: str, modules: Mapping[str, str]) -> str:
    module, _, leaf = name.rpartition(".")
    return f"{modules.get(module, module)}.{leaf}"


def _listed(what: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{what}: {', '.join(sorted(names)[:_LISTED])}{more}"
