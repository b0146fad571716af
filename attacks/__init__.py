"""Adversaries as pure mathematics over a callable. Imports nothing else of ours but the errors."""
