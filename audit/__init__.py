"""The audit: a function from (model, data, spec) to an example ledger, and what is derived from it."""
