"""Inference: scores over signals of a model that tell members from non-members."""
