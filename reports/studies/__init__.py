"""Documents of several trainings: trade-offs, mitigation, seeds."""
