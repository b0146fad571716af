"""Explanations by concepts, by training examples, and by neighbours."""
