"""Training: one loop, three steps."""
