"""Checks of group fairness, and the counting engine behind them."""
