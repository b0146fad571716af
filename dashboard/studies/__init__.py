"""Studies of several trainings: trade-offs and mitigation."""
