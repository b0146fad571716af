"""The models that audits have seen or the registry holds: a list, and one with lineage and card."""
