"""What rules and laws ask of selection rates, and which criteria cannot hold together."""
