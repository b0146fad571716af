"""Interval bound propagation: a sound certificate for piecewise-linear networks.

Gowal et al., arXiv:1810.12715: a box around the input becomes a box around every layer's output (`intervals`,
which also says what rounding is allowed for). The last linear layer is never bounded by itself: what is
bounded is the difference of two logits, z_y − z_k = (w_y − w_k)·h + …, which is tighter (section 3 there).
If every difference is above 0 on the box, no input in it is misclassified.

Layers: Linear, Conv2d, BatchNorm (evaluation), ReLU, max and average pooling, Flatten, Dropout, Identity,
and sums, differences, products and quotients with constants, residual sums, as `torch.fx` traces them.
Any other raises `CapabilityError` with its name, before anything is computed.

Shapes: x_B… , low/high of its shape, logits_BK, H inputs of the last layer. Radii in the units of the space.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from raiaudit.attacks.certificates.base import Certified
from raiaudit.attacks.certificates.intervals import FUNCTIONS, METHODS, MODULES, UNDERFLOW, Interval, gamma
from raiaudit.attacks.evasion.base import LogitsOf, prepared
from raiaudit.attacks.evasion.tables.feasible import reachable_box
from raiaudit.attacks.spaces import ImageBox, InputSpace, TableSchema
from raiaudit.attacks.threats import Norm
from raiaudit.errors import CapabilityError, UsageError

__all__ = ["Bounds", "IntervalBounds", "certify"]

_BATCH = 64


class Bounds(fx.Interpreter):
    """The bounds of one network. Raises `CapabilityError` for what they cannot pass."""

    def __init__(self, classifier: LogitsOf) -> None:
        if not isinstance(classifier, nn.Module):
            raise CapabilityError("interval bounds need the network itself, not a callable")
        root = nn.Sequential(classifier) if type(classifier) in MODULES else classifier
        try:
            graph = fx.symbolic_trace(root)
        except Exception as error:  # a foreign forward may raise anything when asked symbolically
            raise CapabilityError(
                f"interval bounds cannot trace {type(classifier).__name__}: {error}"
            ) from error
        super().__init__(graph)
        self._require_known()
        (result,) = (node for node in self.graph.nodes if node.op == "output")
        last = result.args[0]
        is_linear = (
            isinstance(last, fx.Node)
            and last.op == "call_module"
            and type(self.fetch_attr(str(last.target))) is nn.Linear
            and len(last.users) == 1
        )
        self._head = last if is_linear else None

    def _require_known(self) -> None:
        for node in self.graph.nodes:
            known = (
                node.op in ("placeholder", "output", "get_attr")
                or (node.op == "call_function" and node.target in FUNCTIONS)
                or (node.op == "call_method" and node.target in METHODS)
                or (node.op == "call_module" and type(self.fetch_attr(node.target)) in MODULES)
            )
            if not known:
                what = type(self.fetch_attr(node.target)).__name__ if node.op == "call_module" else node.name
                raise CapabilityError(
                    f"interval bounds do not know the layer {what}",
                    where=str(node.target) if node.op == "call_module" else None,
                    remedy="certify by smoothing, which asks for labels alone",
                )

    def margin(self, x: Interval, y_B: Tensor) -> Tensor:
        """A lower bound of z_y − z_k over the box and all k ≠ y, margin_B float64."""
        hidden = self.run(x)
        assert isinstance(hidden, Interval)
        if self._head is None:
            own_B1 = hidden.low.gather(1, y_B[:, None])
            gap_BK = own_B1 - hidden.high
        else:
            gap_BK = _differences(self.fetch_attr(str(self._head.target)), hidden, y_B)
        return gap_BK.scatter(1, y_B[:, None], torch.inf).amin(1)

    def run_node(self, n: fx.Node) -> Any:
        """Every node but the last linear layer, whose input is the result."""
        if n is self._head:
            return self.fetch_args_kwargs_from_env(n)[0][0]
        return super().run_node(n)

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Tensor:
        """A constant of the network, in float64."""
        value: Tensor = self.fetch_attr(target)
        return value.double()

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Interval:
        """A layer."""
        layer = self.fetch_attr(target)
        return MODULES[type(layer)](layer, *args)

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Interval:
        """A function or operator."""
        return FUNCTIONS[target](*args, **kwargs)

    def call_method(self, target: Any, args: Any, kwargs: Any) -> Interval:
        """A method of an activation."""
        return FUNCTIONS[METHODS[target]](*args, **kwargs)


def _differences(head: nn.Linear, hidden: Interval, y_B: Tensor) -> Tensor:
    """Lower bounds of z_y − z_k for all k, gap_BK."""
    weight_KH = head.weight.double()
    bias_K = weight_KH.new_zeros(len(weight_KH)) if head.bias is None else head.bias.double()
    centre_BK = functional.linear(hidden.centre, weight_KH, bias_K)
    rounding_BK = functional.linear(hidden.reach, weight_KH.abs(), bias_K.abs()) * gamma(head.in_features)
    radius_BH = (hidden.high - hidden.low) / 2
    swing_BK = torch.empty_like(centre_BK)
    for label in torch.unique(y_B):  # one table of K×H differences at a time
        rows_B = y_B == label
        swing_BK[rows_B] = functional.linear(radius_BH[rows_B], (weight_KH[label] - weight_KH).abs())
    own_B1 = y_B[:, None]
    gap_BK = centre_BK.gather(1, own_B1) - centre_BK - swing_BK
    return gap_BK - rounding_BK - rounding_BK.gather(1, own_B1) - UNDERFLOW


def _box(x: Tensor, space: InputSpace, norm: Norm, eps_B: Tensor) -> Interval:
    """The smallest box around what an adversary can reach from each row."""
    if isinstance(space, TableSchema):
        return Interval(*reachable_box(space, norm, x, eps_B))
    if not isinstance(space, ImageBox) or norm == "l0":
        raise UsageError(f"interval bounds have no box for norm {norm!r} on a {type(space).__name__}")
    clean = x.double()
    # A point may be a rounding error farther than eps in the float64 distance it was judged by.
    radius = (eps_B * (1 + 1e-12)).view(-1, *(1,) * (x.dim() - 1))
    low, high = clean.clamp_max(space.low), clean.clamp_min(space.high)
    return Interval((clean - radius).maximum(low), (clean + radius).minimum(high))


def certify(
    classifier: LogitsOf,
    x: Tensor,
    y_B: Tensor,
    *,
    space: InputSpace,
    eps: float,
    norm: Norm = "linf",
    batch_size: int = _BATCH,
) -> Tensor:
    """Which rows (bool B) no input within `eps` can move from class y: nothing there is left to attack.

    False says nothing. The ball of l1 and l2 is enclosed in a box. Raises `CapabilityError` at once for an
    architecture that has no bounds, `UsageError` for a norm or space that has none.
    """
    with prepared(classifier), torch.no_grad():
        bounds = Bounds(classifier)
        eps_B = torch.full((len(x),), eps, dtype=torch.float64, device=x.device)
        parts = zip(*(torch.split(values, batch_size) for values in (x, y_B, eps_B)), strict=True)
        held = [bounds.margin(_box(rows, space, norm, eps_R), y_R) > 0 for rows, y_R, eps_R in parts]
    return torch.cat(held)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalBounds:
    """The largest certified radius up to `limit`, found by `halvings` halvings (each two wide forwards)."""

    name: ClassVar[str] = "interval"

    norm: Norm = "linf"
    limit: float = 1.0
    halvings: int = 14
    batch_size: int = _BATCH

    def __call__(
        self,
        classifier: LogitsOf,
        x: Tensor,
        *,
        space: InputSpace,
        seed: int,
        ids: Sequence[int] | Tensor | None = None,
    ) -> Certified:
        """Certify the classifier's own prediction at every row; `seed` and `ids` play no part."""
        with prepared(classifier), torch.no_grad():
            bounds = Bounds(classifier)
            parts = [
                self._certified(bounds, classifier, rows, space) for rows in torch.split(x, self.batch_size)
            ]
        return Certified(*(torch.cat(values) for values in zip(*parts, strict=True)))

    def _certified(
        self, bounds: Bounds, classifier: LogitsOf, x: Tensor, space: InputSpace
    ) -> tuple[Tensor, Tensor]:
        top_B = classifier(x).argmax(1)
        held_B = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        beyond_B = torch.full_like(held_B, self.limit)
        trial_B = beyond_B
        for _ in range(self.halvings + 1):
            holds_B = bounds.margin(_box(x, space, self.norm, trial_B), top_B) > 0
            held_B, beyond_B = held_B.where(~holds_B, trial_B), beyond_B.where(holds_B, trial_B)
            trial_B = (held_B + beyond_B) / 2
        return top_B, held_B
