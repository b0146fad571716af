"""Training: one loop, three steps (standard, adversarial, private)."""

from raiaudit.models.training.loop import TrainingProgress
from raiaudit.models.training.train import TRAINING_VERSION, train

__all__ = ["TRAINING_VERSION", "TrainingProgress", "train"]
