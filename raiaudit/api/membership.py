"""Tell members from non-members by arrays of your own: answers of a model, with or without shadow models.

```python
import numpy as np

import raiaudit

rng = np.random.default_rng(0)
labels = rng.integers(0, 10, 400)
member = np.arange(400) < 200                       # the first half was trained on
logits = rng.normal(0, 1, (400, 10))
logits[np.arange(400), labels] += 2 + 2 * member    # the model is surer of them

signals = raiaudit.Signals.of_target(raiaudit.phi(logits, labels))
found = raiaudit.infer_membership(signals, member, "loss")
for measured in found.measurements:
    print(measured.label(), measured.value, measured.low, measured.high)
```

With shadow models: `Signals(phi_N, shadow_phi_MN, keep_MN)`, where `keep_MN[m, n]` says whether shadow model
m was trained on example n, and `"lira"`. What the numbers mean: [privacy](../privacy.md); the names of the
attacks: [attacks](attacks.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from raiaudit.attacks.inference import Signals
    from raiaudit.audit.measurement import Measurement

__all__ = ["Membership", "infer_membership"]


@dataclass(frozen=True, slots=True)
class Membership:
    """`score_N` float64: larger means "more likely a member". `measurements`: how well it separates."""

    score_N: NDArray[np.float64]
    measurements: list[Measurement]


def infer_membership(
    signals: Signals,
    member: ArrayLike,
    attack: str = "loss",
    *,
    fpr: Sequence[float] = (0.1, 0.01),
    seed: int = 0,
) -> Membership:
    """Score N examples by a membership attack, and measure how well the score separates.

    `member` says of each whether the model was trained on it. Measured are the AUC (DeLong), the advantage
    (threshold chosen on one half, judged on the other), and the true-positive rate at each false-positive
    rate of `fpr`, with the threshold set by half of the non-members that `seed` draws; a rate for which
    there are too few of them has no value, and the reason. Lower is better for the people in the data.

    Raises `UnknownNameError` for an attack that there is not, `UsageError` for shapes that do not fit and
    for signals that lack what the attack needs.
    """
    import numpy as np
    import polars as pl

    from raiaudit.attacks.inference import INFERENCE
    from raiaudit.audit.privacy.inference.membership_attacks import why_no_score
    from raiaudit.audit.privacy.inference.membership_measurements import Attacked, method_of, of_attack
    from raiaudit.errors import UnknownNameError, UsageError

    if attack not in INFERENCE:
        raise UnknownNameError("membership attack", attack, INFERENCE)
    known: Any = attack
    if lacking := why_no_score(known, signals):
        raise UsageError(lacking)
    if attack in ("confidence", "entropy", "modified_entropy") and signals.uncertainty is None:
        raise UsageError(
            f"{attack} looks at all classes, and φ tells of one",
            remedy="Signals.of_target(phi(logits, y), uncertainty(logits, y))",
        )
    member_N = np.asarray(member, dtype=np.bool_)
    if member_N.shape != signals.phi_N.shape:
        raise UsageError(f"`member` must have shape {signals.phi_N.shape}, got {member_N.shape}")
    score_N = np.asarray(INFERENCE[attack](signals), dtype=np.float64)
    of = Attacked("privacy.membership", attack, (), seed, method_of(attack))
    frame = pl.DataFrame({"score": score_N, "member": member_N})
    return Membership(score_N, of_attack(of, frame, tuple(fpr)))
