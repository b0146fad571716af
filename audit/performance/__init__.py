"""Checks of clean performance."""
