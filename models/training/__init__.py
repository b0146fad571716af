"""Training: one loop, three steps (standard, adversarial, private)."""

from raiaudit.models.training.loop import TrainingProgress
from raiaudit.models.training.train import train

__all__ = ["TrainingProgress", "train"]
