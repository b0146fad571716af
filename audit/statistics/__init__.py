"""Valid intervals and tests."""
