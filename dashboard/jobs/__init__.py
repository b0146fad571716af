"""Audits and trainings that the dashboard started: child processes whose state lies on disk."""
