"""A first spec for data somebody points at: what they are, what their columns mean, what to ask of them."""
