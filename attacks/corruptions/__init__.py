"""Nature as the adversary: noise and blur at graded severities."""
