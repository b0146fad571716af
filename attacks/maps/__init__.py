"""Attacks on explanations: inputs that keep the answer and move the map that explains it."""
