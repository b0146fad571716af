"""Checks of robustness: evasion and corruptions."""
