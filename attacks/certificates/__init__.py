"""Certificates: radii within which a prediction provably does not change, whatever the attack.

    name        input            norm       needs     promises
    smoothing   image            l2         labels    the smoothed classifier, at 1 − α   arXiv:1902.02918
    interval    image, tabular   linf (*)   weights   the classifier itself               arXiv:1810.12715

(*) l1 and l2 too, through the box around their ball.

`CERTIFICATES[name](**options)` is a `Certificate`. `certify` answers for one radius, and is what an attack
skips examples by.
"""

from __future__ import annotations

from collections.abc import Callable

from raiaudit.attacks.certificates.base import ABSTAINED, Certificate, Certified
from raiaudit.attacks.certificates.interval_bounds import IntervalBounds, certify
from raiaudit.attacks.certificates.smoothing import Smoothing

__all__ = ["ABSTAINED", "CERTIFICATES", "Certificate", "Certified", "certify"]

CERTIFICATES: dict[str, Callable[..., Certificate]] = {
    "smoothing": Smoothing,
    "interval": IntervalBounds,
}
