"""What evidence of a run is relevant to which rule."""
