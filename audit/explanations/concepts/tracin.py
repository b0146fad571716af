"""TracIn: how much a training example's step changes the loss of another example.

G. Pruthi et al., Estimating training data influence by tracing gradient descent, arXiv:2002.08484:
influence(z, z') = Σ over checkpoints of η ∇L(z)·∇L(z'), here at the weights at hand and with η = 1 (which
sets the scale alone). Positive: a step on z lowers the loss of z' (helpful); negative: it raises it
(harmful). With z' = z it is the self-influence, large for examples that the model had to learn by heart.

Of the last linear layer the gradient is error ⊗ input, so that ∇L(z)·∇L(z') = (e·e')(h·h' + 1): exact,
without a gradient of any weight (the 1 is the bias's). By all parameters: `all_parameters.py`.

Shapes: B examples, M training examples, D width of the last layer's input, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from raiaudit.audit.explanations.concepts.layers import last_linear, tapped
from raiaudit.errors import CapabilityError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor, nn

__all__ = ["LastLayer", "last_layer"]


@dataclass(frozen=True, slots=True)
class LastLayer:
    """The gradient of each example's own loss by the last linear layer, as its two factors.

    input_BD is what the layer reads, error_BK the gradient by what it gives. logits_BK are the model's.
    """

    input_BD: Tensor
    error_BK: Tensor
    logits_BK: Tensor
    bias: bool

    @classmethod
    def joined(cls, parts: Sequence[LastLayer]) -> LastLayer:
        """Batches of examples, one after the other; as long as there is one."""
        import torch

        return cls(
            torch.cat([part.input_BD for part in parts]),
            torch.cat([part.error_BK for part in parts]),
            torch.cat([part.logits_BK for part in parts]),
            bias=parts[0].bias,
        )

    def influence_on(self, other: LastLayer) -> Tensor:
        """influence_BM of these M = `self` training examples on the B of `other`."""
        read = other.input_BD @ self.input_BD.T
        found: Tensor = (other.error_BK @ self.error_BK.T) * (read + 1 if self.bias else read)
        return found

    def self_influence(self) -> Tensor:
        """Squared length of each gradient, B."""
        read = (self.input_BD**2).sum(1) + int(self.bias)
        found: Tensor = (self.error_BK**2).sum(1) * read
        return found


def last_layer(
    network: nn.Module, x_B: Tensor, y_B: Tensor | None = None, *, name: str | None = None, batch: int = 128
) -> LastLayer:
    """Both factors for cross-entropy against y_B, or against the model's own prediction without labels.

    `name` is the layer's, which is looked for (one more forward pass of two examples) if not given. Exact
    whatever follows the layer, as long as examples do not mix. Raises `CapabilityError` without such a layer,
    or where it is called several times for one answer.
    """
    import torch
    from torch.nn import functional

    from raiaudit.attacks.evasion.base import prepared

    layer = last_linear(network, x_B[:2]) if name is None else name
    module = network.get_submodule(layer)
    assert isinstance(module, torch.nn.Linear)
    reads: list[Tensor] = []
    handle = module.register_forward_pre_hook(lambda _module, inputs: reads.append(inputs[0].detach()))
    errors: list[Tensor] = []
    logits: list[Tensor] = []
    try:
        # What comes before the layer is a number to it: only what follows it needs a graph.
        with torch.enable_grad(), tapped(module, layer, reads=False) as leaves, prepared(network):
            answer = _channels_last(network) if x_B.ndim == 4 else network
            for start in range(0, len(x_B), batch):
                out = answer(x_B[start : start + batch])
                if len(reads) > len(errors) + 1:
                    raise CapabilityError(
                        f"the last linear layer, {layer!r}, is called several times for one answer, so that "
                        "what it reads is not one vector",
                        remedy="leave explanations.influence out for this model",
                    )
                target = out.argmax(1) if y_B is None else y_B[start : start + batch]
                # In float64, for in float32 the error of a sure prediction is rounded away.
                loss = functional.cross_entropy(out.double(), target, reduction="sum")
                errors.append(torch.autograd.grad(loss, leaves[-1])[0])
                logits.append(out.detach())
    finally:
        handle.remove()
    return LastLayer(torch.cat(reads), torch.cat(errors), torch.cat(logits), module.bias is not None)


def _channels_last(network: nn.Module) -> Callable[[Tensor], Tensor]:
    """The same network, its convolutions in the order of memory that takes processors half the time.

    No gradient of a weight is taken: that is what torch 2.13 cannot do in this order for every convolution.
    """
    import torch
    from torch.func import functional_call

    weights = {
        name: weight.detach().clone(memory_format=torch.channels_last)  # also where one channel comes in
        for name, weight in network.named_parameters()
        if weight.ndim == 4
    }
    return lambda x: functional_call(network, weights, (x.contiguous(memory_format=torch.channels_last),))
