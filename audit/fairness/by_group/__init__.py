"""Metrics of groups from their counts, compared with valid intervals and tests."""
