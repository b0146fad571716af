"""Class activation maps: which places of a convolutional layer speak for the class.

Grad-CAM: R. R. Selvaraju et al., arXiv:1610.02391: channels weighted by their mean gradient. Layer-CAM:
P.-T. Jiang et al., doi:10.1109/TIP.2021.3089943: every place by its own positive gradient. Both keep what
is positive and are brought to the size of the image by bilinear interpolation.

The layer, unless named, is where the last convolution's resolution was last seen (behind its normalisation,
its activation and the sum with a shortcut): in front of a normalisation, mean gradients nearly cancel. A
module may be called several times, as one ReLU for a whole network is: what is looked at is one call of it.

Shapes: B images, C channels of the layer, h×w its places, H×W pixels. Errors: `CapabilityError` for a model
without convolutions, `UnknownNameError` for a layer that is not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar

from raiaudit.audit.explanations.methods.gradient import require_gradients
from raiaudit.audit.explanations.methods.method import WHITE_BOX, Maps
from raiaudit.errors import CapabilityError, UnknownNameError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from raiaudit.audit.check import Capability
    from raiaudit.audit.explanations.methods.views import View

__all__ = ["GradCAM", "LayerCAM", "Place", "convolutional_layer"]

_CHUNK = 256


@dataclass(frozen=True, slots=True)
class Place:
    """The `call`-th call (from 0) in a forward pass of the module that is called `name`."""

    name: str
    module: nn.Module
    call: int


@dataclass(frozen=True, kw_only=True)
class _ActivationMap:
    """`layer` is the dotted name of a module of the network."""

    layer: str | None = None

    modalities: ClassVar[frozenset[str]] = frozenset({"image"})
    needs: ClassVar[frozenset[Capability]] = WHITE_BOX
    signed: ClassVar[bool] = False

    def explain(self, view: View, target_B: Tensor, *, rngs: Sequence[np.random.Generator]) -> Maps:
        """One value a pixel."""
        import torch
        from torch.nn import functional

        require_gradients(view)
        place = convolutional_layer(view, self.layer)
        maps = []
        for rows in torch.split(torch.arange(len(view.x), device=view.x.device), _CHUNK):
            with torch.enable_grad(), _cut(place) as cut:
                chosen = view.logits(view.x[rows], rows).gather(1, target_B[rows, None]).sum()
                activation = cut[0]
                (gradient,) = torch.autograd.grad(chosen, activation)
            weighted = self._weights(gradient) * activation.detach()
            maps.append(weighted.sum(1, keepdim=True).clamp(min=0))
        pixels = functional.interpolate(
            torch.cat(maps).double(), size=view.x.shape[-2:], mode="bilinear", align_corners=False
        )
        return Maps(pixels.flatten(1), passes=2)

    def _weights(self, gradient_BChw: Tensor) -> Tensor:
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class GradCAM(_ActivationMap):
    """A channel counts by its mean gradient."""

    name: ClassVar[str] = "grad_cam"
    citation: ClassVar[str] = "selvaraju2017"

    def _weights(self, gradient_BChw: Tensor) -> Tensor:
        return gradient_BChw.mean((2, 3), keepdim=True)


@dataclass(frozen=True, kw_only=True)
class LayerCAM(_ActivationMap):
    """A place counts by its own positive gradient, in every channel."""

    name: ClassVar[str] = "layer_cam"
    citation: ClassVar[str] = "jiang2021"

    def _weights(self, gradient_BChw: Tensor) -> Tensor:
        return gradient_BChw.clamp(min=0)


def convolutional_layer(view: View, name: str | None = None) -> Place:
    """The last call of the module called `name`, or the call in which the last convolution's resolution is
    last seen.

    Found by asking about the first image. Calls that give a map of one place alone are not counted.
    """
    import torch
    from torch import nn

    seen: list[tuple[Place, tuple[int, ...]]] = []
    calls: dict[nn.Module, int] = {}

    def note(label: str) -> Any:
        def hook(module: nn.Module, _inputs: Any, output: Any) -> None:
            place = Place(label, module, calls.get(module, 0))
            calls[module] = place.call + 1
            if torch.is_tensor(output) and output.dim() == 4 and output.shape[2:].numel() > 1:
                seen.append((place, tuple(output.shape[1:])))

        return hook

    network = view.network
    if network is None or view.x.dim() != 4:
        raise CapabilityError("there are no images or no network to look into")
    handles = [
        module.register_forward_hook(note(label)) for label, module in network.named_modules() if label
    ]
    try:
        with torch.no_grad():
            view.logits(view.x[:1], torch.zeros(1, dtype=torch.int64, device=view.x.device))
    finally:
        for handle in handles:
            handle.remove()
    if name is not None:
        places = {place.module: place for place, _ in seen}
        layers = dict(network.named_modules(remove_duplicate=False))
        if (named := layers.get(name)) not in places:
            known = [label for label, module in layers.items() if module in places]
            raise UnknownNameError("layer of places", name, known)
        return places[named]
    convolutions = [at for at, (place, _) in enumerate(seen) if isinstance(place.module, nn.Conv2d)]
    if not convolutions:
        raise CapabilityError(
            "this network calls no convolution, so it has no activation map",
            remedy="choose integrated_gradients, or gradient_rollout for a transformer",
        )
    chosen = convolutions[-1]
    while chosen + 1 < len(seen) and seen[chosen + 1][1] == seen[chosen][1]:
        chosen += 1
    return seen[chosen][0]


@contextmanager
def _cut(place: Place) -> Iterator[list[Tensor]]:
    """Make what the call gives a leaf that gradients stop at; it is in the list after a forward."""
    leaves: list[Tensor] = []
    calls = count()

    def hook(_module: Any, _inputs: Any, output: Tensor) -> Tensor:
        if next(calls) != place.call:
            return output
        leaves.append(output.detach().requires_grad_())
        return leaves[-1].clone()  # what follows may work in place, which a leaf does not allow

    handle = place.module.register_forward_hook(hook)
    try:
        yield leaves
    finally:
        handle.remove()
