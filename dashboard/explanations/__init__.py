"""Explanations to look into: the inside of a model."""
