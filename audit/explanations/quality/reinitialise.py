"""A model forgets what it learnt, layer by layer from the output to the input.

Cascading randomisation of J. Adebayo et al., arXiv:1810.03292. A layer is a module with parameters of its
own. It is given a fresh draw from its own initial distribution (`reset_parameters`); parameters that this
does not reach (a class token, positions, the factors of a normalised weight) have their values shuffled,
which keeps their distribution. Layers are ordered by when an input first reaches them. Randomness is keyed by
seed and layer: neither shards nor the layers left out change a draw.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from raiaudit.audit.statistics.keyed import keyed_rng

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

__all__ = ["layers_from_output", "reinitialise"]


def layers_from_output(network: nn.Module, forward: Callable[[], object]) -> list[str]:
    """Names of the layers, the last that `forward` reaches first. Layers that it never calls as modules stand
    where they were registered, beside their neighbours.
    """
    reached: dict[str, int] = {}
    named = [
        (name, module)
        for name, module in network.named_modules()
        if next(module.parameters(recurse=False), None) is not None
    ]

    def noting(name: str) -> Callable[..., None]:
        def note(*_: object) -> None:
            reached.setdefault(name, len(reached))

        return note

    hooks = [module.register_forward_pre_hook(noting(name)) for name, module in named]
    try:
        forward()
    finally:
        for hook in hooks:
            hook.remove()
    at, keys = -0.5, {}
    for name, _ in named:
        at = float(reached[name]) if name in reached else at
        keys[name] = (at, name not in reached)
    return sorted(keys, key=lambda name: keys[name], reverse=True)


def reinitialise(network: nn.Module, layer: str, *, seed: tuple[str | int, ...]) -> None:
    """Draw the parameters of `layer` anew, in place."""
    import torch

    module = network.get_submodule(layer)
    number = int(keyed_rng(0, *seed, layer).integers(2**62))
    before = [parameter.clone() for parameter in module.parameters(recurse=False)]
    reset = getattr(module, "reset_parameters", None)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(number)
        if callable(reset):
            reset()
        for parameter, old in zip(module.parameters(recurse=False), before, strict=True):
            if torch.equal(parameter, old):
                order = torch.randperm(parameter.numel()).to(parameter.device)
                parameter.copy_(parameter.flatten()[order].view_as(parameter))
