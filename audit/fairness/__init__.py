"""Checks of group fairness, on one counting engine."""
