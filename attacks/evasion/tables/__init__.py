"""Attacks on table rows; every row they ask about is one that the schema allows."""
