"""Adversarial training: the attack inside the loop (`InnerAttack`) and the losses it serves."""

from raiaudit.models.training.adversarial.inner import InnerAttack
from raiaudit.models.training.adversarial.step import AdversarialStep

__all__ = ["AdversarialStep", "InnerAttack"]
