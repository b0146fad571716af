"""The first page: every run, and the newest suite's models side by side."""
