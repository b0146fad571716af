"""Checks of reliability: calibration."""
