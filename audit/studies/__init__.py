"""What studies share: variants of one model trained and audited alike, and their differences in one table."""
