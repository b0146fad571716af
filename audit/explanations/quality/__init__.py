"""Is a map right? Perturbation traces, randomisation, controls, planted ground truth."""
