"""One run: verdict and gates, evidence by pillar, provenance; what is shown while there is none."""
