"""What is audited: data sets, architectures, training recipes, the registry, outside models."""
