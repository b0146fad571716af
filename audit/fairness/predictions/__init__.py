"""Fairness of any file of predictions: no model, no data set, no ledger; the same counts and questions."""
