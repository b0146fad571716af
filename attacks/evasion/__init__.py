"""Evasion: inputs changed within a threat model until the classifier errs."""
