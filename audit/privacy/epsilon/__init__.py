"""ε from both sides: what an accountant claims at most, what canaries show at least."""
