"""Checks of privacy: what can be inferred, ε from both sides, who is at risk."""
