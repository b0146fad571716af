"""Checks of explanations: maps that are judged before they are shown."""
