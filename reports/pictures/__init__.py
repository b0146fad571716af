"""Pixels: examples with their maps and perturbations, and the inside of a model, as PNG."""
