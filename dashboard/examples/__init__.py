"""One example: everything that a run's ledger and evidence know of it, and the filter that finds it."""
