"""Attacks on texts, and what they share: tokens, constraints, lexicon, word search."""
