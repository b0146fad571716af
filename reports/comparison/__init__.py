"""A comparison of runs in words, tables and documents; what the runs differ in stands before any number."""
