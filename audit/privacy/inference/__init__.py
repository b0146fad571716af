"""Inference: who was in the training data, and what is betrayed of whom."""
