"""Attacks that foolbox has and we do not write again, behind guards."""
