"""The sections of the page "Fairness": each reads the tables of evidence of a finished run."""
