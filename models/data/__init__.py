"""Data sets behind one small type."""
