"""What every evasion attack takes and returns.

Shapes: x_B… a batch of inputs (images B×C×H×W, encoded table rows B×W, or a list of B texts),
y_B int64 labels, logits_BK. Norms are in the units of the input space.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from torch import Tensor, nn

if TYPE_CHECKING:
    from raiaudit.attacks.spaces import InputSpace
    from raiaudit.attacks.threats import Knowledge, Norm, ThreatModel

__all__ = ["AttackResult", "EvasionAttack", "LogitsOf", "Modality", "prepared"]

Modality = Literal["image", "text", "tabular"]
LogitsOf = Callable[[Any], Tensor]
"""inputs_B… → logits_BK: an `nn.Module`, or any callable for black-box attacks."""


@dataclass(frozen=True, slots=True)
class AttackResult:
    """One row per attacked example; the adversarial input is the clean one where nothing was found.

    (A minimum-norm attack also returns an error it found beyond a finite eps, as not broken.)

    `adversarial` has the type and shape of the inputs; `broken_B` bool, true when the model errs on
    the returned input (clean errors included); `norm_B` float32 distance in the threat's norm;
    `forwards_B`/`backwards_B` int64 passes spent on each example; `details` what else an attack can say
    of each (tensors of length B, by name, listed in its docstring); `found_by`, where several attacks
    worked together, the one that found the returned input (None: nobody did).
    """

    adversarial: Any
    broken_B: Tensor
    norm_B: Tensor
    forwards_B: Tensor
    backwards_B: Tensor
    details: Mapping[str, Tensor] = field(default_factory=dict)
    found_by: Sequence[str | None] = ()


class EvasionAttack(Protocol):
    """Hyper-parameters live in the constructor, data in the call.

    `ids` (int64, length B) name the examples: randomness is keyed by (seed, attack, id), so a result
    does not depend on batch size, order or shard. Default: 0…B−1.
    """

    @property
    def name(self) -> str:
        """Its name in the catalogue; part of the key of its random numbers."""
        ...

    @property
    def norms(self) -> frozenset[Norm]:
        """The norms a threat model may ask of it."""
        ...

    @property
    def modality(self) -> Modality:
        """What an input is: an image, a text, an encoded table row."""
        ...

    @property
    def knowledge(self) -> Knowledge:
        """The least it must know of the model: gradients (white), scores or labels."""
        ...

    def __call__(
        self,
        classifier: LogitsOf,
        x: Any,
        y_B: Tensor,
        threat: ThreatModel,
        *,
        space: InputSpace,
        seed: int,
        ids: Sequence[int] | Tensor | None = None,
    ) -> AttackResult:
        """Attack every example; never raises for one that cannot be broken."""
        ...


@contextmanager
def prepared(classifier: LogitsOf) -> Iterator[None]:
    """Evaluation mode with frozen parameters, both restored on exit.

    Freezing halves the cost of an input gradient and leaves every `.grad` of the model untouched.
    """
    if not isinstance(classifier, nn.Module):
        yield
        return
    modes = [(module, module.training) for module in classifier.modules()]
    flags = [(parameter, parameter.requires_grad) for parameter in classifier.parameters()]
    try:
        classifier.eval()
        for parameter, _ in flags:
            parameter.requires_grad_(False)
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for parameter, flag in flags:
            parameter.requires_grad_(flag)
