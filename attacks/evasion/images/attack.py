"""What every image attack of ours shares: its knobs, its checks of the input, and the way to the engine.

An attack is a frozen dataclass of hyper-parameters that names its `rules` for a region; this base does the
rest. Inputs are images B×C×H×W, or feature vectors B×W in a box of shape (W,).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from raiaudit.attacks.evasion import engine
from raiaudit.attacks.evasion.base import AttackResult, LogitsOf, Modality
from raiaudit.attacks.evasion.engine.network import Compile, Precision
from raiaudit.attacks.evasion.engine.region import Region, region_of
from raiaudit.attacks.evasion.engine.rows import example_ids
from raiaudit.attacks.evasion.engine.rules import Clean, Rule
from raiaudit.attacks.spaces import InputSpace
from raiaudit.attacks.threats import Knowledge, Norm, ThreatModel

__all__ = ["ImageAttack"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageAttack(ABC):
    """`batch_size` rows go through the model at once; `precision` is that of the search, and `compilation`
    whether it goes through `torch.compile` ("auto": in a long search, if a timed pass is quicker).

    Every success is one of the classifier as it is, in float32, whatever the precision of the search.
    The result's `details`: `found_try` (restart or target that found it, −1: none), `found_step`, `margin`
    (the lowest seen within reach), `clean_margin` (that of the clean input; infinite where no rule looked),
    `dead_gradients` (looks whose gradient was zero or NaN).
    """

    name: ClassVar[str]
    norms: ClassVar[frozenset[Norm]]
    modality: ClassVar[Modality] = "image"
    knowledge: ClassVar[Knowledge] = "white"
    closest: ClassVar[bool] = False
    """Whether it looks for the nearest error rather than for any within reach."""

    batch_size: int = 256
    precision: Precision = "auto"
    compilation: Compile = "off"

    @abstractmethod
    def rules(self, region: Region, *, seed: int) -> Sequence[Rule]:
        """What to try, in order; begins with `Clean` unless its first rule looks at the clean input."""

    def __call__(
        self,
        classifier: LogitsOf,
        x: Tensor,
        y_B: Tensor,
        threat: ThreatModel,
        *,
        space: InputSpace,
        seed: int,
        ids: Sequence[int] | Tensor | None = None,
    ) -> AttackResult:
        """Attack every example; errors as in `region_of` and `engine.run`."""
        region = region_of(self, x, y_B, threat, space)
        return engine.run(
            self.rules(region, seed=seed) if threat.eps > 0 else [Clean()],
            classifier,
            x,
            y_B,
            region=region,
            ids_B=example_ids(ids, len(x), x.device),
            batch_size=self.batch_size,
            budget=threat.budget,
            closest=self.closest,
            precision=self.precision,
            compilation=self.compilation,
        )
