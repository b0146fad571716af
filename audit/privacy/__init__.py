"""Checks of privacy: membership inference, and the accountant's claim."""
